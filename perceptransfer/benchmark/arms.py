"""The arms of the comparison, each made from the one pipeline under test so that nothing else differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perceptransfer.core.config import evolve
from perceptransfer.core.errors import ConfigError
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain, Specialize


@dataclass(frozen=True)
class Arm:
    """One line of the table.

    ``labels``: has cells at fractions above 0; ``zero``: has a cell at fraction 0; ``control``: repeats another arm
    with the steps of the whole pipeline, or is a sanity row, and runs only where it is named. ``pretrained``: starts
    from given weights. ``shuffled``: the real labels are permuted over their images.
    """

    name: str
    description: str
    labels: bool
    zero: bool
    build: Callable[[Pipeline], Pipeline]
    control: bool = False
    pretrained: bool = False
    shuffled: bool = False


def _only(pipeline: Pipeline, **stages: object) -> Pipeline:
    left_out: dict[str, object] = dict.fromkeys(pipeline.stages)
    return evolve(pipeline, **{**left_out, **stages})


def _pretrain(pipeline: Pipeline) -> Pretrain:
    return pipeline.part(Pretrain)


def total_steps(pipeline: Pipeline) -> int:
    """Optimiser steps of all stages together."""
    return sum(stage.total_steps for stage in pipeline.stages.values() if stage is not None)


def _real_only(pipeline: Pipeline, steps: int) -> Pipeline:
    return _only(pipeline, pretrain=evolve(_pretrain(pipeline), roles=["labeled"], steps=steps))


def _mix(pipeline: Pipeline) -> Pipeline:
    pretrain = _pretrain(pipeline)
    steps = pretrain.total_steps + pipeline.part(Finetune).total_steps
    half = max(1, pretrain.batch_size // 2)  # the batch as a whole stays as large as in the other arms
    return _only(pipeline, pretrain=evolve(pretrain, roles=["synthetic", "labeled"], steps=steps, batch_size=half))


def _adabn(pipeline: Pipeline) -> Pipeline:
    return _only(pipeline, pretrain=_pretrain(pipeline), specialize=Specialize(rollback=False))


def _probe(pipeline: Pipeline) -> Pipeline:
    steps = _pretrain(pipeline).total_steps
    changes = {"tune": "head", "lora_rank": None, "replay_weight": 0.0, "pseudo_weight": 0.0, "rounds": 1}
    return _only(pipeline, finetune=evolve(pipeline.part(Finetune), steps=steps, **changes))


def _labels_alone(pipeline: Pipeline) -> Pipeline:
    # The pseudo-labels of a semi-supervised fine-tuning are what the other arms add.
    finetune = evolve(pipeline.part(Finetune), pseudo_weight=0.0)
    return _only(pipeline, pretrain=_pretrain(pipeline), finetune=finetune)


def _stages(*kinds: type[Align] | type[SelfTrain] | type[Finetune]) -> Callable[[Pipeline], Pipeline]:
    def build(pipeline: Pipeline) -> Pipeline:
        parts = {kind.name: pipeline.part(kind) for kind in kinds}
        return _only(pipeline, pretrain=_pretrain(pipeline), **parts)

    return build


ARMS = {
    arm.name: arm
    for arm in (
        Arm("A", "real-only from scratch", True, False, lambda p: _real_only(p, _pretrain(p).total_steps)),
        Arm(
            "A+",
            "real-only with the steps of the whole pipeline",
            True,
            False,
            lambda p: _real_only(p, total_steps(p)),
            True,
        ),
        Arm(
            "B",
            "real-only from given pretrained weights",
            True,
            False,
            lambda p: _real_only(p, _pretrain(p).total_steps),
            pretrained=True,
        ),
        Arm("C", "frozen encoder with given weights + probe on real labels", True, False, _probe, pretrained=True),
        Arm("D", "synthetic-only", False, True, lambda p: _only(p, pretrain=_pretrain(p))),
        Arm(
            "D+",
            "synthetic-only with the steps of the whole pipeline",
            False,
            True,
            lambda p: _only(p, pretrain=evolve(_pretrain(p), steps=total_steps(p))),
            True,
        ),
        Arm("D'", "synthetic-only + AdaBN on unlabeled real", False, True, _adabn),
        Arm("E", "mix of synthetic and real labels in every batch", True, False, _mix),
        Arm("F", "synthetic → fine-tune on labels alone", True, True, _labels_alone),
        Arm("G", "synthetic → align → fine-tune", True, True, _stages(Align, Finetune)),
        Arm("H", "synthetic → self-train → fine-tune", True, True, _stages(SelfTrain, Finetune)),
        Arm("I", "the whole pipeline", True, True, lambda p: p),
        Arm(
            "S",
            "sanity: real-only on shuffled labels",
            True,
            False,
            lambda p: _real_only(p, _pretrain(p).total_steps),
            control=True,
            shuffled=True,
        ),
    )
}


def choose(names: list[str] | None, pipeline: Pipeline, weights: Encoder | None) -> dict[str, Pipeline]:
    """Pipelines of the arms by name; ``None`` takes all but the controls that stages and ``weights`` allow.

    Raises:
        ConfigError: an unknown name, or an arm whose stage is left out or whose weights are not given.
    """
    if names is None:
        standard = {name: _build(arm, pipeline, weights) for name, arm in ARMS.items() if not arm.control}
        return {name: built for name, built in standard.items() if isinstance(built, Pipeline)}
    built = {}
    for name in names:
        if name not in ARMS:
            raise ConfigError(f"unknown arm {name!r}", key="arms", remedy=f"choose among {', '.join(ARMS)}")
        made = _build(ARMS[name], pipeline, weights)
        if isinstance(made, ConfigError):
            raise made
        built[name] = made
    return built


def _build(arm: Arm, pipeline: Pipeline, weights: Encoder | None) -> Pipeline | ConfigError:
    if arm.pretrained and weights is None:
        return ConfigError(
            f"arm {arm.name} starts from pretrained weights and none are given",
            key="weights",
            remedy="name an encoder with weights (pretrained: true, or local-dir:FOLDER), or leave the arm out",
        )
    try:
        return arm.build(evolve(pipeline, encoder=weights) if arm.pretrained else pipeline)
    except ConfigError as error:
        return error
