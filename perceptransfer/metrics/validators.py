"""Label-free validators: `Evidence` in, one float out, larger meaning better for all of them.

None is an accuracy; they rank candidates. All raise `UndefinedMetricError` when the evidence they read is missing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_mutual_info_score

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats
from perceptransfer.metrics.evidence import Evidence
from perceptransfer.metrics.scores import accuracy

T = TypeVar("T")
Validator = Callable[[Evidence], float]


def class_ami(evidence: Evidence) -> float:
    """Adjusted mutual information of predicted classes and k-means clusters (k = K) of target features, at most 1.

    Musgrave, Belongie & Lim, "Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain
    Adaptation", arXiv:2208.07360, after Robbiano et al., arXiv:2102.06679. At most 64 principal components, ten
    k-means starts with a fixed seed. A model that predicts a single class scores 0: AMI would call that, together
    with collapsed features, a perfect match.
    """
    features, classes = _need(evidence.target_features, "target_features"), evidence.target.shape[1]
    predicted = evidence.target.argmax(axis=1)
    if len(features) < classes:
        raise UndefinedMetricError(f"{len(features)} target images cannot form {classes} clusters")
    if len(np.unique(predicted)) == 1:
        return 0.0
    varied = np.ptp(features, axis=0).any()  # PCA divides by the total variance
    reduced = PCA(min(64, *features.shape), random_state=0).fit_transform(features) if varied else features
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: collapsed features
        clusters = KMeans(classes, n_init=10, random_state=0).fit(reduced).labels_
    return float(adjusted_mutual_info_score(predicted, clusters))


def entropy(evidence: Evidence) -> float:
    """Minus the mean entropy of target predictions, −ln K to 0 (Morerio, Cavazza & Murino, ICLR 2018)."""
    return -float(_entropies(evidence.target).mean())


def im(evidence: Evidence) -> float:
    """Information maximisation: entropy of the mean prediction minus mean entropy, 0 to ln K.

    Shi & Sha, ICML 2012; as a loss in SHOT, Liang, Hu & Feng, ICML 2020. It rewards predicting all classes equally
    often, whether the target has them equally often or not.
    """
    marginal = float(_entropies(evidence.target.mean(axis=0, keepdims=True))[0])
    return max(0.0, marginal + entropy(evidence))


def bnm(evidence: Evidence) -> float:
    """Nuclear norm of the target probability matrix ÷ its bound √(n · min(n, K)), in (0, 1].

    Cui et al., "Towards Discriminability and Diversity: Batch Nuclear-norm Maximization", CVPR 2020. The divisor
    makes it comparable between numbers of images; it does not change a ranking.
    """
    items, classes = evidence.target.shape
    return min(1.0, float(np.linalg.norm(evidence.target, "nuc") / math.sqrt(items * min(items, classes))))


def snd(evidence: Evidence, temperature: float = 0.05) -> float:
    """Soft neighborhood density: mean entropy of the softmax over cosine similarities to all other images.

    Saito et al., "Tune it the Right Way", ICCV 2021; similarities between class probabilities, 0 to ln(n − 1).
    """
    unit = evidence.target / np.linalg.norm(evidence.target, axis=1, keepdims=True)
    if len(unit) < 2:
        raise UndefinedMetricError("one image has no neighbours", key="target")
    densities = []
    for start in range(0, len(unit), 1024):  # rows at a time: n × n similarities need not be in memory at once
        scaled = unit[start : start + 1024] @ unit.T / temperature
        rows = np.arange(len(scaled))
        scaled[rows, rows + start] = -np.inf
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        densities.append(_entropies(weights / weights.sum(axis=1, keepdims=True)))
    return float(np.concatenate(densities).mean())


def source_accuracy(evidence: Evidence) -> float:
    """Accuracy on held-out source images, 0 to 1."""
    return accuracy(_need(evidence.source, "source"), _need(evidence.source_labels, "source_labels"))


def agreement(evidence: Evidence) -> float:
    """Share of target images on which the candidate predicts what the source-only model predicts, 0 to 1."""
    return accuracy(evidence.target, _need(evidence.reference, "reference").argmax(axis=1))


def im_source(evidence: Evidence) -> float:
    """IM ÷ ln K plus source accuracy, 0 to 2: confidence and diversity that may not cost the source task."""
    return im(evidence) / math.log(max(2, evidence.target.shape[1])) + source_accuracy(evidence)


VALIDATORS: Mapping[str, Validator] = MappingProxyType(
    {v.__name__: v for v in (class_ami, im, bnm, entropy, snd, source_accuracy, agreement, im_source)}
)
"""Name in a configuration → validator."""


def _entropies(probabilities: Floats) -> Floats:
    """Entropy of each row in nats, with 0 ln 0 = 0."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return np.asarray(-(probabilities * logs).sum(axis=1), dtype=np.float64)


def _need(value: T | None, name: str) -> T:
    if value is None:
        raise UndefinedMetricError(
            "this validator needs evidence that is missing", key=name, remedy=f"collect {name} or choose another"
        )
    return value
