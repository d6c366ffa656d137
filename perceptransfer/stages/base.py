"""What every stage shares: declared reads, its own seed, the training phase and a report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError, DataError, TestDomainError
from perceptransfer.core.phase import phase
from perceptransfer.core.seeding import seed_everything
from perceptransfer.data import Domain, TestDomain
from perceptransfer.learning import Runtime

Domains = Mapping[str, Domain]


@dataclass(frozen=True)
class StageResult:
    """What a stage hands on: the checkpoint and plain data about how it got there."""

    checkpoint: Checkpoint
    report: dict[str, Any]


class Stage(Configurable, ABC):
    """One step from checkpoint to checkpoint.

    A stage is given the domains that it declares in `reads` and no others; the result is identified by the parent
    checkpoint, the stage's arguments and code, the fingerprints of those domains and the seed.
    """

    name: ClassVar[str]
    IF_GIVEN: ClassVar[frozenset[str]] = frozenset({"weighting"})

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Roles of the domains that the stage uses. Those that are empty are left out of ``data``."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Roles without which there is nothing to do, so that the stage is skipped; all of `reads` unless narrowed."""
        return self.reads

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """Optimiser steps of the whole stage; 0 where nothing is optimised."""

    def applies(self, data: Domains) -> bool:
        """Whether every required domain has images."""
        return all(role in data and len(data[role]) for role in self.requires)

    def run(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime | None = None) -> StageResult:
        """Train. Equal arguments give bit-equal weights on CPU.

        Raises:
            TestDomainError: a test domain is among ``data``.
            DataError: a required domain is missing or empty.
            DivergedError: a loss became NaN or infinite.
        """
        for role, domain in data.items():
            if isinstance(domain, TestDomain):
                raise TestDomainError(
                    f"the {self.name} stage was given the test domain as {role!r}",
                    remedy="pass training domains only; the pipeline evaluates afterwards",
                )
        if not self.applies(data):
            raise DataError(
                f"the {self.name} stage needs {', '.join(self.requires)}, found {', '.join(data) or 'nothing'}",
                remedy="give the missing images or set the stage to null",
            )
        seen = {role: data[role] for role in self.reads if role in data and len(data[role])}
        seed_everything(seed)
        with phase("training"):
            return self.train(checkpoint, seen, seed=seed, runtime=runtime or Runtime())

    @abstractmethod
    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        """The stage itself; called by `run` with checked data inside the training phase."""


def positive(stage: str, **values: float) -> None:
    """Refuse step counts, batch sizes and rates that are not above zero.

    Raises:
        ConfigError: naming the stage's key.
    """
    for key, value in values.items():
        if not value > 0:
            raise ConfigError(f"{value} is not above zero", key=f"{stage}.{key}", remedy="give a positive number")


def share(stage: str, **values: float) -> None:
    """Refuse values outside 0 to 1.

    Raises:
        ConfigError: naming the stage's key.
    """
    for key, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{value} is outside 0 to 1", key=f"{stage}.{key}", remedy="give a share from 0 to 1")
