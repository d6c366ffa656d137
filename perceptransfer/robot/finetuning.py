"""What gated fine-tuning of a saved policy is put together from: robot, tunable part, starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.seeding import derive_seed, seed_everything
from perceptransfer.policy import FrozenEncoder, PolicyDescription, PolicyHead
from perceptransfer.policy.gates import Gate
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.head_view import HeadView
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.rollout import Condition
from perceptransfer.robot.subsets import GainSchedule, ResidualHead, lora_adapter
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.with_evidence import WithEvidence
from perceptransfer.robot.worlds import WORLDS

Subset = Literal["gain_schedule", "residual", "lora"]
SPREADS: dict[Subset, float] = {"gain_schedule": 0.5, "residual": 0.3, "lora": 0.05}
"""Standard deviation of the first trials, in units of the subset's own weights."""
SLOWER = (0.05, 0.1)  # s of delay on top of the robot's own, for the final evaluation


def tunable(head: PolicyHead, subset: Subset = "gain_schedule", seed: int = 0) -> TunablePolicy:
    """The head, frozen, with a small part that may move; ``seed`` initialises what does not start at zero."""
    seed_everything(derive_seed(seed, "subset"))
    module: nn.Module
    if subset == "gain_schedule":
        module = GainSchedule(head, head.action_dim)
    elif subset == "residual":
        module = ResidualHead(head, head.dim, head.action_dim)
    else:
        module = lora_adapter(head)
    return TunablePolicy(module, {"subset": subset})


def target_robot(gate: Gate, head: PolicyHead, about: PolicyDescription, encoder: FrozenEncoder | None) -> GatedEnv:
    """The simulated robot behind its gate, seen as the head sees it; look and dynamics come with each condition.

    Without an encoder the head is told the target's true place and nothing is rendered.
    """
    size = 0 if encoder is None else encoder.contract.images.height
    features, target = (None if ends is None else slice(*ends) for ends in (about.features, about.target))
    world = WithEvidence(WORLDS[about.world](size=size))
    return GatedEnv(HeadView(world, head, about.keys, encoder, features, target), gate)


def target_conditions(
    world: str, look: Look, dynamics: Dynamics, *, learning: int = 8, watch: int = 12, final: int = 20
) -> tuple[Condition, Condition, list[Condition]]:
    """Learning, watch and final conditions of so many starts each, in the target's look and dynamics.

    Final ones are held-out starts, further delays on starts of the panel test, and the edge of the workspace: starts
    that neither learning nor watch has.

    Raises:
        ConfigError: a count below 1.
    """
    for name, count in (("learning", learning), ("watch", watch), ("starts", final)):
        if count < 1:
            raise ConfigError(f"{count} starts", key=name, remedy="use 1 or more")

    def made(name: str, where: str, count: int, more: float = 0.0) -> Condition:
        options = {"look": look, "dynamics": replace(dynamics, delay=dynamics.delay + more)}
        return Condition(name, panel(world, where, count).starts, options)

    ends = [made("held-out starts", "held_out", final)]
    ends += [made(f"delay +{round(1000 * more)} ms", "test", final, more) for more in SLOWER]
    ends.append(made("edge", "edge", final))
    return made("learning", "train", learning), made("watch", "validation", watch), ends
