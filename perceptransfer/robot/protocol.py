"""Fine-tuning on hardware as a controlled experiment: limits, budget, checkpoints, rollback, and one row per tick."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.core.config import digest, identity_of
from perceptransfer.core.errors import ProtocolError
from perceptransfer.core.files import write_atomic
from perceptransfer.core.seeding import derive_seed
from perceptransfer.metrics import rate_interval
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.attribution import attributions
from perceptransfer.robot.claims import Pairs
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.journal import Journal
from perceptransfer.robot.record import TickRecorder, plain, tick_row
from perceptransfer.robot.rollout import Condition, Episode, run_episode, totals
from perceptransfer.robot.statistics import Rules, compare
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.tuning_report import compose
from perceptransfer.robot.update import UpdateRule


class _Halted(Exception):
    """An update that must not go on: a state outside the envelope, or no budget left."""


class GatedFineTuning:
    """Runs the protocol; run again on the same folder, it goes on where it was, also after a kill.

    The untuned policy runs behind the gate from the ``watch`` starts first. Only if the upper bound of its
    intervention rate is below ``rules.max_intervention_rate`` and nothing left the envelope are updates made: each is
    preceded by a checkpoint, learns from the ``learning`` starts and is judged by `statistics.compare` on the
    ``watch`` starts against its predecessor, to which it is rolled back if it does not pass. At the end the frozen
    and the tuned policy run under every ``final`` condition. ``progress`` is told of each panel that was run and of
    each update's end.

    Raises:
        ProtocolError: the folder holds another run.
    """

    def __init__(
        self,
        env: GatedEnv,
        policy: TunablePolicy,
        rule: UpdateRule,
        rules: Rules,
        *,
        learning: Condition,
        watch: Condition,
        final: Sequence[Condition],
        folder: Path,
        seed: int = 0,
        encoder_hash: str | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.progress = progress
        self.env, self.policy, self.rule, self.rules, self.seed = env, policy, rule, rules, seed
        self.learning, self.watch, self.final = learning, watch, list(final)
        panels = {c.name: digest([repr(c.starts), repr(sorted(c.options.items()))]) for c in (learning, watch, *final)}
        hashes = {"gate": env.gate.identity(), "encoder": encoder_hash, "frozen": policy.frozen_hash}
        self.hashes = {key: None if value is None else value[:16] for key, value in hashes.items()}
        identity = {**hashes, "start": policy.state_hash(), "rules": asdict(rules), "seed": seed}
        self.journal = Journal(folder, {**identity, "rule": identity_of(rule), "panels": panels})
        self.recorder = TickRecorder(self.journal.ledger)
        env.record = self._tick

    def run(self) -> dict[str, Any]:
        """The whole protocol; the report, which is also written as ``report.json``."""
        start = self.journal.save(self.policy.checkpoint())
        current = self._evaluate("baseline", self.watch)
        refused = self._refusal(current)
        if refused is None:
            for update in range(self.rules.updates):
                if self.journal.spent >= self.rules.intervention_budget:
                    break
                current = self._update(update, current)
        tuned = self.policy.state_hash()
        pairs: dict[str, tuple[list[Episode], list[Episode]]] = {}
        for condition in self.final if refused is None else ():
            both = []
            for name, weights in (("frozen", start), ("tuned", tuned)):
                self.policy.restore(self.journal.load(weights))
                both.append(self._evaluate(f"final {name}", condition))
            pairs[condition.name] = (both[0], both[1])
        self.policy.check_frozen()
        return self._report(start, tuned, refused, pairs)

    def _tick(self, tick: Tick) -> None:
        self.journal.count({**self.recorder.context, **tick_row(tick)})
        self.recorder(tick)

    def _run(self, phase: str, condition: Condition, update: int | None = None) -> list[Episode]:
        """Episodes from all starts of a condition, every tick on record."""
        episodes = []
        context = {**self.hashes, "policy": self.policy.state_hash()[:16], "phase": phase, "update": update}
        for start in range(len(condition.starts)):
            self.recorder.context = {**context, "condition": condition.name, "start": start}
            episodes.append(run_episode(self.env, self.policy, condition, start))
            self.recorder.flush()
            if update is not None and episodes[-1].violations:
                raise _Halted(f"{episodes[-1].violations} ticks outside the envelope during {phase}")
            if update is not None and self.journal.spent > self.rules.intervention_budget:
                raise _Halted("the intervention budget is spent")
        place = phase if update is None else f"update {update}, {phase}"
        self.progress(f"{place}, {condition.name}: {sum(e.success for e in episodes)}/{len(episodes)}")
        return episodes

    def _evaluate(self, phase: str, condition: Condition) -> list[Episode]:
        """Episodes of the present weights; taken from the ledger if they were run before."""
        key = {"phase": phase, "condition": condition.name, "policy": self.policy.state_hash()}
        row = self.journal.find("evaluation", **key)
        if row is None:
            episodes = self._run(phase, condition)
            self.journal.note("evaluation", {**key, "episodes": [e.to_row() for e in episodes]})
            return episodes
        return [Episode.from_row(e) for e in row["episodes"]]

    def _refusal(self, episodes: Sequence[Episode]) -> str | None:
        sums = totals(episodes)
        if sums["violations"]:
            return f"the frozen policy left the envelope in {sums['violations']} ticks"
        interval = rate_interval(sums["interventions"], sums["ticks"])
        if interval.high >= self.rules.max_intervention_rate:
            return (
                f"intervention rate of the frozen policy {interval.rate:.3f}, upper bound {interval.high:.3f}, "
                f"declared {self.rules.max_intervention_rate}"
            )
        return None

    def _update(self, update: int, current: list[Episode]) -> list[Episode]:
        """One update, kept or rolled back; the episodes of the weights that stand afterwards."""
        ended = self.journal.find("update_end", update=update)
        if ended is not None:
            self.policy.restore(self.journal.load(ended["after"]))
            return [Episode.from_row(e) for e in ended["standing"]]
        begun = self.journal.find("update_begin", update=update)
        if begun is not None:
            self.journal.note("update_abandoned", {"update": update, "before": begun["before"]})
            self.policy.restore(self.journal.load(begun["before"]))
        before = self.journal.save(self.policy.checkpoint())
        self.journal.note("update_begin", {"update": update, "before": before})
        statistics: dict[str, Any] = {}
        blamed: list[dict[str, Any]] = []
        standing, proposed, reason = current, None, None
        try:
            proposed = self._learn(update)
            checked = self._run("check", self.watch, update)
            verdict = compare(current, checked, self.rules)
            reason, statistics = verdict.reason, verdict.statistics
            if reason is None:
                standing = checked
            else:
                blamed = [a.to_row() for a in attributions(checked, current)]
        except _Halted as halt:
            reason = str(halt)
            self.recorder.flush()
        self.policy.check_frozen()
        if reason is not None:
            self.policy.restore(self.journal.load(before))
        after = self.journal.save(self.policy.checkpoint())
        if reason is not None and after != before:
            raise ProtocolError("the rollback did not restore the checkpoint", where=self.journal.folder)
        content = {"update": update, "before": before, "proposed": proposed, "after": after, "kept": reason is None}
        more = {"reason": reason, "statistics": statistics, "failures": blamed}
        self.journal.note("update_end", {**content, **plain(more), "standing": [e.to_row() for e in standing]})
        self.progress(f"update {update}: " + ("kept" if reason is None else f"rolled back: {reason}"))
        return standing

    def _learn(self, update: int) -> str:
        """Let the rule try weights on the robot and load what it proposes; the hash of that."""

        def score(vector: Floats) -> float:
            if not np.isfinite(vector).all():
                return -math.inf
            self.policy.load_vector(vector)
            episodes = self._run("trial", self.learning, update)
            cost = self.rules.intervention_cost
            return float(np.mean([e.total_reward - cost * e.interventions for e in episodes]))

        rng = np.random.default_rng(derive_seed("update", self.seed, update))
        vector = self.rule.propose(self.policy.vector(), score, rng, update)
        if vector.shape != self.policy.vector().shape or not np.isfinite(vector).all():
            raise _Halted("the proposed weights are not finite or of another size")
        self.policy.load_vector(vector)
        return self.journal.save(self.policy.checkpoint())

    def _report(self, start: str, tuned: str, refused: str | None, pairs: Pairs) -> dict[str, Any]:
        hashes = {"frozen_policy": start, "tuned_policy": tuned, "frozen_weights": self.policy.frozen_hash}
        hashes["gate"] = self.env.gate.identity()
        report = compose(hashes, refused, self.journal, pairs, self.rules)
        if self.journal.find("report") is None:
            self.journal.note("report", {"digest": digest(plain(report))})
        write_atomic(self.journal.folder / "report.json", json.dumps(plain(report), indent=1) + "\n")
        return report
