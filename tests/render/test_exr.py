"""OpenEXR files are read back exactly; what is cut off or of another kind is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ImageError
from perceptransfer.render.exr import read_exr
from tests.exr_file import write_exr


def channels(height: int, width: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "V.Combined.R": rng.normal(size=(height, width)).astype(np.float32),
        "V.Combined.A": rng.random((height, width)).astype(np.float16),
        "V.Depth.Z": np.full((height, width), 1e10, np.float32),
        "V.Index.X": rng.integers(0, 2**32, (height, width), dtype=np.uint32),
    }


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_every_channel_comes_back(tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("exr") / "a.exr"
    written = channels(height, width, seed)
    write_exr(path, written)
    read = read_exr(path)
    assert read.keys() == written.keys()
    assert all((read[name] == written[name]).all() for name in written)


@pytest.mark.parametrize("keep", [0, 3, 30, 200, -1])
def test_a_cut_off_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.exr"
    write_exr(path, channels(4, 5, 0))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImageError, match=r"a\.exr"):
        read_exr(path)


def test_compression_and_tiles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    write_exr(path, channels(4, 5, 0))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"compression\0compression\0\1\0\0\0\0", b"compression\0compression\0\1\0\0\0\3"))
    with pytest.raises(ImageError, match="compressed"):
        read_exr(path)
    path.write_bytes(whole[:5] + b"\2" + whole[6:])
    with pytest.raises(ImageError, match="wrong kind"):
        read_exr(path)
