"""Bytes of arrays, the same from both libraries, and the file format that the safetensors library reads as well."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from perceptransfer.core.errors import BundleError
from perceptransfer.policy.arrays import from_raw, hash_arrays, join, raw, relative_error
from perceptransfer.policy.tensor_file import pack, unpack

TYPES = st.sampled_from(["float32", "float64", "int64", "uint8"])
ANY = TYPES.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0, max_side=4)))


@given(ANY)
def test_tensors_and_arrays_have_equal_bytes_and_come_back(array: np.ndarray) -> None:
    tensor = torch.from_numpy(array.copy())
    assert raw(tensor) == raw(array) == array.tobytes()
    assert hash_arrays({"x": tensor}) == hash_arrays({"x": array})
    for kind in ("torch", "numpy"):
        back = from_raw(raw(array), str(array.dtype), array.shape, kind)
        np.testing.assert_array_equal(np.asarray(back), array)
        assert np.asarray(back).dtype == array.dtype


def test_a_transposed_tensor_is_read_row_by_row() -> None:
    tensor = torch.arange(6, dtype=torch.uint8).reshape(2, 3).T
    assert raw(tensor) == bytes([0, 3, 1, 4, 2, 5])


def test_the_hash_by_hand_and_what_it_sees() -> None:
    expected = hashlib.sha256(b"a|uint8|(2,)|\x01\x02" + b"b|uint8|()|\x03").hexdigest()
    base = {"b": torch.tensor(3, dtype=torch.uint8), "a": torch.tensor([1, 2], dtype=torch.uint8)}
    assert hash_arrays(base) == expected
    changes = [{"c": base["b"]}, {"b": base["b"][None]}, {"b": base["b"].to(torch.int8)}, {"b": base["b"] + 1}]
    assert all(hash_arrays({"a": base["a"], **change}) != expected for change in changes)


def test_joined() -> None:
    assert join([torch.ones(1, 2), torch.zeros(2, 2)], "torch").shape == (3, 2)
    assert join([np.ones((1, 2)), np.zeros((2, 2))], "numpy").shape == (3, 2)


def test_the_relative_error_is_that_of_the_worst_image() -> None:
    expected = torch.tensor([[1.0, -4.0], [0.01, 0.02]])
    found = torch.tensor([[1.0, -4.4], [0.01, 0.03]])
    assert relative_error(found, expected) == pytest.approx(0.5)
    assert relative_error(found.numpy(), expected.numpy()) == pytest.approx(0.5)


@pytest.mark.parametrize("spoiled", ["found", "expected"])
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_nan_is_within_no_limit(spoiled: str, library: str) -> None:
    values = {"found": torch.ones(2, 3), "expected": torch.ones(2, 3)}
    values[spoiled][1, 1] = float("nan")
    pair = [values[name] if library == "torch" else values[name].numpy() for name in ("found", "expected")]
    assert not relative_error(*pair) <= 1e9


@given(st.dictionaries(st.text("ab._", min_size=1, max_size=5), ANY, max_size=4))
def test_the_safetensors_library_reads_what_is_written_and_the_reverse(found: dict[str, np.ndarray]) -> None:
    theirs = safetensors.numpy.load(pack(found, {"format": "pt"}))
    mine = unpack(safetensors.numpy.save(found), "numpy", Path("x"))
    for name, array in found.items():
        np.testing.assert_array_equal(theirs[name], array)
        np.testing.assert_array_equal(mine[name], array)
    assert theirs.keys() == mine.keys() == found.keys()


@pytest.mark.parametrize("content", [b"", b"garbage!", b"\x02" + bytes(7) + b"{}x", pack({"a": np.ones(9)})[:-1]])
def test_a_damaged_file_is_named(content: bytes) -> None:
    if content.endswith(b"{}x"):
        assert unpack(content, "numpy", Path("x")) == {}
        return
    with pytest.raises(BundleError, match="broken"):
        unpack(content, "numpy", Path("broken"))
