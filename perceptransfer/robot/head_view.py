"""What a policy head sees, made from what a camera and the arm's sensors deliver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from perceptransfer.core.errors import ProtocolError
from perceptransfer.policy import FrozenEncoder, PolicyHead
from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.collect import true_state


class HeadView(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An `ArmWorld` whose observation is a head's input ``float32 [dim]``: the observations ``keys``, joined in order.

    A picture passes through the frozen ``encoder``, of whose features the columns ``features`` are kept; its weights
    are hashed again at every reset. Without an encoder the true pose stands in for the picture: what perfect
    perception would give, for ceilings only. If ``target`` says which of the kept columns estimate that place,
    ``info["perception_error"]`` is their distance from the truth, in m.

    Raises:
        ProtocolError: the head gives chunks of actions; a gate judges one action a tick.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        head: PolicyHead,
        keys: Sequence[str],
        encoder: FrozenEncoder | None = None,
        features: slice | None = None,
        target: slice | None = None,
    ) -> None:
        super().__init__(env)
        if head.horizon > 1:
            raise ProtocolError(f"the head gives {head.horizon} actions at once", remedy="train a head of kind mlp")
        self.keys, self.encoder = tuple(keys), encoder
        self.features, self.target = features or slice(None), target
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (head.dim,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        if self.encoder is not None:
            self.encoder.verify()
        return self._seen(*self.env.reset(seed=seed, options=options))

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        seen, info = self._seen(observation, info)
        return seen, float(reward), terminated, truncated, info

    def _seen(self, observation: dict[str, Any], info: dict[str, Any]) -> tuple[Floats, dict[str, Any]]:
        given = {**observation, "state": true_state(observation, info)}
        if "image" in self.keys:
            given["image"] = self._features(observation, info)
            if self.target is not None:
                off = given["image"][self.target] - info["labels"]["target"]
                info = {**info, "perception_error": float(np.hypot(*off))}
        return np.concatenate([given[key] for key in self.keys]).astype(np.float32), info

    def _features(self, observation: dict[str, Any], info: dict[str, Any]) -> Floats:
        if self.encoder is None:
            labels = info["labels"]
            return np.concatenate([labels[name] for name in ("target", "puck") if name in labels])
        pooled = self.encoder(observation["image"][None]).pooled
        return np.asarray(pooled[0], dtype=np.float64)[self.features]
