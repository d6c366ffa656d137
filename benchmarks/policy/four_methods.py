"""Zero-shot, domain randomisation, system identification, fine-tuning: ``python benchmarks/policy/four_methods.py``.

One world with another look and other dynamics than the simulator stands for the robot. Four ways to get a policy for
it are tried from one panel of starts, behind one gate, each with what it took from the robot: episodes, seconds,
pictures, labels, and what the gate had to do. Encoders have equal budgets. What is finished in the output folder is not
made again. The panel ``test`` is used for the table alone.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import CONFIGS, KEYS, WEIGHTS, look, pose_columns, pretrained
from _four_table import draw, summary, table

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.files import write_atomic
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import clone
from perceptransfer.policy import FrozenEncoder, MLPHead, PolicyHead
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.collect import collect
from perceptransfer.robot.dynamics import LIMITS, Dynamics
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.head_view import HeadView
from perceptransfer.robot.identify import Identified, identify, profile
from perceptransfer.robot.identify_look import identify_look
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.planar import planar_head
from perceptransfer.robot.policies import frozen_features
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.recording import Recording, excite
from perceptransfer.robot.rollout import Condition, run_condition, run_episode
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.training import columns, with_pose
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.update import CrossEntropy
from perceptransfer.robot.with_evidence import WithEvidence
from perceptransfer.robot.worlds import Reach

GATE, WORN = CONFIGS / "gates" / "planar_reach.yaml", CONFIGS / "dynamics" / "worn_arm.yaml"
RULES = Rules(max_intervention_rate=0.25, intervention_budget=4000, updates=3, min_success=0.8)
MOMENTS = (0, 20, 40, 59)  # ticks of an identification episode at which a picture is kept
ENCODERS_OWN = (0.001, 0.02)  # rad and rad/s, noise of the robot's joint sensors while it is identified
IN_SIMULATION = CrossEntropy(), 6  # rule and updates; they cost nothing there


@dataclass(frozen=True)
class Method:
    """One way: which frames the encoder saw, in which dynamics the policy grew up, and what is tuned where."""

    name: str
    encoder: str
    identified: bool = False  # demonstrations and gains from the identified dynamics
    own_look: bool = False  # demonstrations in the identified look
    finetuned: bool = False

    @property
    def slug(self) -> str:
        """Beginning of its files' names."""
        return self.name.replace(" ", "_").replace(",", "")


METHODS = (
    Method("zero-shot", "source"),
    Method("domain randomisation", "randomized"),
    Method("system identification", "identified", identified=True, own_look=True),
    Method("fine-tuning transfer", "randomized", finetuned=True),
    Method("randomised look, identified dynamics", "randomized", identified=True),
)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """JSON that is made once."""
    if not path.exists():
        write_atomic(path, json.dumps(make(), indent=1) + "\n")
    return json.loads(path.read_text())


def robot(head: PolicyHead | None = None, seen_by: FrozenEncoder | None = None, size: int = 96) -> GatedEnv:
    """The reach world behind the gate; with a head, observed as that head wants it."""
    world: Any = Reach(size=size)
    if head is not None:
        world = HeadView(
            world, head, KEYS, seen_by, pose_columns("reach"), slice(0, 2) if seen_by is not None else None
        )
    return GatedEnv(WithEvidence(world), read_gate(GATE))


def target() -> dict[str, Any]:
    """Options of an episode on the robot."""
    return {"look": look("target"), "dynamics": Dynamics.read(WORN)}


def record(folder: Path, episodes: int) -> tuple[list[Recording], dict[str, Any]]:
    """Identification episodes on the robot, with noisy joint sensors, and what they cost."""
    path, rng = folder / "recordings.npz", np.random.default_rng(0)
    if not path.exists():
        env, made, arrays = robot(), {"ticks": 0, "interventions": 0, "violations": 0}, {}
        for i, start in enumerate(panel("reach", "train", episodes).starts):
            one, ticks = excite(env, {**target(), "start": start}, seed=i, moments=MOMENTS)
            for name, noise in zip(("joints", "speeds"), ENCODERS_OWN, strict=True):
                one = replace(one, **{name: getattr(one, name) + noise * rng.standard_normal(one.joints.shape)})
            arrays |= {f"{i}/{name}": np.asarray(value) for name, value in vars(one).items()}
            made["ticks"] += len(ticks)
            made["interventions"] += sum(tick.decision.kind.value != "pass" for tick in ticks)
            made["violations"] += sum(bool(tick.audit.violated) for tick in ticks)
        env.close()
        write_atomic(folder / "recordings.json", json.dumps(made) + "\n")
        np.savez(path, **arrays)
    with np.load(path) as stored:
        fields = [
            {key.split("/")[1]: stored[key] for key in stored if key.startswith(f"{i}/")} for i in range(episodes)
        ]
    recordings = [Recording(**{**one, "moments": tuple(one["moments"].tolist())}) for one in fields]
    return recordings, json.loads((folder / "recordings.json").read_text())


