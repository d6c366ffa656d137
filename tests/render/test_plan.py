"""Plans are values: hashable, exact in JSON, and refused when they are something else."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import DataError
from perceptransfer.render import plan as p
from perceptransfer.render.codec import from_json, to_json

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VECTOR = st.tuples(NUMBER, NUMBER, NUMBER)
CAMERA = p.Camera(((100.0, 0.0, 31.5), (0.0, 100.0, 31.5), (0.0, 0.0, 1.0)), 64, 64, p.IDENTITY)


@given(VECTOR, NUMBER, st.text(), st.integers(), st.none() | st.integers(1, 100))
def test_json_gives_the_same_plan_and_the_same_text(
    vector: p.Vector, number: float, name: str, seed: int, quality: int | None
) -> None:
    body = p.Body(name, 1, p.Sphere(number), p.IDENTITY, keypoints=(vector,), joints=((name, number),))
    views = (
        p.View(3, name, CAMERA, p.Sensor(jpeg_quality=quality, gamma=number)),
        p.View(4, "dog", CAMERA, target=1, fit=p.Fit(1.35)),
    )
    plan = p.ScenePlan(7, seed, (body,), views, (p.Light("sun", number, vector),))
    text = to_json(plan)
    again = from_json(text)
    assert again == plan and hash(again) == hash(plan) and to_json(again) == text


def test_every_shape_survives() -> None:
    capsule = p.Capsule((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.1)
    for shape in (
        p.Sphere(1.0), p.Box((1.0, 2.0, 3.0)), p.Cylinder(1.0, 2.0), capsule, p.Capsules((capsule, capsule)),
        p.Plane((1.0, 1.0)), p.Mesh("a.ply", 0.001), p.RiggedHand("hand.blend", True),
    ):  # fmt: skip
        plan = p.ScenePlan(0, 0, (p.Body("x", 1, shape, p.IDENTITY),), ())
        assert from_json(to_json(plan)).bodies[0].shape == shape


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"index": 0}', to_json(p.ScenePlan(0, 0, (), ())).replace("0", "x")])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not a scene plan"):
        from_json(text)


def test_a_value_of_another_type_is_refused() -> None:
    data = json.loads(to_json(p.ScenePlan(0, 0, (), (p.View(0, "cat", CAMERA),))))
    data["views"][0]["sample"] = "zero"
    with pytest.raises(DataError, match="'zero' is no int"):
        from_json(json.dumps(data))


def test_only_keeps_the_views_asked_for() -> None:
    plan = p.ScenePlan(0, 0, (), tuple(p.View(i, "cat", CAMERA) for i in range(4)))
    assert [view.sample for view in plan.only(2, 0).views] == [0, 2]
    assert dataclasses.replace(plan.only(1), views=plan.views) == plan
