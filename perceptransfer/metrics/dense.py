"""Scores of masks, depth and keypoints, as sums an image from which a whole set's score and its interval follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats
from perceptransfer.metrics.intervals import GroupCounts


@dataclass(frozen=True, eq=False)
class Tally:
    """``hits`` and ``totals`` ``[n, C]`` of n images, C classes: the score is the mean over classes of Σhits/Σtotals.

    Classes whose total is zero everywhere are left out.
    """

    hits: Floats
    totals: Floats

    def per_class(self) -> tuple[float | None, ...]:
        """Score of each class, ``None`` where it has no total."""
        hits, totals = self.hits.sum(0), self.totals.sum(0)
        return tuple(float(h / t) if t > 0 else None for h, t in zip(hits, totals, strict=True))

    def score(self) -> float:
        """Score of the whole set.

        Raises:
            UndefinedMetricError: nothing was labelled.
        """
        known = [value for value in self.per_class() if value is not None]
        if not known:
            raise UndefinedMetricError("no image has a label that counts", key="labels")
        return float(np.mean(known))

    def counts(self, groups: ArrayLike | None = None) -> GroupCounts:
        """Sums by test group (default: each image its own), from which intervals are drawn."""
        n = len(self.hits)
        group = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        shape = (int(group.max()) + 1, self.hits.shape[1])
        hits, totals = np.zeros(shape), np.zeros(shape)
        np.add.at(hits, group, self.hits)
        np.add.at(totals, group, self.totals)
        return GroupCounts(hits[None], totals[None], items=n)


def intersection_over_union(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int, ignore: int = 255
) -> Tally:
    """Intersection and union of each class in each image, from class maps ``[n, H, W]`` without ``ignore`` pixels.

    The score is the mean over classes of the union-weighted, whole-set IoU (Everingham et al., IJCV 2015).

    Raises:
        UndefinedMetricError: maps of different shapes.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise UndefinedMetricError(f"predictions {predicted.shape} for masks {truth.shape}", key="mask")
    n = len(truth)
    kept = truth != ignore
    image = np.broadcast_to(np.arange(n)[:, None, None], truth.shape)[kept]
    said, true = predicted[kept].astype(np.int64), truth[kept].astype(np.int64)
    width = n * num_classes

    def count(chosen: NDArray[np.int64], where: NDArray[np.int64]) -> Floats:
        sums = np.bincount(where * num_classes + chosen, minlength=width)
        return sums.reshape(n, num_classes).astype(np.float64)

    both = count(true[said == true], image[said == true])
    return Tally(both, count(said, image) + count(true, image) - both)


@dataclass(frozen=True, eq=False)
class DepthErrors:
    """Sums over the valid pixels of each image ``[n]``: count, |d−t|/t, (d−t)², (log d−log t)², max(d/t, t/d) < 1.25.

    Eigen et al., Depth Map Prediction from a Single Image using a Multi-Scale Deep Network, NeurIPS 2014.
    """

    valid: Floats
    relative: Floats
    squared: Floats
    squared_log: Floats
    close: Floats

    def details(self) -> dict[str, float]:
        """``abs_rel``, ``rmse`` (m), ``rmse_log`` and ``delta1`` over all valid pixels."""
        total = self.valid.sum()
        if not total:
            raise UndefinedMetricError("no pixel has a known depth", key="depth")
        return {
            "abs_rel": float(self.relative.sum() / total),
            "rmse": float(np.sqrt(self.squared.sum() / total)),
            "rmse_log": float(np.sqrt(self.squared_log.sum() / total)),
            "delta1": float(self.close.sum() / total),
        }


def depth_errors(predicted: NDArray[np.floating], truth: NDArray[np.floating], floor: float = 1e-3) -> DepthErrors:
    """Compare depth maps ``[n, H, W]`` in metres; pixels with truth 0 are left out, predictions are at least ``floor``.

    Raises:
        UndefinedMetricError: maps of different shapes, or predictions that are not finite.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise UndefinedMetricError(f"predictions {predicted.shape} for depth {truth.shape}", key="depth")
    if not np.isfinite(predicted).all():
        raise UndefinedMetricError("predicted depth holds NaN or infinity", key="depth")
    known = truth > 0
    true = np.where(known, truth, 1.0).astype(np.float64)
    said = np.where(known, np.maximum(predicted, floor), 1.0).astype(np.float64)

    def total(values: NDArray[np.floating] | NDArray[np.bool_]) -> Floats:
        return np.asarray((values * known).sum(axis=(1, 2)), dtype=np.float64)

    log = np.log(said) - np.log(true)
    return DepthErrors(
        valid=total(known),
        relative=total(np.abs(said - true) / true),
        squared=total((said - true) ** 2),
        squared_log=total(log**2),
        close=total(np.abs(log) < np.log(1.25)),
    )


def keypoint_distances(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """Pixel distance ``[n, K]`` of each labelled keypoint, NaN where it is not labelled.

    ``predicted`` is ``[n, K, 2+]``, ``truth`` ``[n, A, K, 3]``: of the A equivalent labellings the one counts whose
    mean distance is smallest, for a symmetric object cannot be told apart from its turned self.

    Raises:
        UndefinedMetricError: shapes that do not fit.
    """
    if predicted.ndim != 3 or truth.ndim != 4 or predicted.shape[:2] != (truth.shape[0], truth.shape[2]):
        raise UndefinedMetricError(f"predictions {predicted.shape} for keypoints {truth.shape}", key="keypoints")
    labelled = truth[..., 2] > 0
    each = np.linalg.norm(predicted[:, None, :, :2] - truth[..., :2], axis=-1)
    each = np.where(labelled, each, np.nan)
    counted = labelled.sum(axis=2)
    mean = np.where(counted > 0, np.nansum(each, axis=2) / np.maximum(counted, 1), np.inf)
    best = mean.argmin(axis=1)
    return np.asarray(each[np.arange(len(each)), best], dtype=np.float64)


def correct_keypoints(distances: Floats, reference: Floats, threshold: float) -> Tally:
    """PCK: labelled keypoints within ``threshold`` · ``reference`` ``[n]`` pixels (Yang and Ramanan, TPAMI 2013)."""
    known = np.isfinite(distances)
    near = known & (np.nan_to_num(distances, nan=np.inf) <= threshold * reference[:, None])
    return Tally(near.sum(1, keepdims=True).astype(float), known.sum(1, keepdims=True).astype(float))
