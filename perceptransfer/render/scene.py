"""A scene specification: from a seed and a number to a plan."""

from __future__ import annotations

from typing import Any

from perceptransfer.core.config import config_of
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.plan import ScenePlan


class Scene(Ranges):
    """Base of scene specifications.

    Attributes:
        classes: labels of the samples.
        mask_classes: classes of bodies, 0 is the background.
        keypoint_names: names of the keypoints of a sample's target.
        keypoint_flip: where each keypoint goes when the picture is mirrored; None: its mirror image is no such object.
        views_per_scene: samples of one scene; sample k is view ``k % views_per_scene`` of scene
            ``k // views_per_scene``.
        origin: where the set comes from, in words.
        licence: licence of the set.
    """

    classes: tuple[str, ...]
    mask_classes: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    keypoint_flip: tuple[int, ...] | None
    views_per_scene: int
    origin: str
    licence: str

    def sample(self, seed: int, index: int, attempt: int = 0) -> ScenePlan:
        """The plan of scene ``index``; its views are samples ``index * views_per_scene`` and following."""
        return self.compose(Draws(seed, "scene", index, attempt), seed, index, attempt)

    def compose(self, draws: Draws, seed: int, index: int, attempt: int) -> ScenePlan:
        """What `sample` returns, from the draws that belong to it."""
        raise NotImplementedError

    def plan_of(self, seed: int, sample: int, attempt: int = 0) -> ScenePlan:
        """The plan with the one view of a sample."""
        return self.sample(seed, sample // self.views_per_scene, attempt).only(sample)

    def describe(self) -> dict[str, Any]:
        """What dataset.json says about the labels."""
        return {
            "format": 1,
            "classes": list(self.classes),
            "mask_classes": ["background", *self.mask_classes],
            "keypoint_names": list(self.keypoint_names),
            "keypoint_flip": None if self.keypoint_flip is None else list(self.keypoint_flip),
            "origin": self.origin,
            "licence": self.licence,
            "scene": {"spec": config_of(self)},
        }
