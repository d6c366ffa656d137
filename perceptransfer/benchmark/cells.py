"""The grid: which cells there are, and which pipeline and domains each of them uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from perceptransfer.benchmark.arms import ARMS, Arm, choose
from perceptransfer.core.config import Configurable, digest, identity_of
from perceptransfer.core.errors import ConfigError, FractionError
from perceptransfer.data import DomainSet, TransferData
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline, PlannedStage
from perceptransfer.tasks import Task


@dataclass(frozen=True)
class Cell:
    """One arm at one fraction of real labels with one seed."""

    arm: str
    fraction: float
    seed: int


class Cells(Configurable, ABC):
    """Arms x fractions x seeds over one data set: a pipeline an arm, made from the one under test.

    Raises:
        FractionError: a fraction outside 0..1.
        ConfigError: no seed, no fraction, or no arm.
    """

    KIND: ClassVar[str]
    """Which report a run of these cells gets."""
    weights: Encoder | None = None
    """A pretrained encoder, where some cells start from one."""

    def __init__(
        self,
        data: TransferData,
        pipeline: Pipeline,
        pipelines: Mapping[str, Pipeline],
        fractions: list[float],
        seeds: list[int],
    ) -> None:
        self.data, self.pipeline, self.pipelines = data, pipeline, dict(pipelines)
        self.fractions, self.seeds = sorted({float(fraction) for fraction in fractions}), sorted(set(seeds))
        self.claims: list[str] = []
        for fraction in self.fractions:
            if not 0 <= fraction <= 1:
                raise FractionError(
                    f"fraction {fraction} is outside 0 to 1", key="fractions", remedy="1 % is written 0.01"
                )
        if not self.fractions or not self.seeds or not self.pipelines:
            raise ConfigError("nothing to run", key="fractions, seeds, arms", remedy="name at least one of each")
        self._domains: dict[tuple[float, int, bool], DomainSet] = {}

    @abstractmethod
    def cells(self) -> Iterator[Cell]:
        """All cells, in the order in which they are run."""

    @abstractmethod
    def describe_arms(self) -> dict[str, str]:
        """One line an arm."""

    def tasks(self, cell: Cell) -> list[Task]:
        """Tasks on which the cell is scored."""
        return self.pipelines[cell.arm].tasks

    def uses_labels(self, cell: Cell) -> bool:
        """Whether the cell's arm trains on real labels."""
        return True

    def shuffles(self, cell: Cell) -> bool:
        """Whether the cell's real labels are permuted over their images."""
        return False

    def domains(self, cell: Cell) -> DomainSet:
        """Domains of a cell; arms of one fraction and seed share them, but for the one whose labels are shuffled."""
        where = cell.fraction, cell.seed, self.shuffles(cell)
        if where not in self._domains:
            self._domains[where] = self.data.prepare(cell.seed, cell.fraction, shuffle_labels=where[2] or None)
        return self._domains[where]

    def setup(self) -> str:
        """Identity of what all cells have in common: pipeline under test, given weights, and all images.

        The test's are among them: no stage reads it, so that the keys of stages would not tell another one apart.
        """
        domains = self.data.prepare(0, 1.0)  # one seed for all runs: which labels are bought depends on it
        prints = {role: domain.fingerprint for role, domain in domains.items()}
        weights = {} if self.weights is None else {"weights": identity_of(self.weights)}
        return digest({"pipeline": identity_of(self.pipeline), "domains": prints, **weights})

    def open(self, cell: Cell) -> tuple[Pipeline, DomainSet, list[PlannedStage]]:
        """Pipeline, domains and plan of a cell."""
        pipeline, domains = self.pipelines[cell.arm], self.domains(cell)
        return pipeline, domains, pipeline.plan(domains, cell.seed)


class Grid(Cells):
    """The arms of `ARMS`. Arms without real labels have their cell at fraction 0 only.

    ``weights`` is the pretrained encoder of arms B and C. ``arm_fractions`` leaves an arm those of the fractions that
    it names: ``{"A+": [1]}`` for one that takes long.

    Raises:
        ConfigError: an unknown arm, or one that the pipeline's stages do not allow.
    """

    KIND: ClassVar[str] = "real_fraction"

    def __init__(
        self,
        data: TransferData,
        pipeline: Pipeline,
        arms: list[str] | None = None,
        fractions: list[float] | None = None,
        seeds: list[int] | None = None,
        weights: Encoder | None = None,
        arm_fractions: dict[str, list[float]] | None = None,
    ) -> None:
        super().__init__(
            data,
            pipeline,
            choose(arms, pipeline, weights),
            [0.0, 0.01, 0.1, 1.0] if fractions is None else fractions,
            [0, 1, 2] if seeds is None else seeds,
        )
        self.weights = weights
        self.arms: list[Arm] = [ARMS[name] for name in self.pipelines]
        self.arm_fractions = arm_fractions or {}
        if unknown := sorted(set(self.arm_fractions) - set(ARMS)):
            raise ConfigError(f"unknown arms {unknown}", key="arm_fractions", remedy=f"use some of {', '.join(ARMS)}")

    def cells(self) -> Iterator[Cell]:
        """All cells, seed by seed."""
        for seed in self.seeds:
            for arm in self.arms:
                for fraction in self.fractions:
                    wanted = fraction in self.arm_fractions.get(arm.name, self.fractions)
                    if wanted and (arm.labels if fraction > 0 else arm.zero):
                        yield Cell(arm.name, fraction, seed)

    def describe_arms(self) -> dict[str, str]:
        return {arm.name: arm.description for arm in self.arms}

    def uses_labels(self, cell: Cell) -> bool:
        return ARMS[cell.arm].labels

    def shuffles(self, cell: Cell) -> bool:
        return ARMS[cell.arm].shuffled
