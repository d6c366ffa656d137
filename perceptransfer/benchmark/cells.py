"""The grid: which cells there are, and which pipeline and domains each of them uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perceptransfer.benchmark.arms import ARMS, Arm, choose
from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError, FractionError
from perceptransfer.data import DomainSet, TransferData
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline, PlannedStage


@dataclass(frozen=True)
class Cell:
    """One arm at one fraction of real labels with one seed."""

    arm: str
    fraction: float
    seed: int


class Grid(Configurable):
    """Arms x fractions x seeds over one data set and one pipeline.

    ``fractions`` are shares 0..1 of the real label pool. Arms without real labels have their cell at 0 only.
    ``weights`` is the pretrained encoder of arms B and C.

    Raises:
        FractionError: a fraction outside 0..1.
        ConfigError: no seed, no fraction, or an unknown arm.
    """

    def __init__(
        self,
        data: TransferData,
        pipeline: Pipeline,
        arms: list[str] | None = None,
        fractions: list[float] | None = None,
        seeds: list[int] | None = None,
        weights: Encoder | None = None,
    ) -> None:
        self.data, self.pipeline = data, pipeline
        self._pipelines = choose(arms, pipeline, weights)
        self.arms: list[Arm] = [ARMS[name] for name in self._pipelines]
        self.fractions = sorted({0.0, 0.01, 0.1, 1.0} if fractions is None else {float(f) for f in fractions})
        self.seeds = sorted({0, 1, 2} if seeds is None else set(seeds))
        for fraction in self.fractions:
            if not 0 <= fraction <= 1:
                raise FractionError(
                    f"fraction {fraction} is outside 0 to 1", key="fractions", remedy="1 % is written 0.01"
                )
        if not self.fractions or not self.seeds or not self.arms:
            raise ConfigError("nothing to run", key="fractions, seeds, arms", remedy="name at least one of each")
        self._domains: dict[tuple[float, int, bool], DomainSet] = {}

    def cells(self) -> Iterator[Cell]:
        """All cells, seed by seed."""
        for seed in self.seeds:
            for arm in self.arms:
                for fraction in self.fractions:
                    if arm.labels if fraction > 0 else arm.zero:
                        yield Cell(arm.name, fraction, seed)

    def uses_labels(self, cell: Cell) -> bool:
        """Whether the cell's arm trains on real labels."""
        return any(arm.labels for arm in self.arms if arm.name == cell.arm)

    def domains(self, cell: Cell) -> DomainSet:
        """Domains of a cell; arms of one fraction and seed share them, but for the one whose labels are shuffled."""
        where = cell.fraction, cell.seed, ARMS[cell.arm].shuffled
        if where not in self._domains:
            shuffle = True if ARMS[cell.arm].shuffled else None
            self._domains[where] = self.data.prepare(cell.seed, cell.fraction, shuffle_labels=shuffle)
        return self._domains[where]

    def open(self, cell: Cell) -> tuple[Pipeline, DomainSet, list[PlannedStage]]:
        """Pipeline, domains and plan of a cell."""
        pipeline, domains = self._pipelines[cell.arm], self.domains(cell)
        return pipeline, domains, pipeline.plan(domains, cell.seed)


def describe_arms(grid: Grid) -> dict[str, str]:
    """One line an arm."""
    return {arm.name: ARMS[arm.name].description for arm in grid.arms}
