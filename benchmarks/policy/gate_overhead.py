"""Time of one gate check: ``python benchmarks/policy/gate_overhead.py [--gate FILE] [--count N]``."""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from perceptransfer.policy.gates import Evidence, Gate, read_gate


def state(gate: Gate, rng: np.random.Generator) -> Evidence:
    """A robot at rest in the middle of its envelope, with a random Jacobian."""
    n, k = gate.action.joints, gate.shapes["tool_position"][0]
    joints, box = gate.constraints["joints"], next(c for c in gate.constraints.values() if c.kind == "workspace_box")
    return Evidence.taken(
        0.0,
        joint_position=(joints.low + joints.high) / 2,
        joint_velocity=np.zeros(n),
        joint_temperature=np.full(n, 30.0),
        tool_position=(box.low + box.high) / 2,
        tool_jacobian=rng.normal(size=(k, n)) * 0.2,
        contact_force=np.zeros(k),
        actuator_delay=0.02,
        human_distance=3.0,
        controller_health=1.0,
    )


def main() -> None:
    """Print median and 99th percentile by decision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", default="configs/gates/planar_reach.yaml")
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    gate, rng = read_gate(options.gate), np.random.default_rng(0)
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.count):
        evidence = state(gate, rng)
        at_rest = gate.action.hold(evidence.readings)
        decision = gate.check(evidence, at_rest + rng.normal(size=at_rest.shape) * rng.choice([0.01, 3.0]), now=0.0)
        spent[decision.kind].append(decision.latency)
    spent["all"] = [time for times in list(spent.values()) for time in times]
    print(f"{options.gate}: {len(gate.constraints)} constraints, {gate.action.joints} joints; at most 0.2 ms is meant")
    for kind, times in spent.items():
        median, late = np.quantile(times, [0.5, 0.99]) * 1e3
        print(f"{kind:<5} {len(times):>6} checks, median {median:.3f} ms, 99 % {late:.3f} ms")


if __name__ == "__main__":
    main()
