"""Deterministic splits: held-out parts by group, and nested shares of the labels.

Everything here depends on labels, groups and a seed, never on pixels, paths or global random state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError, FractionError
from perceptransfer.core.seeding import derive_seed

Labels = NDArray[np.int64]


def label_order(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Order in which images are labelled: every prefix is stratified, and prefixes are nested by construction.

    Each class is permuted by ``seed``. First comes one image of every class; then the j-th image of a class of size
    N_c stands at (j + 1/2) / N_c, which is Webster's apportionment. Largest remainders as such would not nest: a class
    can lose a seat when the total grows (the Alabama paradox).
    """
    rng = np.random.default_rng(derive_seed("label order", seed))
    position = np.empty(len(labels), dtype=np.float64)
    for value in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == value))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
        position[members[0]] = -1.0
    ties = rng.permutation(len(labels))  # classes of equal size are interleaved at random, not by class number
    return np.lexsort((ties, position)).astype(np.int64)


@dataclass(frozen=True)
class Spent:
    """The labels spent: ``train`` and ``val`` index the pool.

    ``inflation`` is how many labels were added to what was asked so that every class has one.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    requested: int
    inflation: int


def spend(
    labels: Labels, seed: int, *, fraction: float = 0.0, count: int | None = None, val_share: float = 0.0
) -> Spent:
    """Choose which of the pool's labels are bought: a ``fraction`` of them, or a ``count`` when it is given.

    Larger requests of the same seed contain smaller ones. ``val_share`` of them, spread evenly over each class's
    order, goes to validation; both parts nest too, and no class is left without a training image.

    Raises:
        FractionError: a fraction or share outside 0..1, or more labels than exist.
    """
    if not 0.0 <= val_share < 1.0:
        raise FractionError(f"val_share must be in 0..1, below 1, got {val_share}", key="val_share")
    requested = number_of_labels(len(labels), fraction, count)
    some = count > 0 if count is not None else fraction > 0  # a small fraction may round to no label at all
    chosen = label_order(labels, seed)[: max(requested, len(np.unique(labels))) if some else 0]
    validation = np.zeros(len(chosen), dtype=bool)
    for value in np.unique(labels[chosen]):
        members = np.flatnonzero(labels[chosen] == value)
        steps = np.floor(np.arange(len(members) + 1) * val_share + 1e-9)
        validation[members] = np.diff(steps) > 0
    return Spent(chosen[~validation], chosen[validation], requested, len(chosen) - requested)


def number_of_labels(available: int, fraction: float, count: int | None = None) -> int:
    """Labels that a fraction (rounded half up) or an absolute count asks for.

    Raises:
        FractionError: a fraction outside 0..1, a negative count, or more labels than exist.
    """
    if count is not None:
        if not 0 <= count <= available:
            raise FractionError(
                f"{count} labels asked for, {available} exist", key="labels", remedy=f"ask for 0 to {available}"
            )
        return count
    if not 0.0 <= fraction <= 1.0:  # also refuses NaN
        raise FractionError(
            f"fraction must be in 0..1, got {fraction}", key="real_fraction", remedy="1 % is written 0.01"
        )
    return math.floor(round(fraction * available, 6) + 0.5)


def hold_out(
    labels: Labels,
    shares: Sequence[float],
    seed: int,
    groups: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    key: str = "split_seed",
) -> NDArray[np.int64]:
    """Assign every image to a part: 0 is the rest, 1, 2, … hold out ``shares`` of every class.

    With ``groups`` a group stays whole: groups go, largest first, to the part whose class counts come closest to its
    share. Without, every image is its own group and the counts are exact to rounding.

    Raises:
        FractionError: shares that are negative or leave nothing.
        DataError: a class that ends up missing in a part that has a share.
    """
    if min(shares, default=0.0) < 0.0 or sum(shares) >= 1.0:
        raise FractionError(f"held-out shares must be at least 0 and sum below 1, got {list(shares)}", key=key)
    rng = np.random.default_rng(derive_seed("hold out", seed))
    parts = _by_image(labels, shares, rng) if groups is None else _by_group(labels, shares, rng, groups)
    for part, share in enumerate([1.0, *shares]):
        missing = sorted(set(labels.tolist()) - set(labels[parts == part].tolist()))
        if share > 0.0 and missing:
            named = missing if classes is None else [classes[i] for i in missing]
            raise DataError(
                f"a split by {'image' if groups is None else 'group'} leaves the classes {named} out of a part",
                key=key,
                remedy="use another seed, another share, or add images or groups of these classes",
            )
    return parts


def _by_image(labels: Labels, shares: Sequence[float], rng: np.random.Generator) -> NDArray[np.int64]:
    parts = np.zeros(len(labels), dtype=np.int64)
    for value in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == value))
        start = 0
        for part, share in enumerate(shares, start=1):
            taken = math.floor(share * len(members) + 0.5) or (1 if share > 0.0 and len(members) > part else 0)
            parts[members[start : start + taken]] = part
            start += taken
    return parts


def _by_group(
    labels: Labels, shares: Sequence[float], rng: np.random.Generator, groups: Sequence[str]
) -> NDArray[np.int64]:
    names, member_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    classes, label_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (member_of, label_of), 1.0)
    wanted = np.outer([1.0 - sum(shares), *shares], counts.sum(0))
    have = np.zeros_like(wanted)
    part_of = np.zeros(len(names), dtype=np.int64)
    ties = rng.permutation(len(names))
    for group in sorted(range(len(names)), key=lambda g: (-counts[g].sum(), ties[g])):
        # What is lacking after the group went to a part, per class and relative to that class's size.
        error = [
            (((have + np.eye(len(wanted))[part][:, None] * counts[group] - wanted) / counts.sum(0)) ** 2).sum()
            for part in range(len(wanted))
        ]
        part_of[group] = int(np.argmin(error))
        have[part_of[group]] += counts[group]
    return part_of[member_of]
