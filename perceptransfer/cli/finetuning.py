"""The command that tunes a policy on the (simulated) robot."""

from __future__ import annotations

from pathlib import Path

from perceptransfer.core.files import write_atomic
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.finetuning import SPREADS, Subset, target_conditions, target_robot, tunable
from perceptransfer.robot.look import Look
from perceptransfer.robot.policies import open_policy
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.tuning_report import claim_lines, table
from perceptransfer.robot.update import CrossEntropy


def finetune(
    policy: str,
    target: str,
    dynamics: str,
    gate: str,
    output: str,
    bundle: str | None = None,
    subset: Subset = "gain_schedule",
    updates: int = 3,
    pairs: int = 4,
    spread: float | None = None,
    max_intervention_rate: float = 0.2,
    intervention_budget: int = 5000,
    min_success: float = 0.8,
    learning: int = 8,
    watch: int = 12,
    starts: int = 20,
    seed: int = 0,
) -> int:
    """Tune the smallest part of a frozen policy on the target robot, behind gates, with budget and rollback.

    The robot is the simulated world in the target's look and dynamics. Run again on the same folder, the command goes
    on where it was, also after a kill.

    Args:
        policy: Folder of a trained policy.
        target: Look file of the target.
        dynamics: File of the target's dynamics.
        gate: Gate file: the limits, with units.
        output: Folder for the ledger, checkpoints, report.json and table.md.
        bundle: Folder of the exported encoder that the policy was trained on.
        subset: What may move: gain_schedule, residual or lora.
        updates: Number of updates.
        pairs: Pairs of trials in an update, one either side of the present weights.
        spread: Standard deviation of the first trials in units of the weights; null takes the subset's own.
        max_intervention_rate: Share of ticks that the gate may change of the frozen policy; above it nothing is tuned.
        intervention_budget: Ticks that learning may have changed by the gate, in all.
        min_success: Success that the deployment claim demands under each final condition.
        learning: Starts that each trial is scored on.
        watch: Starts on which an update is kept or rolled back.
        starts: Starts of each final condition.
        seed: Seed of the trials.
    """
    head, about, encoder = open_policy(policy, bundle)
    rules = Rules(
        max_intervention_rate=max_intervention_rate, intervention_budget=intervention_budget, updates=updates,
        min_success=min_success,
    )  # fmt: skip
    first, second, final = target_conditions(
        about.world, Look.read(target), Dynamics.read(dynamics), learning=learning, watch=watch, final=starts
    )
    robot = target_robot(read_gate(gate), head, about, encoder)
    try:
        report = GatedFineTuning(
            robot,
            tunable(head, subset, seed),
            CrossEntropy(pairs=pairs, elites=min(3, 2 * pairs), spread=SPREADS[subset] if spread is None else spread),
            rules,
            learning=first,
            watch=second,
            final=final,
            folder=Path(output),
            seed=seed,
            encoder_hash=about.bundle,
            progress=lambda line: print(line, flush=True),
        ).run()
    finally:
        robot.close()
    lines = claim_lines(report)
    write_atomic(Path(output) / "table.md", table(report) + "\n" + "".join(f"- {line}\n" for line in lines))
    print(table(report), *lines, sep="\n")
    return 0 if report["refused"] is None else 1
