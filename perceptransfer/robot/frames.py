"""Pictures with free labels: what perception is pretrained on."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.seeding import derive_seed
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.look import Look
from perceptransfer.robot.worlds import WORLDS, ArmWorld, Start
from perceptransfer.robot.worlds.kinematics import joints_at, within_limits
from perceptransfer.robot.worlds.model import JOINT_LIMITS, PUCK_RADIUS, TIP_RADIUS

CHUNK = 300
ARMS = 3
"""Arm postures that one appearance is drawn with: dressing a world costs more than moving its arm."""


@dataclass(frozen=True, eq=False)
class Frames:
    """``images`` ``uint8 [n, S, S, 3]``, ``keypoints`` ``[n, K, 2]`` (x, y, -1 to 1 between the borders) of base,
    elbow, tip, target and puck, and ``pose`` ``[n, P]``: x and y of target and puck in m.
    """  # noqa: D205 - one sentence

    images: Pixels
    keypoints: NDArray[np.float32]
    pose: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


def draw_frames(world: str, look: Look, count: int, *, seed: int = 0, size: int = 96, workers: int = 0) -> Frames:
    """Draw ``count`` frames; the result does not depend on ``workers``.

    Targets lie inside (see the world's class), never in its held-out region or at its edge. A third of the postures
    has the tip near the target, or touching the puck, where a policy spends much of its time and the arm hides what it
    looks for; a puck lies anywhere between its start and the target, give or take 3 cm.
    """
    jobs = [
        (world, look, min(CHUNK, count - first), derive_seed("frames", world, seed, first), size)
        for first in range(0, count, CHUNK)
    ]
    if workers == 0:
        parts = [_chunk(job) for job in jobs]
    else:
        # Spawned, because a forked process would share this one's OpenGL.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            parts = list(pool.map(_chunk, jobs))
    return Frames(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.keypoints for part in parts]),
        np.concatenate([part.pose for part in parts]),
    )


def _chunk(job: tuple[str, Look, int, int, int]) -> Frames:
    name, look, count, seed, size = job
    world, rng = WORLDS[name](look, size=size), np.random.default_rng(seed)
    images: list[Pixels] = []
    keypoints: list[Floats] = []
    pose: list[Floats] = []
    try:
        while len(images) < count:
            start = world.draw_start(rng, "inside")
            observation, info = world.reset(options={"start": start})
            for _ in range(ARMS):
                labels = info["labels"]
                images.append(observation["image"])
                keypoints.append((labels["keypoints"] + 0.5) * 2 / size - 1)
                pose.append(np.concatenate([labels[name] for name in ("target", "puck") if name in labels]))
                puck = None if start.puck is None else _on_the_way(rng, start.puck, start.target)
                observation, info = world.place(
                    _posture(rng, start.target if puck is None else puck, puck is not None), puck
                )
    finally:
        world.close()
    return Frames(np.stack(images[:count]), np.array(keypoints[:count], np.float32), np.array(pose[:count], np.float32))


def _on_the_way(rng: np.random.Generator, puck: tuple[float, float], target: tuple[float, float]) -> Floats:
    """Where a puck may be in the course of an episode."""
    share = rng.random()
    return np.asarray((1 - share) * np.array(puck) + share * np.array(target) + rng.normal(0, 0.03, 2))


def _posture(rng: np.random.Generator, place: Floats | tuple[float, float], with_puck: bool) -> Floats:
    """Joint angles (rad), half of the time with the tip near a place, or touching the puck there."""
    if rng.random() < 0.5:
        if with_puck:
            angle, gap = rng.uniform(0, 2 * np.pi), PUCK_RADIUS + TIP_RADIUS + abs(rng.normal(0, 0.015))
            near = place + gap * np.array([np.cos(angle), np.sin(angle)])
        else:
            near = np.array(place) + rng.normal(0, 0.03, 2)
        joints = joints_at(float(np.clip(np.hypot(*near), 0.13, 0.37)), float(np.arctan2(near[1], near[0])))
        if within_limits(joints):
            return np.array(joints)
    return np.array([rng.uniform(low + 0.02, high - 0.02) for low, high in JOINT_LIMITS])


def redraw(world: ArmWorld, starts: list[Start]) -> Pixels:
    """One picture of each start's first moment, in the world's look."""
    return np.stack([world.reset(options={"start": start})[0]["image"] for start in starts])
