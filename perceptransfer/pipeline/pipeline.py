"""Five named stages in a row, each found in the store or trained."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import Configurable, config_of, digest, identity_of
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.ledger import Ledger
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data import Domain, TransferData
from perceptransfer.learning import Runtime, initial_checkpoint
from perceptransfer.metrics import TransferReport, check_validator, seed_scores, transfer_report
from perceptransfer.models import Encoder
from perceptransfer.pipeline.evaluate import Evaluation, evaluate
from perceptransfer.pipeline.provenance import machine, run_provenance
from perceptransfer.pipeline.store import Store
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain, Specialize, Stage
from perceptransfer.tasks import Task

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class PlannedStage:
    """A stage with the key of its result and of its parent (``None`` for the first)."""

    name: str
    key: str
    parent: str | None
    stage: Stage
    seed: int


@dataclass(frozen=True)
class PipelineResult:
    """Final checkpoint, reports by stage, store keys by stage, and the score after each stage that ran."""

    checkpoint: Checkpoint
    reports: dict[str, dict[str, Any]]
    keys: dict[str, str]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    seed: int = 0

    @property
    def report(self) -> TransferReport:
        """Scores and transfer numbers of the last stage, against the first as source-only.

        There is no real-only model in a single run, so transfer ratio and gap closed stand there with that reason;
        the benchmark gives them. The interval holds test-item noise only, since there is one seed. Where the tasks
        were exchanged on the way, the first score is of another task and stands for nothing here.
        """
        first, last = (list(self.evaluations.values())[i] for i in (0, -1))
        return replace(
            transfer_report(
                last.counts(),
                task=last.task,
                metric=last.metric,
                direction=last.direction,
                seeds=[self.seed],
                synthetic=None if last.score_synthetic is None else seed_scores([last.score_synthetic]),
                source_only=first.counts() if (first.task, first.metric) == (last.task, last.metric) else None,
            ),
            per_class=last.per_class,
        )


class Pipeline(Configurable):
    """Encoder, tasks and up to five stages; a stage that is ``None`` is left out.

    A stage whose required domains are empty (fine-tuning with no real labels) is skipped as well.
    """

    def __init__(
        self,
        encoder: Encoder,
        tasks: list[Task],
        pretrain: Pretrain | None = None,
        align: Align | None = None,
        self_train: SelfTrain | None = None,
        finetune: Finetune | None = None,
        specialize: Specialize | None = None,
    ) -> None:
        """Take the parts in the order in which they run.

        Raises:
            ConfigError: no task, two tasks of one name, or a validator that measures what a stage trains on.
        """
        names = [task.name for task in tasks]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"tasks need distinct names, found {names}", key="tasks", remedy="name each task once")
        self.encoder, self.tasks = encoder, list(tasks)
        self.stages: dict[str, Stage | None] = {
            "pretrain": pretrain,
            "align": align,
            "self_train": self_train,
            "finetune": finetune,
            "specialize": specialize,
        }
        if specialize is not None:
            losses = [stage.loss for stage in (align, self_train) if stage is not None and stage.loss is not None]
            check_validator(specialize.validator, [type(term).__name__ for loss in losses for term in loss.terms()])

    def part(self, kind: type[S]) -> S:
        """The stage of a kind.

        Raises:
            ConfigError: it is left out.
        """
        stage = self.stages[kind.name]
        if not isinstance(stage, kind):
            raise ConfigError(
                f"the pipeline has no {kind.name} stage",
                key=f"pipeline.{kind.name}",
                remedy="give the stage, or leave out what needs it",
            )
        return stage

    def plan(self, domains: Mapping[str, Domain], seed: int) -> list[PlannedStage]:
        """The stages that will run on these domains, with keys, without running anything.

        A key covers the parent's key, the stage's arguments and code, the fingerprints of only the domains it reads,
        and the seed. Every stage draws its random numbers from its own key, so a run forked from a stored stage goes
        on bit-equal to an uninterrupted one.
        """
        plan: list[PlannedStage] = []
        root = digest({"encoder": identity_of(self.encoder), "tasks": identity_of(self.tasks), "seed": seed})
        for name, stage in self.stages.items():
            if stage is None or not stage.applies(domains):
                continue
            parent = plan[-1].key if plan else None
            reads = {role: domains[role].fingerprint for role in stage.reads if role in domains}
            key = digest({"parent": parent or root, "stage": identity_of(stage), "reads": reads, "seed": seed})
            plan.append(PlannedStage(name, key, parent, stage, derive_seed(key)))
        return plan

    def run_stage(
        self,
        planned: PlannedStage,
        domains: Mapping[str, Domain],
        store: Store,
        runtime: Runtime | None = None,
    ) -> dict[str, Any]:
        """Train one planned stage whose parent stands in the store, put the result there, return its provenance.

        Raises:
            StoreError: the parent is absent or damaged.
        """
        parent = (
            initial_checkpoint(self.encoder, self.tasks)
            if planned.parent is None
            else store.get(planned.parent).checkpoint
        )
        reads = {role: domains[role] for role in planned.stage.reads if role in domains}
        started = time.perf_counter()
        result = planned.stage.run(parent, reads, seed=planned.seed, runtime=runtime)
        provenance = {
            "stage": planned.name,
            "key": planned.key,
            "parent": planned.parent,
            "seed": planned.seed,
            "config": config_of(planned.stage),
            "identity": identity_of(planned.stage),
            "encoder": config_of(self.encoder),
            "tasks": config_of(self.tasks),
            "domains": {role: domain.fingerprint for role, domain in reads.items()},
            "weights": result.checkpoint.state_hash(),
            "seconds": round(time.perf_counter() - started, 3),
            "machine": machine(),
        }
        store.put(planned.key, result.checkpoint, result.report, provenance)
        return provenance

    def run(
        self,
        data: TransferData,
        *,
        seed: int = 0,
        store: Store | None = None,
        ledger: Ledger | None = None,
        runtime: Runtime | None = None,
        evaluate_stages: bool = True,
    ) -> PipelineResult:
        """Run all stages, reusing what the store holds, and score the real test after each of them.

        Without a store the stages' results are kept for this call only. Scores after earlier stages are for reading,
        not for choosing: nothing in the run depends on them.
        """
        if store is None:
            with tempfile.TemporaryDirectory() as folder:
                return self.run(
                    data,
                    seed=seed,
                    store=Store(Path(folder)),
                    ledger=ledger,
                    runtime=runtime,
                    evaluate_stages=evaluate_stages,
                )
        domains = data.prepare(seed)
        plan = self.plan(domains, seed)
        if not plan:
            raise ConfigError("no stage can run", key="pipeline", remedy="give at least pretrain and its images")
        if ledger is not None:
            ledger.append("run", run_provenance(self, data, seed))
        reports, evaluations = {}, {}
        checkpoint = initial_checkpoint(self.encoder, self.tasks)
        for planned in plan:
            if store.find(planned.key) is None:
                provenance = self.run_stage(planned, domains, store, runtime)
                if ledger is not None:
                    ledger.append("stage", provenance)
            entry = store.get(planned.key)
            checkpoint, reports[planned.name] = entry.checkpoint, entry.report
            if evaluate_stages or planned is plan[-1]:
                evaluations[planned.name] = evaluate(checkpoint, domains)
                if ledger is not None:
                    ledger.append(
                        "evaluation",
                        {
                            "key": planned.key,
                            "score": evaluations[planned.name].score,
                            "test": domains["test"].fingerprint,
                            "test_reads": domains["test"].reads,
                        },
                    )
        return PipelineResult(checkpoint, reports, {planned.name: planned.key for planned in plan}, evaluations, seed)
