"""From demonstrations to the columns that behaviour cloning reads, pictures encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from perceptransfer.core.errors import DataError
from perceptransfer.learning.behaviour_cloning import ACTION, FEATURES, MASK, PICTURE, chunked
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.gate_columns import sent_ticks


def columns(
    demos: Sequence[Demonstration],
    keys: Sequence[str],
    *,
    horizon: int = 1,
    encode: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
) -> dict[str, Tensor]:
    """Columns for `clone`, one row a tick of all episodes.

    ``keys`` are the observations that the head sees, in `HeadPolicy`'s order. With ``encode`` (``[B, 3, H, W]`` in 0..1
    to ``[B, E]``) pictures become cached features; without, they are handed on for training end to end, and then
    ``image`` has to come first. A ``horizon`` above 1 gives chunks and their mask. Ticks in which a gate let nothing be
    sent teach no action and are left out.

    Raises:
        DataError: an observation that the demonstrations do not have, or pictures that do not come first.
    """
    for key in keys:
        lacking = [i for i, demo in enumerate(demos) if key not in demo.obs]
        if lacking:
            raise DataError(
                f"demonstration {lacking[0]} has no observation {key!r}",
                key=f"obs/{key}",
                remedy=f"it has {sorted(demos[lacking[0]].obs)}",
            )
    if encode is None and "image" in keys and keys[0] != "image":
        raise DataError("pictures have to come first", key="keys", remedy="name image before other observations")
    sent = [(demo, sent_ticks(demo)) for demo in demos]
    made: dict[str, Tensor] = {}
    parts = []
    for key in keys:
        values = torch.from_numpy(np.concatenate([demo.obs[key][rows] for demo, rows in sent]))
        if key != "image":
            parts.append(values.float())
        elif encode is None:
            made[PICTURE] = values.permute(0, 3, 1, 2).contiguous()
        else:
            parts.append(_encoded(values, encode, batch_size))
    if parts:
        made[FEATURES] = torch.cat(parts, 1)
    actions = [torch.from_numpy(demo.actions[rows]).float() for demo, rows in sent]
    if horizon == 1:
        return {**made, ACTION: torch.cat(actions)}
    chunks, masks = zip(*(chunked(one, horizon) for one in actions), strict=True)
    return {**made, ACTION: torch.cat(chunks), MASK: torch.cat(masks)}


def with_pose(demos: Sequence[Demonstration]) -> list[Demonstration]:
    """The same demonstrations with the observation ``pose``: x, y (m) of the target, and of the puck if there is one.

    A simulator records the truth for nothing, and a head that learns from it acts better on an encoder's estimates than
    one that learned from estimates: errors in what it learned from draw its actions towards their mean.

    Raises:
        DataError: demonstrations without a simulator's labels.
    """
    found = []
    for i, demo in enumerate(demos):
        names = [name for name in ("labels/target", "labels/puck") if name in demo.extra]
        if "labels/target" not in names:
            raise DataError(
                f"demonstration {i} has no true pose",
                key="labels/target",
                remedy="record it in a simulator, or learn from the encoder's estimates",
            )
        pose = np.concatenate([demo.extra[name] for name in names], axis=1)
        found.append(replace(demo, obs={**demo.obs, "pose": pose}))
    return found


def _encoded(pictures: Tensor, encode: Callable[[Tensor], Tensor], batch_size: int) -> Tensor:
    with torch.inference_mode():
        parts = [encode(part.permute(0, 3, 1, 2).float() / 255) for part in torch.split(pictures, batch_size)]
    return torch.cat(parts).clone()  # a clone is no inference tensor, which training could not save for its gradients
