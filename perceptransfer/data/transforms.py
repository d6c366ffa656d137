"""The only file that knows albumentations: the augmentations of `recipes` as its pipelines.

Image by image it costs about ten times the `fast` engine at 32 pixels; it is there to check that engine against, and
for images alone: masks, depth and keypoints are moved by `view`.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping

import cv2
import numpy as np

# At import, albumentations asks a package index for newer versions of itself.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

from perceptransfer.data.recipes import Range, Ranges
from perceptransfer.data.record import Pixels

NEVER: Range = (0.0, 0.0)


def augment(images: Pixels, ranges: Ranges, chance: Mapping[str, float], flip: bool, seed: int) -> Pixels:
    """Augment ``uint8 [n, H, W, 3]`` image by image; equal seeds give equal bits."""
    pipeline = _cached(tuple(ranges.items()), tuple(chance.items()), flip, min(images.shape[1:3]))
    pipeline.set_random_seed(seed)
    return np.stack([pipeline(image=image)["image"] for image in images]) if len(images) else images.copy()


@functools.lru_cache(32)
def _cached(
    ranges: tuple[tuple[str, Range], ...], chance: tuple[tuple[str, float], ...], flip: bool, side: int
) -> A.Compose:
    return build(dict(ranges), dict(chance), flip, side)


def build(ranges: Ranges, chance: Mapping[str, float], flip: bool, side: int) -> A.Compose:
    """Pipeline for images whose shorter side has ``side`` pixels, in the order of a camera; idle steps are left out."""
    return A.Compose([*_view(ranges, flip), *_sensor(ranges, chance, side)])


def _view(ranges: Ranges, flip: bool) -> list[A.BasicTransform]:
    low, high = ranges.get("log_scale", NEVER)
    steps: list[A.BasicTransform] = [
        A.Affine(
            rotate=ranges.get("rotate_degrees", NEVER),
            shear={"x": ranges.get("shear_degrees", NEVER), "y": NEVER},
            scale=(math.exp(low), math.exp(high)),
            keep_ratio=True,
            translate_percent=ranges.get("shift_share", NEVER),
            border_mode=cv2.BORDER_REFLECT_101,
            p=1.0,
        )
    ]
    if flip:
        steps.insert(0, A.HorizontalFlip(p=0.5))
    if _used(ranges, "lens_distortion"):
        # Its radius is 1 at the side's length and it has two equal terms: k (r² + r⁴) is 3/4 k at a square's corner.
        # The only step in which the two engines do not show the same picture for the same number.
        limits = tuple(limit * 4 / 3 for limit in ranges["lens_distortion"])
        steps.append(A.OpticalDistortion(distort_limit=limits, border_mode=cv2.BORDER_REFLECT_101, p=1.0))
    return steps


def _sensor(ranges: Ranges, chance: Mapping[str, float], side: int) -> list[A.BasicTransform]:
    steps: list[A.BasicTransform] = []
    if _used(ranges, "exposure_stops"):
        low, high = ranges["exposure_stops"]
        steps.append(A.MultiplicativeNoise(multiplier=(2**low, 2**high), p=1.0))
    if _used(ranges, "white_balance"):
        low, high = ranges["white_balance"]
        steps.append(A.MultiplicativeNoise(multiplier=(max(1 + low, 0), 1 + high), per_channel=True, p=1.0))
    if _used(ranges, "log_saturation"):
        low, high = ranges["log_saturation"]
        steps.append(
            A.ColorJitter(brightness=(1, 1), contrast=(1, 1), saturation=(math.exp(low), math.exp(high)), hue=0, p=1.0)
        )
    if _used(ranges, "motion_blur_share"):
        longest = max(3, 2 * round(ranges["motion_blur_share"][1] * side / 2) + 1)
        steps.append(A.MotionBlur(blur_limit=(3, longest), p=chance.get("motion_blur_share", 1.0)))
    if _used(ranges, "defocus_share"):
        low, high = ranges["defocus_share"]
        sigma = (low * side, high * side)
        steps.append(A.GaussianBlur(sigma_limit=sigma, p=chance.get("defocus_share", 1.0)))
    if _used(ranges, "shot_noise"):
        low, high = ranges["shot_noise"]
        noise = [
            A.ShotNoise(scale_range=(max(low, 1e-3) ** 2, max(high, 1e-3) ** 2), p=1.0),
            A.GaussNoise(std_range=ranges.get("read_noise", NEVER), p=1.0),
        ]
        steps.append(A.Sequential(noise, p=chance.get("shot_noise", 1.0)))
    if _used(ranges, "log_gamma"):
        low, high = ranges["log_gamma"]
        steps.append(A.RandomGamma(gamma_limit=(100 * math.exp(low), 100 * math.exp(high)), p=1.0))
    if _used(ranges, "jpeg_quality_loss"):
        low, high = ranges["jpeg_quality_loss"]
        quality = (max(1, round(100 - high)), max(1, round(100 - low)))
        steps.append(A.ImageCompression(quality_range=quality, p=chance.get("jpeg_quality_loss", 1.0)))
    return steps


def _used(ranges: Ranges, name: str) -> bool:
    return ranges.get(name, NEVER) != NEVER
