"""Augmentations of amplitude spectra: a picture keeps its phases, and with them what stands where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data.augment import Augmentation, to_tensor
from perceptransfer.data.folder import UnlabeledFolder
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.record import Pixels


def frequencies(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Whole numbers of waves down ``[H, 1]`` and across ``[W/2 + 1]`` at the places of a real Fourier transform."""
    height, width = size
    return (torch.fft.fftfreq(height) * height).round()[:, None], torch.arange(width // 2 + 1, dtype=torch.float32)


def with_amplitude(spectrum: Tensor, amplitude: Tensor, size: tuple[int, int]) -> Tensor:
    """Images in 0..1 of these amplitudes with the phases of ``spectrum`` ``[..., H, W/2 + 1]``."""
    images: Tensor = torch.fft.irfft2(torch.polar(amplitude, spectrum.angle()), s=size)
    return images.clamp(0, 1)


class PASTA(Augmentation):
    """Amplitudes times ``1 + s e`` with normal e, the more the higher the frequency.

    At m waves down and n across an image of H x W pixels ``s = (2 alpha sqrt((m² + n²) / (H² + W²)))^k + beta``. Each
    channel draws its own e.

    Paper: Chattopadhyay et al., PASTA: Proportional Amplitude Spectrum Training Augmentation for Syn-to-Real Domain
    Generalization, ICCV 2023.
    """

    def __init__(self, alpha: float = 3.0, k: float = 2.0, beta: float = 0.25) -> None:
        """Set the strength.

        Args:
            alpha: strength at high frequencies.
            k: how steeply the strength rises.
            beta: strength at every frequency.
        """
        for key, value in {"alpha": alpha, "k": k, "beta": beta}.items():
            if not value >= 0:
                raise ConfigError(f"{value} is below zero", key=key, remedy="give zero or a positive number")
        self.alpha, self.k, self.beta = alpha, k, beta

    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""
        size = (images.shape[1], images.shape[2])
        down, across = frequencies(size)
        share = ((down**2 + across**2) / (size[0] ** 2 + size[1] ** 2)).sqrt()
        strength = (2 * self.alpha * share) ** self.k + self.beta
        spectrum = torch.fft.rfft2(to_tensor(images))
        noise = torch.randn(spectrum.shape, generator=torch.Generator().manual_seed(seed))
        # A negative amplitude is a wave turned by half its length: polar takes its sign as a phase.
        return with_amplitude(spectrum, spectrum.abs() * (1 + strength * noise), size)

    def ranges(self) -> Mapping[str, Any]:
        """The three numbers."""
        return {"alpha": self.alpha, "k": self.k, "beta": self.beta}


class FDA(Augmentation):
    """Lowest frequencies' amplitudes taken from random unlabeled images of a folder: their light and colour.

    Amplitudes of at most ``floor(b min(H, W))`` waves down and across are exchanged, b drawn for each image within
    ``share``; at b = 0 that is the mean colour. The folder is read when it is first needed, and read whole: an image
    that cannot be read is an error. Its content counts for the identity of results. It must not hold test images, which
    nothing here can check.

    Paper: Yang and Soatto, FDA: Fourier Domain Adaptation for Semantic Segmentation, CVPR 2020.

    Raises:
        ConfigError: a share outside 0..0.5 or that falls.
        DataError: on use, a folder that is missing or empty.
        ImageError: on use, an image that cannot be read.
    """

    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset({"folder"})

    def __init__(self, folder: str, share: tuple[float, float] = (0.0, 0.05)) -> None:
        """Name the folder.

        Args:
            folder: unlabeled real images, whatever the subfolders.
            share: lowest and highest b.
        """
        if not 0 <= share[0] <= share[1] <= 0.5:
            raise ConfigError(f"share {list(share)} is no range within 0..0.5", key="share", remedy="use [0, 0.05]")
        self.source, self.share = UnlabeledFolder(folder), share
        self._images: ImageSet | None = None

    def identity_extra(self) -> Mapping[str, Any]:
        """Content of the folder."""
        return self.source.identity_extra()

    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""
        size = (images.shape[1], images.shape[2])
        if self._images is None or self._images.size != size:
            self._images = self.source.load(size)
        generator = torch.Generator().manual_seed(derive_seed("fda", seed))
        chosen = torch.randint(len(self._images), (len(images),), generator=generator)
        low, high = self.share
        b = low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=generator)
        down, across = frequencies(size)
        near = torch.maximum(down.abs(), across) <= (b * min(size)).floor()
        spectrum = torch.fft.rfft2(to_tensor(images))
        other = torch.fft.rfft2(to_tensor(self._images.images(chosen.numpy()))).abs()
        return with_amplitude(spectrum, torch.where(near, other, spectrum.abs()), size)

    def ranges(self) -> Mapping[str, Any]:
        """Limits of b."""
        return {"share": list(self.share)}
