"""The smallest experiment that goes through every stage: few digits, a few steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perceptransfer.data import Domain, FontDigits, ImageSet, ImageSource, ScannedDigits, TransferData
from perceptransfer.learning import Runtime, initial_checkpoint
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain, Specialize, StageResult
from perceptransfer.tasks import Classification

CPU = Runtime(accelerator="cpu")


class FewScanned(ImageSource):
    """Every ``step``-th of the scanned digits, so that a prediction of all of them takes no time."""

    def __init__(self, step: int = 9) -> None:
        self.step = step

    def load(self, size: tuple[int, int]) -> ImageSet:
        return _few(ScannedDigits().load(size), self.step)


def _few(images: ImageSet, step: int) -> ImageSet:
    return images.take(range(0, len(images), step))


def tiny_data(**changes: Any) -> TransferData:
    return TransferData(**{"synthetic": FontDigits(count=160), "real": FewScanned(), "real_fraction": 0.2, **changes})


def tiny_pipeline(**changes: Any) -> Pipeline:
    parts: dict[str, Any] = {
        "pretrain": Pretrain(steps=6, batch_size=16),
        "align": Align(steps=3, batch_size=16),
        "self_train": SelfTrain(rounds=2, steps=2, batch_size=16),
        "finetune": Finetune(steps=4, head_steps=1, batch_size=8, replay_weight=0.5, pseudo_weight=0.5, rounds=2),
        "specialize": Specialize(batch_size=32),
    }
    encoder = Encoder(options={"widths": [4, 8], "dim": 16, "downsample": "stride"})
    return Pipeline(encoder, [Classification(10)], **{**parts, **changes})


def tiny_start(domains: Mapping[str, Domain]) -> StageResult:
    """A network that has seen a few synthetic digits: what later stages start from."""
    encoder = Encoder(options={"widths": [4, 8, 8], "dim": 16, "downsample": "stride"})
    initial = initial_checkpoint(encoder, [Classification(10)])
    return Pretrain(steps=20, batch_size=16).run(initial, {"synthetic": domains["synthetic"]}, seed=0, runtime=CPU)
