"""Supervised training on synthetic images, on real ones, or on a mix."""

from __future__ import annotations

from typing import Any, ClassVar

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import Augmentation, Stream, batches
from perceptransfer.learning import (
    Optim,
    Precision,
    Runtime,
    SupervisedModule,
    build_model,
    build_tasks,
    fit,
    to_checkpoint,
)
from perceptransfer.stages.base import Domains, Stage, StageResult, positive, share
from perceptransfer.weighting import Weighting


class Pretrain(Stage):
    """Train from scratch (or from the encoder's pretrained weights) on the labels of the domains named in ``roles``.

    ``roles`` holds ``synthetic`` (source-only training), ``labeled`` (real-only) or both (every batch holds
    ``batch_size`` images of each). ``balanced`` draws the classes equally often. ``weighting`` makes one loss of the
    tasks' losses: any `Weighting`, also a user's own by import path; null for their plain sum. ``precision`` is
    Lightning's; ``bf16-mixed`` means float32 where the hardware lacks bfloat16.

    Raises:
        ConfigError: a domain without labels, or a number out of range.
    """

    name: ClassVar[str] = "pretrain"

    def __init__(
        self,
        steps: int = 400,
        batch_size: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        warmup: float = 0.0,
        roles: list[str] | None = None,
        balanced: bool = True,
        augment: Augmentation | None = None,
        ema_decay: float | None = None,
        precision: Precision = "32-true",
        weighting: Weighting | None = None,
    ) -> None:
        positive(self.name, steps=steps, batch_size=batch_size, lr=lr)
        share(self.name, warmup=warmup)
        self.roles = ["synthetic"] if roles is None else list(roles)
        if not self.roles or set(self.roles) - {"synthetic", "labeled"}:
            raise ConfigError(
                f"cannot train on {self.roles}", key="pretrain.roles", remedy="name 'synthetic', 'labeled' or both"
            )
        self.optim = Optim(steps, lr, weight_decay, warmup=warmup)
        self.batch_size, self.balanced, self.augment = batch_size, balanced, augment
        self.ema_decay, self.precision, self.weighting = ema_decay, precision, weighting

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.roles)

    @property
    def total_steps(self) -> int:
        return self.optim.steps

    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        module = SupervisedModule(
            build_model(checkpoint, seed=seed),
            build_tasks(checkpoint),
            self.optim,
            ema_decay=self.ema_decay,
            weighting=instantiate(config_of(self.weighting)),
        )
        streams = {
            role: Stream(domain, self.batch_size, self.augment, balanced=self.balanced) for role, domain in data.items()
        }
        loader = batches(streams, steps=self.optim.steps, seed=seed, workers=runtime.workers)
        fit(module, loader, stage=self.name, steps=self.optim.steps, runtime=runtime, precision=self.precision)
        report: dict[str, Any] = {
            "images": {role: len(domain) for role, domain in data.items()},
            "steps": self.optim.steps,
            **module.sharing.report(),
        }
        return StageResult(to_checkpoint(module.final_model(), checkpoint, {"stage": self.name}), report)
