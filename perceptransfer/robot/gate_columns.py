"""Episodes behind a gate as demonstrations: what was proposed and decided stands beside what was seen and done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.policy.gates import Gate, Kind
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.gated import Tick

KINDS = tuple(Kind)
SENSORS = ("joint_position", "joint_velocity")


def gated_demonstrations(ticks: Iterable[Tick], gate: Gate) -> list[Demonstration]:
    """One demonstration an episode; ``ticks`` is what ``GatedEnv(..., record=ticks.append)`` leaves behind.

    ``actions`` are what was sent; where nothing was sent (stop, human) they are 0, which not every robot takes as an
    order to stand still: `sent_ticks` tells them apart. Observations keep their names; one that is no dictionary is
    called ``proprio``. ``states`` are the measured joint positions and velocities, NaN where a sensor was missing.

    Columns beside them, of joints ``A`` and constraints ``C`` in the order of `describe_gate`:

    - ``gate.proposed`` ``[T, A]``: the policy's action, NaN where it was no ``A`` numbers;
    - ``gate.decision`` ``[T]``: index into ``pass, clip, hold, stop, human``; ``gate.intervened``: not pass;
      ``gate.blocked``: hold, stop or human, when nothing of the proposal was carried out; ``gate.human``: a hand;
    - ``gate.g_before``, ``gate.g_after``, ``gate.g_measured`` ``[T, C]``: g of the proposal, of what was done and of
      the state afterwards, each in its constraint's unit; infinite without a value, NaN without valid sensors;
    - ``gate.correction`` ``[T]``: norm of executed minus proposed, NaN where one is missing.
    """
    episodes: list[list[Tick]] = []
    for tick in ticks:
        if tick.number == 0:
            episodes.append([])
        episodes[-1].append(tick)
    return [_demonstration(episode, gate) for episode in episodes]


def sent_ticks(demo: Demonstration) -> NDArray[np.bool_]:
    """In which ticks ``[T]`` an action was sent: all of them where no gate stood."""
    decisions = demo.extra.get("gate.decision", np.zeros(len(demo), np.int64))
    return np.asarray(decisions < KINDS.index(Kind.STOP))


def describe_gate(gate: Gate) -> dict[str, Any]:
    """What makes the columns readable, to be kept as ``gate`` in a file's ``env_args``: plain data."""
    units = {name: constraint.unit for name, constraint in gate.constraints.items()}
    return {"sha256": gate.identity(), "constraints": units, "decisions": [kind.value for kind in KINDS]}


def _demonstration(episode: Sequence[Tick], gate: Gate) -> Demonstration:
    seen = [
        dict(tick.observation) if isinstance(tick.observation, Mapping) else {"proprio": tick.observation}
        for tick in episode
    ]
    decisions = [tick.decision for tick in episode]
    kinds = np.array([KINDS.index(decision.kind) for decision in decisions])
    joints = gate.action.joints
    still, unknown = np.zeros(joints), np.full(joints, np.nan)
    return Demonstration(
        obs={name: np.array([row[name] for row in seen]) for name in seen[0]},
        actions=np.array([still if decision.executed is None else decision.executed for decision in decisions]),
        rewards=np.array([tick.reward for tick in episode]),
        dones=np.array([tick.ended for tick in episode]),
        states=np.array([_state(tick, unknown) for tick in episode]),
        extra={
            "gate.proposed": np.array([_numbers(tick.proposed, unknown) for tick in episode]),
            "gate.decision": kinds,
            "gate.intervened": kinds > KINDS.index(Kind.PASS),
            "gate.blocked": kinds > KINDS.index(Kind.CLIP),
            "gate.human": np.array([tick.evidence.human is not False for tick in episode]),
            "gate.g_before": _table([decision.before for decision in decisions], gate),
            "gate.g_after": _table([decision.after for decision in decisions], gate),
            "gate.g_measured": _table([tick.audit.g for tick in episode], gate),
            "gate.correction": np.array([np.nan if d.correction is None else d.correction for d in decisions]),
        },
    )


def _table(rows: Sequence[Mapping[str, float]], gate: Gate) -> Floats:
    return np.array([[row.get(name, np.nan) for name in gate.constraints] for row in rows])


def _numbers(value: Any, unknown: Floats) -> Floats:
    return value.astype(np.float64) if value.dtype.kind in "fiu" and value.shape == unknown.shape else unknown


def _state(tick: Tick, unknown: Floats) -> Floats:
    at = tick.evidence.readings
    return np.concatenate([_numbers(at[name].value, unknown) if name in at else unknown for name in SENSORS])
