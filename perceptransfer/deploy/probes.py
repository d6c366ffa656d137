"""The images on which formats are compared: noise, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from perceptransfer.core.errors import DataError, ImageError, ObservationError

Pixels = NDArray[np.uint8]
RANDOM, FEWEST = 4, 2


def random_images(camera: tuple[int, int], seed: int = 0) -> Tensor:
    """Noise, flat black and flat white: ``uint8 [RANDOM, H, W, 3]``."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (RANDOM, *camera, 3), dtype=torch.uint8, generator=generator)
    images[0], images[1] = 0, 255
    return images


def real_images(images: Pixels | Tensor | str | Path | None, camera: tuple[int, int]) -> Tensor:
    """The caller's images ``uint8 [n, H, W, 3]``; without them scikit-learn's scanned digits, enlarged.

    ``images`` may be a folder, whose pictures are resized.

    Raises:
        ObservationError: an array of another type, layout or size, or fewer than two images.
        DataError: a folder without pictures, or with one that cannot be read.
    """
    if images is None:
        return _digits(camera)
    if isinstance(images, str | Path):
        return _folder(Path(images), camera)
    found = torch.as_tensor(images)
    if found.dtype != torch.uint8 or found.shape[1:] != (*camera, 3) or len(found) < FEWEST:
        raise ObservationError(
            f"images must be at least {FEWEST} of uint8 [n, {camera[0]}, {camera[1]}, 3], "
            f"got {found.dtype} {list(found.shape)}",
            remedy="give images as the camera delivers them",
        )
    return found


def _digits(camera: tuple[int, int], count: int = 64) -> Tensor:
    from sklearn.datasets import load_digits

    grey = torch.from_numpy(load_digits().images[:count]).float()[:, None] * (255 / 16)
    return F.interpolate(grey, camera, mode="bilinear").round().byte().permute(0, 2, 3, 1).repeat(1, 1, 1, 3)


def _folder(folder: Path, camera: tuple[int, int], most: int = 256) -> Tensor:
    known = Image.registered_extensions()
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in known][:most]
    if len(paths) < FEWEST:
        raise DataError(f"fewer than {FEWEST} pictures", where=folder, key="images", remedy="name a folder of pictures")
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as opened:
                pictures.append(np.array(opened.convert("RGB").resize((camera[1], camera[0]), Image.Resampling.BOX)))
        except Exception as error:  # a damaged file makes Pillow's plugins raise nearly anything
            raise ImageError(f"cannot be read ({error})", where=path, remedy="replace or remove the file") from error
    return torch.from_numpy(np.stack(pictures))
