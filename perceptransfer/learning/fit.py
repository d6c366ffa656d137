"""Run one Lightning training for a fixed number of steps."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import torch

from perceptransfer.core.errors import DivergedError

Progress = Callable[[str, int, int], None]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True)
class Runtime:
    """Where training runs; nothing here is part of a result's identity.

    ``accelerator`` and ``devices`` are Lightning's (``cpu``, ``gpu``, ``auto``; several devices train in processes
    of their own and each sees its own batches). ``progress`` is called with (stage, step, steps).
    """

    accelerator: str = "auto"
    devices: int = 1
    workers: int = 0
    progress: Progress | None = None


class FiniteLoss(L.Callback):
    """Stop at the first NaN or infinite loss instead of training on.

    On an accelerator the value is fetched only every ``every`` steps, because reading it waits for the device.
    """

    def __init__(self, stage: str, every: int = 25) -> None:
        self.stage, self.every = stage, every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        last = trainer.global_step >= (trainer.max_steps or 0)
        if loss.device.type != "cpu" and batch_idx % self.every and not last:
            return
        if not bool(torch.isfinite(loss)):
            raise DivergedError(
                f"the loss became {float(loss)} at step {batch_idx}",
                where=self.stage,
                key=f"{self.stage}.lr",
                remedy="lower the learning rate or look for NaN in the images",
            )


class _Report(L.Callback):
    def __init__(self, stage: str, steps: int, progress: Progress) -> None:
        self.stage, self.steps, self.progress = stage, steps, progress

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        trainer: L.Trainer = args[0]
        self.progress(self.stage, trainer.global_step, self.steps)


def computes_bfloat16(accelerator: str = "cpu") -> bool:
    """Whether Lightning's ``accelerator`` computes in bfloat16; only the processor is asked, the others are said to.

    Where oneDNN has no such kernels (x86 without AVX-512), a convolution takes ten times as long as in float32.
    """
    if accelerator == "auto" and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        return True
    if accelerator not in ("auto", "cpu"):
        return True
    onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fit(
    module: L.LightningModule,
    batches: Iterable[Any],
    *,
    stage: str,
    steps: int,
    runtime: Runtime,
    precision: Precision = "32-true",
) -> None:
    """Train ``module`` in place for ``steps`` optimiser steps.

    ``bf16-mixed`` is a leave, not an order: where `computes_bfloat16` is false, float32 takes its place.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    if steps <= 0:
        return
    if precision == "bf16-mixed" and not computes_bfloat16(runtime.accelerator):
        precision = "32-true"
    callbacks: list[L.Callback] = [FiniteLoss(stage)]
    if runtime.progress is not None:
        callbacks.append(_Report(stage, steps, runtime.progress))
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Lightning warns about few loader workers and missing validation loops; both are meant here.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator=runtime.accelerator,
            devices=runtime.devices,
            # Spawned processes hand the weights back to this one, so that later stages run once, not once a rank.
            strategy="ddp_spawn" if runtime.devices > 1 else "auto",
            precision=precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=callbacks,
        )
        trainer.fit(module, train_dataloaders=batches)
    module.to("cpu")
