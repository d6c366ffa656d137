"""Fit one model to one device's unlabeled images, and take it back when that looks worse."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import to_tensor
from perceptransfer.learning import Runtime, build_model, build_tasks, to_checkpoint
from perceptransfer.metrics.validators import VALIDATORS
from perceptransfer.models import adapt_batchnorm
from perceptransfer.stages.base import Domains, Stage, StageResult, positive, share
from perceptransfer.stages.evidence import collect, validators
from perceptransfer.tasks import classifier


class Specialize(Stage):
    """Offline AdaBN: batch-norm statistics re-estimated on the device's own images (Li et al., 2016).

    With ``rollback`` the change is kept only where the label-free ``validator`` did not fall, since AdaBN helps some
    checkpoints and costs others several points; without a classification task no validator applies, and the change is
    kept unjudged, as the report says. A model without batch norm passes unchanged. The images are those of
    the data's device folder, or all unlabeled real images where none is given.

    Args:
        alpha: Share of the device's statistics in the blend, 0 to 1.
        batch_size: Images over which one batch's statistics are taken.
        validator: Label-free validator that judges before against after.
        rollback: Return to the incoming checkpoint when the validator falls.
    """

    name: ClassVar[str] = "specialize"

    def __init__(
        self,
        alpha: float = 1.0,
        batch_size: int = 128,
        validator: str = "class_ami",
        rollback: bool = True,
    ) -> None:
        positive(self.name, batch_size=batch_size)
        share(self.name, alpha=alpha)
        if validator not in VALIDATORS or validator == "agreement":
            raise ConfigError(
                f"{validator!r} is no validator, or compares with the model before and so cannot judge that one",
                key="specialize.validator",
                remedy=f"use one of {', '.join(name for name in VALIDATORS if name != 'agreement')}",
            )
        self.alpha, self.batch_size, self.validator, self.rollback = alpha, batch_size, validator, rollback

    @property
    def reads(self) -> tuple[str, ...]:
        return ("device", "synthetic_val")

    @property
    def requires(self) -> tuple[str, ...]:
        return ("device",)

    @property
    def total_steps(self) -> int:
        return 0

    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        device, held_out = data["device"], data.get("synthetic_val")
        model, judge = build_model(checkpoint, seed=seed), classifier(build_tasks(checkpoint))
        evidence = None if judge is None else collect(model, judge.name, device, held_out)
        # Folders are sorted by class or time: a batch must hold a cross-section, not one class.
        order = np.random.default_rng(seed).permutation(len(device))
        if len(order) > self.batch_size:
            order = order[: len(order) // self.batch_size * self.batch_size]
        parts = np.array_split(order, max(1, len(order) // self.batch_size))
        with torch.no_grad():
            change = adapt_batchnorm(model, (to_tensor(device.images(part)) for part in parts), self.alpha)
        report: dict[str, Any] = {"adabn": asdict(change), "validator": None, "rolled_back": False}
        if judge is None or evidence is None:
            report["reason"] = "the model has no classification task, from which validators read: kept unjudged"
        else:
            before, reference = evidence
            after, _ = collect(model, judge.name, device, held_out, reference)
            scores = {"before": validators(before), "after": validators(after)}
            judged = [found.get(self.validator) for found in scores.values()]
            report |= {"validators_before": scores["before"], "validators_after": scores["after"]}
            if judged[0] is None or judged[1] is None:
                report["reason"] = f"{self.validator} has no value on these images: kept unjudged"
            else:
                report |= {"validator": self.validator, "rolled_back": self.rollback and judged[1] < judged[0]}
        kept = not report["rolled_back"] and change.layers > 0
        result = to_checkpoint(model, checkpoint, {"stage": self.name}) if kept else checkpoint
        return StageResult(result, report)
