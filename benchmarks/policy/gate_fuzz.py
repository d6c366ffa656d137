"""A million proposals against one gate: ``python benchmarks/policy/gate_fuzz.py --count 1000000 --seed 0``.

Every pair of action and sensors goes through ``Gate.check`` one by one. What comes out is judged by formulas of its
own, written below for whole arrays from the numbers in configs/gates/planar_reach.yaml, not by the gate's code.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptransfer.policy.gates import Evidence, Kind, Reading, read_gate

Array = NDArray[np.float64]
GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"
NOW, MAX_AGE, MAX_LEAD, DEG = 1000.0, 0.100, 0.005, math.pi / 180
SHAPES = {
    "joint_position": (2,),
    "joint_velocity": (2,),
    "joint_temperature": (2,),
    "tool_position": (2,),
    "tool_jacobian": (2, 2),
    "contact_force": (2,),
    "actuator_delay": (),
    "human_distance": (),
    "controller_health": (),
}
EXTREMES = np.array([0.0, -0.0, 5e-324, 1e-300, 1e-12, 1e12, 1e154, 1e200, 1.7e308])
BROKEN = np.array([np.nan, np.inf, -np.inf])


def plausible(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """States of an arm with links of 0.2 m around its envelope: some inside, some at the edge, some outside."""
    elbow = rng.uniform(0.05, 2.65, count)
    q = np.stack([rng.uniform(-1.1, 1.1, count) - elbow / 2, elbow], axis=1)
    a, b = q[:, 0], q.sum(axis=1)
    tool = 0.2 * np.stack([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b)], axis=1)
    second = 0.2 * np.stack([-np.sin(b), np.cos(b)], axis=1)
    first = 0.2 * np.stack([-np.sin(a), np.cos(a)], axis=1) + second
    return {
        "joint_position": q,
        "joint_velocity": rng.normal(0, 0.6, (count, 2)),
        "joint_temperature": rng.uniform(20, 72, (count, 2)),
        "tool_position": tool,
        "tool_jacobian": np.stack([first, second], axis=2),
        "contact_force": rng.normal(0, 3, (count, 2)) * (rng.random((count, 1)) < 0.5),
        "actuator_delay": rng.uniform(0, 0.21, count),
        "human_distance": rng.uniform(0.4, 3, count),
        "controller_health": np.where(rng.random(count) < 0.97, 1.0, 0.5),
    }


def at_the_edge(rng: np.random.Generator, sensors: dict[str, Array], rows: NDArray[np.intp]) -> None:
    """Put one channel of each row within a few roundings of its limit or margin."""
    ulp = lambda bound: bound * (1 + rng.integers(-3, 4, len(rows)) * 2.0**-52)  # noqa: E731 - one expression
    pick = rng.integers(0, 5, len(rows))
    for case, (channel, bounds) in enumerate(
        [
            ("joint_position", [-2.6, -2.6 + DEG, 2.0, 2.0 - DEG]),
            ("tool_position", [0.40, 0.385, 0.02, 0.035]),
            ("human_distance", [0.5, 0.55]),
            ("contact_force", [15.0, 12.0]),
            ("joint_velocity", [2.5, 2.0]),
        ]
    ):
        value = ulp(rng.choice(bounds, len(rows)))
        chosen = rows[pick == case]
        target = sensors[channel] if sensors[channel].ndim == 1 else sensors[channel][:, 0]
        target[chosen] = value[pick == case]


def spoil(rng: np.random.Generator, sensors: dict[str, Array], rows: NDArray[np.intp], values: Array) -> None:
    """Overwrite one random element of one random channel in each row."""
    names = list(sensors)
    which = rng.integers(0, len(names), len(rows))
    for index, name in enumerate(names):
        chosen = rows[which == index]
        flat = sensors[name].reshape(len(sensors[name]), -1)
        flat[chosen, rng.integers(0, flat.shape[1], len(chosen))] = rng.choice(values, len(chosen)) * rng.choice(
            [-1.0, 1.0], len(chosen)
        )


def batch(rng: np.random.Generator, count: int) -> tuple[dict[str, Array], dict[str, Array], Array, NDArray[np.bool_]]:
    """Sensors, their times, actions and human flags of ``count`` pairs."""
    sensors, everyone = plausible(rng, count), np.arange(count)
    dealt = rng.random(count)
    at_the_edge(rng, sensors, everyone[dealt < 0.25])
    spoil(rng, sensors, everyone[(dealt > 0.80) & (dealt < 0.90)], EXTREMES)
    spoil(rng, sensors, everyone[dealt > 0.95], BROKEN)
    times = {name: np.full(count, NOW) - rng.uniform(0, 0.02, count) for name in sensors}
    for name in sensors:
        late = everyone[rng.random(count) < 0.004]
        times[name][late] = rng.choice(
            [0.0, -1e300, NOW - 0.2, NOW + 0.01, NOW + 1e9, np.nan, np.inf, -np.inf], len(late)
        )
    actions = rng.normal(0, 1, (count, 2)) * 10.0 ** rng.uniform(-3, 1.5, (count, 1))
    # Adversarial: straight through the nearest wall, as fast as it goes.
    rush = everyone[rng.random(count) < 0.2]
    outward = np.sign(sensors["tool_position"][rush] - [0.21, 0.0])
    with np.errstate(all="ignore"):
        push = np.einsum("nij,ni->nj", sensors["tool_jacobian"][rush], outward)
        actions[rush] = (
            push / np.linalg.norm(push, axis=1, keepdims=True) * rng.choice([1.99, 2.01, 50, 1e6], (len(rush), 1))
        )
    wild = everyone[rng.random(count) < 0.1]
    actions[wild, rng.integers(0, 2, len(wild))] = rng.choice(np.r_[EXTREMES, -EXTREMES, BROKEN], len(wild))
    return sensors, times, actions, rng.random(count) < 0.01


def usable(sensors: dict[str, Array], times: dict[str, Array]) -> NDArray[np.bool_]:
    """Rows whose sensors are all finite and fresh."""
    good = np.ones(len(next(iter(times.values()))), dtype=bool)
    for name, value in sensors.items():
        with np.errstate(invalid="ignore"):
            age = NOW - times[name]
            fresh = (age >= -MAX_LEAD) & (age <= MAX_AGE)
        good &= np.isfinite(value.reshape(len(value), -1)).all(axis=1) & fresh
    return good


@np.errstate(all="ignore")
def inside(s: dict[str, Array]) -> NDArray[np.bool_]:
    """Rows whose measured state is within every limit of the gate file."""
    q, p, jacobian = s["joint_position"], s["tool_position"], s["tool_jacobian"]
    speed = np.hypot(*np.einsum("nij,nj->in", jacobian, s["joint_velocity"]))
    low, high = np.array([-2.6, 0.1]), np.array([2.0, 2.6])
    return (
        ((q >= low) & (q <= high)).all(axis=1)
        & (p >= [0.02, -0.36]).all(axis=1)
        & (p <= [0.40, 0.36]).all(axis=1)
        & (np.hypot(*s["contact_force"].T) <= 15)
        & (s["human_distance"] >= 0.5)
        & (np.abs(s["joint_velocity"]).max(axis=1) <= 2.5)
        & (speed <= 0.60)
        & (s["joint_temperature"].max(axis=1) <= 70)
        & (s["actuator_delay"] >= 0)
        & (s["actuator_delay"] <= 0.200)
        & (s["controller_health"] >= 1)
    )


@np.errstate(all="ignore")
def admissible(s: dict[str, Array], action: Array, slack: float = 1e-9) -> NDArray[np.bool_]:
    """Rows in which a rate keeps every margin, to the rounding between two ways of computing it."""
    ahead = s["joint_position"] + action * 0.4
    velocity = np.einsum("nij,nj->ni", s["tool_jacobian"], action)
    tool, speed = s["tool_position"] + velocity * 0.4, np.hypot(*velocity.T)
    force = np.hypot(*s["contact_force"].T)
    pressing = np.where(force > 0, np.einsum("ni,ni->n", s["contact_force"], velocity) / force, 0.0) * 0.05 * 500
    moving = np.where(speed > 0, speed * 0.4 + 0.05, 0.0)
    low, high = np.array([-2.6, 0.1]) + DEG, np.array([2.0, 2.6]) - DEG
    return (
        ((ahead >= low - slack) & (ahead <= high + slack)).all(axis=1)
        & (tool >= np.array([0.035, -0.345]) - slack).all(axis=1)
        & (tool <= np.array([0.385, 0.345]) + slack).all(axis=1)
        & (np.where(pressing > 0, force + pressing <= 12 + slack, force <= 15))
        & (s["human_distance"] - 0.5 - moving >= -slack)
        & (np.abs(action).max(axis=1) <= 2.0 + slack)
        & (speed <= 0.45 + slack)
        & (s["joint_temperature"].max(axis=1) <= 65 + slack)
    )


def fuzz(count: int, seed: int, chunk: int = 20_000) -> dict[str, object]:
    """Counts of decisions and of everything that should not be."""
    gate, rng = read_gate(GATE), np.random.default_rng(seed)
    decisions: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    latencies: list[float] = []
    done = 0
    while done < count:
        size = min(chunk, count - done)
        sensors, times, actions, human = batch(rng, size)
        names = list(sensors)
        there = {name: rng.random(size) > 0.002 for name in names}
        made = []
        for i in range(size):
            readings = {
                name: Reading(np.asarray(sensors[name][i]), float(times[name][i])) for name in names if there[name][i]
            }
            made.append(gate.check(Evidence(readings, bool(human[i])), actions[i], NOW))
        kinds = np.array([decision.kind.value for decision in made])
        decisions.update(kinds.tolist())
        latencies += [decision.latency for decision in made]
        good = usable(sensors, times) & np.all(list(there.values()), axis=0)
        wrong.update(verdict(sensors, good, actions, human, kinds, [decision.executed for decision in made]))
        done += size
    median, late = np.quantile(latencies, [0.5, 0.99]) * 1e3
    return {
        "pairs": done,
        "seed": seed,
        "gate": gate.identity(),
        "decisions": dict(sorted(decisions.items())),
        "accounted": sum(decisions[kind.value] for kind in Kind),
        "wrong": {name: wrong[name] for name in sorted(wrong)},
        "median_ms": round(float(median), 4),
        "p99_ms": round(float(late), 4),
    }


def verdict(
    sensors: dict[str, Array],
    good: NDArray[np.bool_],
    actions: Array,
    human: NDArray[np.bool_],
    kinds: NDArray[np.str_],
    executed: list[Array | None],
) -> dict[str, int]:
    """How many rows break each rule; all zero is what is meant."""
    sent = np.array([value is not None for value in executed])
    action = np.array([value if value is not None else [0.0, 0.0] for value in executed])
    finite = np.isfinite(actions).all(axis=1)
    safe, fits = inside(sensors), admissible(sensors, action)
    asked = admissible(sensors, np.where(finite[:, None], actions, 0.0), slack=-1e-9)
    hold, moves = kinds == "hold", np.isin(kinds, ["pass", "clip"])
    return {
        "executed although a person has the robot": int((sent & human).sum()),
        "executed without valid sensors": int((sent & ~good).sum()),
        "executed from outside the envelope": int((sent & good & ~safe).sum()),
        "executed and not admissible": int((moves & ~fits).sum()),
        "executed and not finite": int((~np.isfinite(action).all(axis=1)).sum()),
        "passed and not as proposed": int(((kinds == "pass") & ~(action == actions).all(axis=1)).sum()),
        "passed or clipped although not finite": int((moves & ~finite).sum()),
        "hold that moves": int((hold & (action != 0).any(axis=1)).sum()),
        "stopped without a reason": int(((kinds == "stop") & good & safe).sum()),
        "admissible and yet not passed": int((good & safe & finite & asked & ~human & (kinds != "pass")).sum()),
    }


def main() -> int:
    """Print the counts; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    result = fuzz(options.count, options.seed)
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    return int(any(dict(result["wrong"]).values()) or result["accounted"] != options.count)  # type: ignore[call-overload]


if __name__ == "__main__":
    raise SystemExit(main())
