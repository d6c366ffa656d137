"""What BlenderProc writes: one HDF5 file a picture with colours, category ids and depth."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.core.extras import require
from perceptransfer.core.features import DEPTH, MASK
from perceptransfer.core.files import sha256_file
from perceptransfer.data.crop import crop_map, whole
from perceptransfer.data.files import FileSource, Reader
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import WHITE, read_bytes
from perceptransfer.data.label_files import check_size, split_up
from perceptransfer.data.layout import Entry, require_folder
from perceptransfer.data.record import Pixels
from perceptransfer.data.targets import Array, Targets

COLOURS, CATEGORIES = "colors", "category_id_segmaps"
ENDINGS = (".hdf5", ".h5")


@dataclass(frozen=True)
class HDF5Reader(Reader):
    """Reads colours out of HDF5 files."""

    def hashed(self, index: int) -> tuple[str, Pixels]:
        path = self.root / self.names[index]
        data = read_bytes(path)
        image = read_arrays(data, str(path), (COLOURS,))[COLOURS]
        return hashlib.sha256(data).hexdigest(), self.sized(np.ascontiguousarray(image[..., :3]), index)


class BlenderProcHDF5(FileSource):
    """All ``.hdf5`` files below ``path``: ``colors``, ``category_id_segmaps`` and, where all have it, ``depth``.

    ``categories`` maps category ids to classes; ids that are not named are refused, ``background`` ids are background.
    The class of a picture is that with most pixels; pictures without any are left out. Depth is in metres along the
    camera's axis; from ``far`` on it is unknown, as BlenderProc writes 1e10 where a ray meets nothing.
    """

    def __init__(
        self,
        path: str,
        categories: dict[str, str],
        background: list[int] | None = None,
        far: float = 1000.0,
        test_share: float = 0.0,
        split_seed: int = 0,
        on_bad_image: Literal["error", "quarantine"] = "error",
        manifest: str | None = None,
    ) -> None:
        """Name the folder and what its ids mean.

        Args:
            path: folder of HDF5 files.
            categories: category id to class.
            background: category ids of what is no object; by default 0.
            far: distance in metres from which depth is unknown.
            test_share: share of the pictures for the test.
            split_seed: seed of that split, apart from all training seeds.
            on_bad_image: stop at a file that cannot be opened, or leave it out and list it.
            manifest: file to verify the files against.
        """
        require("robot", "h5py")
        super().__init__(path, "squash", WHITE, on_bad_image, manifest)
        if not categories or not all(str(number).isdecimal() for number in categories):
            raise ConfigError(
                f"category ids {list(categories)} are not whole numbers", key="categories", remedy='write {"1": "cat"}'
            )
        if not far > 0:
            raise ConfigError(f"far must be a distance in metres, got {far}", key="far")
        self.categories = {int(number): str(name) for number, name in categories.items()}
        self.ground = [0] if background is None else [int(number) for number in background]
        self.classes = sorted(set(self.categories.values()))
        self.far, self.test_share, self.split_seed = far, test_share, split_seed

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of all files."""
        if self._content is None:
            self._content = digest([[name, sha256_file(self.path / name)] for name in self._files()])
        return {"content": self._content}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all pictures and labels.

        Raises:
            DataError: a file without a key that is needed, an unknown category, maps of another size, NaN in depth.
            ImageError: a file that cannot be opened, unless quarantined.
        """
        maps, entries = dict[str, dict[str, Array]](), list[Entry]()
        for name in self._files():
            try:
                found = self._maps(name)
            except ImageError:
                if self.on_bad_image == "error":
                    raise
                entries.append(Entry(name, None, self.classes[0]))  # `image_set` meets it again and lists it
                continue
            counts = np.bincount(found[MASK].ravel(), minlength=1 + len(self.classes))[1:]
            if counts.any():
                maps[name] = {
                    key: crop_map(values, whole((values.shape[0], values.shape[1])), size, 0)
                    for key, values in found.items()
                }
                entries.append(Entry(name, None, self.classes[int(counts.argmax())]))
        if not maps:
            raise DataError("no picture shows an object", where=self.path, key="categories", remedy="check the ids")
        entries = split_up(entries, [entry.name for entry in entries], self.test_share, self.split_seed)
        reader = HDF5Reader(self.path, tuple(entry.name for entry in entries), size, "squash", WHITE)
        classes = sorted({str(entry.label) for entry in entries})
        images = self.image_set(entries, classes, None, size, reader=reader)
        kinds = [key for key in (MASK, DEPTH) if all(key in found for found in maps.values())]
        arrays = {key: np.stack([maps[record.name][key] for record in images.records]) for key in kinds}
        return images.with_targets(Targets(arrays, ("background", *self.classes)))

    def _files(self) -> list[str]:
        require_folder(self.path)
        names = sorted(p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.suffix in ENDINGS)
        if not names:
            raise DataError("holds no HDF5 files", where=self.path, key="path", remedy="give BlenderProc's output")
        return names

    def _maps(self, name: str) -> dict[str, Array]:
        path = self.path / name
        found = read_arrays(read_bytes(path), str(path), (COLOURS, CATEGORIES), (DEPTH,))
        of = (int(found[COLOURS].shape[0]), int(found[COLOURS].shape[1]))
        ids = found[CATEGORIES]
        check_size(ids, of, path, CATEGORIES)
        table = dict.fromkeys(self.ground, 0)
        table |= {number: 1 + self.classes.index(kind) for number, kind in self.categories.items()}
        unknown = sorted(set(np.unique(ids).tolist()) - set(table))
        if unknown:
            raise DataError(
                f"has the unknown category ids {unknown[:5]}, known are {sorted(table)}", where=path, key="categories",
                remedy="name them, or add them to background",
            )  # fmt: skip
        mask = np.zeros(of, np.uint8)
        for number, index in table.items():
            mask[ids == number] = index
        if DEPTH not in found:
            return {MASK: mask}
        depth = found[DEPTH].astype(np.float32)
        check_size(depth, of, path, DEPTH)
        if np.isnan(depth).any() or (depth < 0).any():
            raise DataError("depth holds NaN or is negative", where=path, key=DEPTH, remedy="write 0 for unknown")
        return {MASK: mask, DEPTH: np.where(depth < self.far, depth, np.float32(0))}


def read_arrays(data: bytes, where: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """Data sets of an HDF5 file, of which ``colors`` is always one.

    Raises:
        ImageError: the file is cut off or no HDF5.
        DataError: a data set that is needed is not there, colours are no picture, or another one is no map.
    """
    import h5py  # of an extra; asked for by the constructor

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            lacking = [key for key in needed if key not in file]
            found = {key: np.asarray(file[key]) for key in (*needed, *optional) if key in file and not lacking}
            present = sorted(file)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ImageError(
            f"cannot be read as HDF5 ({error})", where=where,
            remedy='render it again, or set on_bad_image to "quarantine" to leave such files out',
        ) from error  # fmt: skip
    if lacking:
        raise DataError(
            f"has no {lacking}, only {present}", where=where, key=lacking[0],
            remedy="let BlenderProc write colours and category ids (map_by category_id)",
        )  # fmt: skip
    image = found[COLOURS]
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8:
        raise DataError(
            f"colours are {image.dtype} {image.shape}, not uint8 [H, W, 3]", where=where, key=COLOURS,
            remedy="write one view a file, without stereo",
        )  # fmt: skip
    return {key: values if key == COLOURS else _flat(values, key, where) for key, values in found.items()}


def _flat(values: Array, key: str, where: str) -> Array:
    """A map ``[H, W]``, also where it was written as ``[H, W, 1]``."""
    flat = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if flat.ndim != 2 or flat.dtype.kind not in "biuf":
        raise DataError(
            f"{key} is {values.dtype} {values.shape}, not one number a pixel", where=where, key=key,
            remedy="write one view a file, without stereo",
        )  # fmt: skip
    return flat