def fitted_dynamics(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    """Dynamics with intervals, and how flat each parameter's profile is between its limits."""
    found = identify(recordings)
    found.write(folder / "dynamics.yaml")
    ends = {name: profile(recordings, found.dynamics, name, LIMITS[name]) for name in Dynamics.names()}
    return {**asdict(found), "profile": ends, "truth": asdict(Dynamics.read(WORN))}


def fitted_look(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    """The look with ranges, beside those of the look that the pictures were drawn with."""
    world = Reach(look("source"))
    pictures = [one.pictures for one in recordings if one.pictures is not None]
    found = identify_look(world, pictures, [one.picture_joints() for one in recordings], look("source"))
    world.close()
    found.write(folder / "look.yaml")
    ranges, truth = ({key: of.ranges[key] for key in found.estimates} for of in (found.look, look("target")))
    return {"misfit": found.misfit, "unknown": found.unknown, "ranges": ranges, "truth": truth}


def identified(folder: Path, episodes: int) -> tuple[Identified, Look, dict[str, Any]]:
    """Dynamics and look of the robot, fitted to its recordings, and what that cost."""
    recordings, cost = record(folder, episodes)
    seen = kept(folder / "look.json", lambda: fitted_look(folder, recordings))
    made = kept(folder / "dynamics.json", lambda: fitted_dynamics(folder, recordings))
    intervals = {name: (ends[0], ends[1]) for name, ends in made["intervals"].items()}
    found = Identified(Dynamics(**made["dynamics"]), intervals, tuple(made["unknown"]), tuple(made["error"]))
    pictures = sum(len(one.moments) for one in recordings)
    details = {"dynamics": made, "look": seen}
    return found, Look.read(folder / "look.yaml"), {**cost, "episodes": episodes, "pictures": pictures, **details}


@functools.cache
def demonstrated(
    frozen: FrozenEncoder, shown: Look, dynamics: Dynamics, count: int, kind: str
) -> dict[str, torch.Tensor]:
    """What the scripted expert does in the simulator, with the true pose, or for an ``mlp`` the encoder's."""
    world = Reach(shown, dynamics, size=96 if kind == "mlp" else 0)
    demos = collect(world, panel("reach", "train", count).starts)
    world.close()
    if kind == "planar":
        return columns(with_pose(demos), ("pose", "proprio"))
    return columns(demos, KEYS, encode=frozen_features(frozen, pose_columns("reach")))


def cloned(seen: dict[str, torch.Tensor], seed: int, kind: str) -> PolicyHead:
    """A head from demonstrations."""
    seed_everything(seed)
    head = planar_head("reach", 2) if kind == "planar" else MLPHead(seen["features"].shape[1], 2)
    clone(head, seen, Optim(1500, 1e-3, 1e-4), seed=seed)
    return head


def tuned_in_simulation(head: PolicyHead, found: Identified, seed: int) -> TunablePolicy:
    """Gains for dynamics that the recordings allow, found in the simulator, where the target's place is known."""
    policy, env, rng = TunablePolicy(GainSchedule(head, 2)), robot(head, size=0), np.random.default_rng(seed)
    starts = panel("reach", "train", 16).starts
    conditions = [Condition("simulated", (start,), {"dynamics": found.draw(rng)}) for start in starts]

    def score(vector: np.ndarray) -> float:
        policy.load_vector(vector)
        episodes = [run_episode(env, policy, condition, 0) for condition in conditions]
        return float(np.mean([e.total_reward - RULES.intervention_cost * e.interventions for e in episodes]))

    rule, updates = IN_SIMULATION
    for update in range(updates):
        policy.load_vector(rule.propose(policy.vector(), score, rng, update))
    return policy


def tuned_on_the_robot(head: PolicyHead, frozen: FrozenEncoder, folder: Path, seed: int) -> tuple[TunablePolicy, Any]:
    """Gated fine-tuning; the policy and what it cost."""
    policy, env = TunablePolicy(GainSchedule(head, 2)), robot(head, frozen)
    learning, watch = (
        Condition(name, panel("reach", name, count).starts, target())
        for name, count in (("train", 8), ("validation", 12))
    )
    run = GatedFineTuning(
        env, policy, CrossEntropy(), RULES, learning=learning, watch=watch, final=(),
        folder=folder, seed=seed, encoder_hash=frozen.contract.sha256,
    )  # fmt: skip
    report, journal = run.run(), run.journal
    env.close()
    ticks = [row for row in journal.ledger.rows() if row["kind"] == "tick"]
    cost = {
        "episodes": journal.episodes,
        "ticks": journal.proposed,
        "interventions": sum(row["decision"] != "pass" for row in ticks),
        "violations": journal.violations,
    }
    return policy, {**cost, "refused": report["refused"], "updates": report["updates"]}


def tried(
    method: Method, seed: int, given: argparse.Namespace, frozen: FrozenEncoder, shown: Look, found: Identified | None
) -> dict[str, Any]:
    """One policy of a method on the test panel: its episodes, and what this seed took from the robot."""
    dynamics, cost = Dynamics() if found is None else found.dynamics, dict[str, Any]()
    head = cloned(demonstrated(frozen, shown, dynamics, given.demonstrations, given.head), seed, given.head)
    policy = TunablePolicy(GainSchedule(head, 2))
    if found is not None:
        policy = tuned_in_simulation(head, found, seed)
    if method.finetuned:
        policy, cost = tuned_on_the_robot(head, frozen, given.output / f"finetuning-{seed}", seed)
    env = robot(head, frozen)
    episodes = run_condition(env, policy, Condition("test", panel("reach", "test", given.starts).starts, target()))
    env.close()
    return {"cost": cost, "gains": policy.vector().tolist(), "episodes": [episode.to_row() for episode in episodes]}


def main() -> None:
    """Make what is missing; print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/four_methods"))
    parser.add_argument("--frames", type=int, default=24000)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--demonstrations", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=12, help="recorded on the robot to identify it")
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--head", choices=["planar", "mlp"], default="planar")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--method", choices=[method.name for method in METHODS], action="append", help="only these")
    parser.add_argument("--finished", action="store_true", help="make nothing: a table of the policies that are there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    methods = [method for method in METHODS if given.method is None or method.name in given.method]
    source = seen = look("source")
    found, identification = None, dict[str, Any]()
    if any(method.identified for method in methods):
        (given.output / "identified").mkdir(parents=True, exist_ok=True)
        found, seen, identification = identified(given.output / "identified", given.episodes)
    budget = {"count": given.frames, "steps": given.steps}
    lines = []
    for method in methods:
        paths = {seed: given.output / f"{method.slug}-{seed}.json" for seed in given.seeds}
        if given.finished:
            paths = {seed: path for seed, path in paths.items() if path.exists()}
        if not paths:
            continue
        name, shown = method.encoder, seen if method.own_look else source
        of, what = (seen, "identified look") if name == "identified" else (look(name), f"configs/looks/{name}.yaml")
        frozen = pretrained(given.output / name, "reach", of, what, **budget, workers=given.workers)
        make = functools.partial(
            tried, method, given=given, frozen=frozen, shown=shown, found=found if method.identified else None
        )
        runs = []
        for seed, path in paths.items():
            runs.append(kept(path, functools.partial(make, seed=seed)))
            print(f"{method.name}, seed {seed}: {sum(e['success'] for e in runs[-1]['episodes'])}", flush=True)
        costs = [run["cost"] for run in runs] if method.finetuned else [identification] if method.identified else []
        if not method.own_look:
            costs = [{**cost, "pictures": 0} for cost in costs]
        meta = Checkpoint.load(given.output / name / WEIGHTS).meta
        line = {**summary(method.name, runs, costs), "encoder": meta, "gains": [run["gains"] for run in runs]}
        lines.append({**line, "finetuning": [run["cost"] for run in runs if run["cost"]]})
    report = {"identification": identification, "rows": lines}
    write_atomic(given.output / "results.json", json.dumps(report, indent=1) + "\n")
    write_atomic(given.output / "table.md", table(lines))
    draw(lines, given.output / "success.png")
    print(table(lines))


if __name__ == "__main__":
    main()
