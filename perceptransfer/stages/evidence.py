"""Label-free evidence about a model: what it says on unlabeled images and on held-out synthetic ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain
from perceptransfer.learning import Predictions, predict
from perceptransfer.metrics import Evidence, bbse, class_shares, prior_shift
from perceptransfer.metrics.validators import VALIDATORS
from perceptransfer.models import PerceptionModel


def collect(
    model: PerceptionModel,
    task: str,
    unlabeled: Domain,
    held_out: Domain | None = None,
    reference: Predictions | None = None,
) -> tuple[Evidence, Predictions]:
    """Evidence for the validators, and the predictions on the unlabeled images from which it was made."""
    with phase("selection"):
        target = predict(model, unlabeled, only=[task])
        source = None if held_out is None or not len(held_out) else predict(model, held_out, only=[task])
        evidence = Evidence.from_logits(
            target.outputs[task],
            features=target.features,
            source=None if source is None else source.outputs[task],
            source_labels=None if source is None or held_out is None else held_out.labels,
            reference=None if reference is None else reference.outputs[task],
        )
    return evidence, target


def validators(evidence: Evidence) -> dict[str, float]:
    """Every validator that this evidence allows, by name."""
    scores = {}
    for name, validator in VALIDATORS.items():
        try:
            scores[name] = float(validator(evidence))
        except UndefinedMetricError:
            continue
    return scores


def prior_report(evidence: Evidence, classes: tuple[str, ...], threshold: float) -> dict[str, Any]:
    """Estimated class shares of the unlabeled images beside the held-out source's, with an alarm.

    An adapted model's own predictions follow whatever class balance its loss prefers; the estimate is therefore to be
    made with the model BEFORE adaptation.
    """
    if evidence.source is None or evidence.source_labels is None:
        return {"alarm": None, "reason": "no held-out synthetic images"}
    try:
        target = bbse(evidence.source, evidence.source_labels, evidence.target, soft=True)
        shift = prior_shift(target, class_shares(evidence.source_labels, len(classes)), threshold=threshold)
    except UndefinedMetricError as error:
        return {"alarm": None, "reason": error.problem}
    return {
        "alarm": bool(shift.alarm),
        "total_variation": shift.total_variation,
        "threshold": threshold,
        "target": dict(zip(classes, np.round(shift.target, 4).tolist(), strict=True)),
        "source": dict(zip(classes, np.round(shift.source, 4).tolist(), strict=True)),
    }
