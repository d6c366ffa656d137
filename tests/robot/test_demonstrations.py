"""Demonstration files: layout, round trip, extra columns, and files that are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from perceptransfer.core.errors import DataError, OutputError
from perceptransfer.robot.collect import collect, env_args, true_state
from perceptransfer.robot.demonstrations import Demonstration, read_demonstrations, write_demonstrations
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.worlds import Push, Reach

ARGS = {"env_name": "perceptransfer/reach", "type": 2, "env_kwargs": {"size": 8}}


def demo(ticks: int, seed: int = 0) -> Demonstration:
    rng = np.random.default_rng(seed)
    return Demonstration(
        obs={"image": rng.integers(0, 256, (ticks, 8, 8, 3), dtype=np.uint8), "proprio": rng.random((ticks, 6))},
        actions=rng.random((ticks, 2)).astype(np.float32),
        rewards=rng.random(ticks).astype(np.float32),
        dones=np.arange(ticks) == ticks - 1,
        states=rng.random((ticks, 4)),
        extra={"gate.g": rng.random((ticks, 3)), "gate.blocked": rng.random(ticks) > 0.5, "labels/tip": np.ones(ticks)},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "demos.hdf5"
    write_demonstrations(path, [demo(3 + i, i) for i in range(12)], ARGS, valid=0.25)
    return path


def test_layout_of_robomimic(file: Path) -> None:
    with h5py.File(file) as raw:
        data = raw["data"]
        assert data.attrs["total"] == sum(range(3, 15)) and json.loads(data.attrs["env_args"]) == ARGS
        assert set(data) == {f"demo_{i}" for i in range(12)}
        assert data["demo_10"].attrs["num_samples"] == 13 == len(data["demo_10/obs/proprio"])
        assert set(data["demo_0"]) >= {"obs", "actions", "rewards", "dones", "states", "gate.g", "gate.blocked"}
        assert data["demo_0/obs/image"].dtype == np.uint8
        assert [name.decode() for name in raw["mask/valid"]] == ["demo_9", "demo_10", "demo_11"]
        assert len(raw["mask/train"]) == 9


def test_everything_comes_back_in_order(file: Path) -> None:
    found = read_demonstrations(file)
    assert found.env_args == ARGS and [len(item) for item in found.demos] == list(range(3, 15))
    first, given = found.demos[2], demo(5, 2)
    assert first.extra.keys() == given.extra.keys() and first.obs.keys() == given.obs.keys()
    assert np.array_equal(first.obs["image"], given.obs["image"])
    assert np.array_equal(first.extra["gate.blocked"], given.extra["gate.blocked"])
    assert np.array_equal(first.actions, given.actions) and first.actions.dtype == np.float32
    assert [len(item) for item in found.part("valid")] == [12, 13, 14]
    with pytest.raises(DataError, match="no mask 'test'"):
        found.part("test")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused_by_name(file: Path, share: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"demos\.hdf5: not a readable file[\s\S]*remedy"):
        read_demonstrations(file)


def change(action: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as raw:
            action(raw)

    return apply


def replace(raw: Any, name: str, value: Any) -> None:
    del raw[name]
    raw[name] = value


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        (change(lambda raw: raw.__delitem__("data/demo_3")), "data.total"),
        (change(lambda raw: raw["data"].attrs.__setitem__("total", 1)), "data.total"),
        (change(lambda raw: raw["data"].attrs.__delitem__("env_args")), "data"),
        (change(lambda raw: raw.__delitem__("data")), "data"),
        (change(lambda raw: raw.__delitem__("data/demo_1/actions")), "data/demo_1"),
        (change(lambda raw: raw.__delitem__("data/demo_1/obs")), "data/demo_1"),
        (change(lambda raw: replace(raw, "data/demo_1/rewards", np.zeros(2))), "data/demo_1/rewards"),
        (change(lambda raw: replace(raw, "data/demo_0/actions", np.full((3, 2), np.nan))), "data/demo_0/actions"),
        (change(lambda raw: replace(raw, "data/demo_0/actions", np.zeros(3))), "data/demo_0/actions"),
        (change(lambda raw: replace(raw, "mask/train", np.array([b"demo_99"]))), "mask/train"),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_key(file: Path, damage: Callable[[Path], None], key: str) -> None:
    damage(file)
    with pytest.raises(DataError, match=r"demos\.hdf5") as caught:
        read_demonstrations(file)
    assert caught.value.key == key


@pytest.mark.parametrize("damage", [
    change(lambda raw: raw["data/demo_0"].attrs.__delitem__("num_samples")),
    change(lambda raw: raw.create_group("data/other")),
    change(lambda raw: raw["data"].attrs.__setitem__("env_args", "{")),
])  # fmt: skip
def test_other_damage_is_refused_too(file: Path, damage: Callable[[Path], None]) -> None:
    damage(file)
    with pytest.raises(DataError, match=r"demos\.hdf5: not a readable file"):
        read_demonstrations(file)


def test_a_missing_file_and_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "notes.hdf5").write_text("no demonstrations")
    for name in ("none.hdf5", "notes.hdf5"):
        with pytest.raises(DataError, match=name):
            read_demonstrations(tmp_path / name)


def test_a_failed_write_leaves_the_old_file(file: Path) -> None:
    before = file.read_bytes()
    bad = demo(3)
    with pytest.raises(DataError, match="2 rows for 3 actions"):
        write_demonstrations(file, [Demonstration(bad.obs, bad.actions, bad.rewards[:2], bad.dones, bad.states)], ARGS)
    assert file.read_bytes() == before and [path.name for path in file.parent.iterdir()] == ["demos.hdf5"]
    with pytest.raises(OutputError):
        write_demonstrations(file / "below" / "a.hdf5", [bad], ARGS)


def test_collected_demonstrations_fit_together_and_can_be_replayed(tmp_path: Path) -> None:
    world = Reach(Look({"sensor.noise": 0.02}), size=24)
    start = panel("reach", "train").starts[0]
    made = collect(world, [start], noise=0.3)
    write_demonstrations(tmp_path / "reach.hdf5", made, env_args(world), valid=0.0)
    found = read_demonstrations(tmp_path / "reach.hdf5")
    (one,) = found.demos
    assert found.env_args["env_kwargs"]["world"] == "reach" and found.env_args["env_kwargs"]["size"] == 24
    assert one.obs["image"].shape == (len(one), 24, 24, 3) and one.obs["state"].shape == (len(one), 8)
    assert np.array_equal(one.obs["state"][:, :6], one.obs["proprio"])
    assert one.dones.tolist() == [0] * (len(one) - 1) + [1]
    observation, _ = world.reset(options={"start": start})
    for tick in range(len(one)):
        assert np.allclose(observation["proprio"], one.obs["proprio"][tick], atol=1e-4)
        observation, *_, info = world.step(one.extra["action.executed"][tick])
    assert info["success"]
    world.close()


def test_the_record_is_what_the_expert_wanted_not_what_was_done() -> None:
    world = Reach(size=0)
    quiet, noisy = (collect(world, panel("reach", "train").starts[:3], noise=noise) for noise in (0.0, 0.4))
    assert all(np.allclose(item.actions, item.extra["action.executed"]) for item in quiet)
    assert all(np.abs(item.actions - item.extra["action.executed"]).mean() > 0.2 for item in noisy)
    again = collect(world, panel("reach", "train").starts[:3], noise=0.4)
    assert all(np.array_equal(one.states, other.states) for one, other in zip(noisy, again, strict=True))


def test_the_true_state_of_a_push_holds_the_ways_to_go() -> None:
    world = Push(size=0)
    observation, info = world.reset(options={"start": panel("push", "train").starts[0]})
    state, tip = true_state(observation, info), info["labels"]["tip"][:2]
    assert state.shape == (14,) and state[:6] == pytest.approx(observation["proprio"])
    assert tip + state[10:12] == pytest.approx(world.start.puck)
    assert tip + state[10:12] + state[12:14] == pytest.approx(world.start.target)
