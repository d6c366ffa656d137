"""Data sets written here, read by the libraries they are for, every gate column included.

The two halves run in different environments, the second without this package::

    pip install ".[robot,lerobot]"
    python benchmarks/policy/read_datasets.py write results/datasets

    pip install robomimic==0.3.0 six
    python benchmarks/policy/read_datasets.py read robomimic results/datasets

    pip install lerobot==0.4.4
    python benchmarks/policy/read_datasets.py read lerobot results/datasets

``write`` runs episodes behind a gate in the MuJoCo reach world, with a policy that is too quick, once proposes NaN,
once meets a person and once loses a sensor. ``read`` compares what the library's own reader gives with what was
written, trains a little with the library's own policy, and makes sure that a lost or changed column would be noticed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"
FEATURES = {
    "actions": "action",
    "rewards": "next.reward",
    "dones": "next.done",
    "states": "simulator.states",
    "obs/image": "observation.images.image",
    "obs/proprio": "observation.state",
}
FPS = 20


def write(folder: Path, episodes: int) -> None:
    """Both layouts and, as NumPy arrays, what stands in them."""
    from perceptransfer.policy.gates import read_gate
    from perceptransfer.robot.collect import env_args
    from perceptransfer.robot.demonstrations import write_demonstrations
    from perceptransfer.robot.expert import reach_expert
    from perceptransfer.robot.gate_columns import describe_gate, gated_demonstrations
    from perceptransfer.robot.gated import GatedEnv, Tick
    from perceptransfer.robot.lerobot_dataset import write_lerobot
    from perceptransfer.robot.panels import panel
    from perceptransfer.robot.with_evidence import WithEvidence
    from perceptransfer.robot.worlds import Reach

    class Troubled(WithEvidence):
        """A person in the third episode, a lost sensor in the fourth."""

        episode, tick = -1, 0

        def reset(self, **options: Any) -> Any:
            self.episode, self.tick = self.episode + 1, 0
            return super().reset(**options)

        def step(self, action: Any) -> Any:
            self.tick += 1
            *others, info = super().step(action)
            evidence = info["evidence"]
            if (self.episode, self.tick) == (2, 8):
                evidence = replace(evidence, human=True)
            if (self.episode, self.tick) == (3, 10):
                readings = {name: it for name, it in evidence.readings.items() if name != "joint_velocity"}
                evidence = replace(evidence, readings=readings)
            return *others, {**info, "evidence": evidence}

    world, gate, ticks, rng = Reach(), read_gate(GATE), list[Tick](), np.random.default_rng(0)
    env = GatedEnv(Troubled(world), gate, record=ticks.append)
    for episode, start in enumerate(panel("reach", "train", episodes).starts):
        _, info = env.reset(options={"start": start})
        ended = False
        while not ended:
            action = 1.8 * reach_expert(info) + rng.normal(0, 0.3, 2)
            if episode == 1 and info.get("gate") and info["gate"].number == 5:
                action[0] = np.nan
            *_, success, cut, info = env.step(action)
            ended = success or cut
    demos, about = gated_demonstrations(ticks, gate), {**env_args(world), "gate": describe_gate(gate)}
    world.close()
    write_demonstrations(folder / "gated.hdf5", demos, about)
    write_lerobot(folder / "lerobot", demos, about, fps=FPS)
    expected = {f"{i}:{name}": column for i, demo in enumerate(demos) for name, column in demo.columns().items()}
    np.savez(folder / "expected.npz", constraints=np.array(list(gate.constraints)), **expected)
    decided = np.bincount(np.concatenate([demo.extra["gate.decision"] for demo in demos]), minlength=5)
    assert decided.all(), "every decision should occur"
    counts = dict(zip(about["gate"]["decisions"], decided.tolist(), strict=True))
    print(f"{len(demos)} episodes, {len(ticks)} ticks: {counts}")


def expected_of(folder: Path) -> list[Columns]:
    """Columns of every episode, as they were written."""
    with np.load(folder / "expected.npz") as stored:
        keys = [key.split(":") for key in stored.files if ":" in key]
        made: list[Columns] = [{} for _ in {episode for episode, _ in keys}]
        for episode, name in keys:
            made[int(episode)][name] = stored[f"{episode}:{name}"]
    return made


def same(name: str, found: Any, wanted: NDArray[Any]) -> None:
    """The same numbers in the same shape; NaN is equal to NaN."""
    found = np.asarray(found)
    assert found.shape == wanted.shape, f"{name}: {found.shape} instead of {wanted.shape}"
    assert np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f"), f"{name}: other values"


def read_robomimic(folder: Path, expected: list[Columns]) -> None:
    """`SequenceDataset`, uncached (as it stands in the file) and cached (as float32), and its batches."""
    import h5py
    import robomimic.utils.obs_utils as obs_utils
    from robomimic.utils.dataset import SequenceDataset
    from torch.utils.data import DataLoader

    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["proprio"], "rgb": ["image"]}})
    path = str(folder / "gated.hdf5")
    names = [name for name in expected[0] if not name.startswith("obs/")]
    with h5py.File(path) as file:  # the cached reader makes zeros of a column that is not there
        lost = [name for name in expected[0] if any(name not in demo for demo in file["data"].values())]
    assert not lost, f"lost columns: {lost}"
    options = {"hdf5_path": path, "obs_keys": ["image", "proprio"], "dataset_keys": names, "load_next_obs": False}
    for mode in (None, "low_dim"):
        dataset = SequenceDataset(**options, hdf5_cache_mode=mode)
        assert len(dataset.demos) == len(expected)
        for i, wanted in enumerate(expected):
            found = dataset.get_trajectory_at_index(i)
            for name, column in wanted.items():
                if name.startswith("obs/"):
                    same(name, found["obs"][name.removeprefix("obs/")], column)
                else:
                    same(name, found[name], column.astype(np.float32) if mode else column)
        batch = next(iter(DataLoader(dataset, batch_size=len(expected[0]["actions"]))))
        for name in names:
            wanted = expected[0][name][:, None]
            same(name, batch[name], wanted.astype(np.float32) if mode else wanted)


def train_robomimic(folder: Path) -> str:
    """Some steps of its behaviour cloning on pictures and joints, the gate columns in every batch."""
    import robomimic.utils.file_utils as file_utils
    import robomimic.utils.obs_utils as obs_utils
    import robomimic.utils.train_utils as train_utils
    import torch
    from robomimic.algo import algo_factory
    from robomimic.config import config_factory
    from torch.utils.data import DataLoader

    config = config_factory("bc")
    with config.unlocked():
        config.train.data = str(folder / "gated.hdf5")
        config.train.hdf5_filter_key, config.train.hdf5_load_next_obs = "train", False
        config.train.dataset_keys = ("actions", "rewards", "dones", "gate.intervened", "gate.g_before")
        config.observation.modalities.obs.low_dim = ["proprio"]
        config.observation.modalities.obs.rgb = ["image"]
    config.lock()
    obs_utils.initialize_obs_utils_with_config(config)
    shapes = file_utils.get_shape_metadata_from_dataset(config.train.data, all_obs_keys=["image", "proprio"])
    about = file_utils.get_env_metadata_from_dataset(config.train.data)
    model = algo_factory("bc", config, shapes["all_shapes"], shapes["ac_dim"], torch.device("cpu"))
    dataset, _ = train_utils.load_data_for_training(config, obs_keys=shapes["all_obs_keys"])
    log = train_utils.run_epoch(model, DataLoader(dataset, batch_size=8, shuffle=True), epoch=1, num_steps=3)
    assert np.isfinite(log["Loss"])
    return f"BC of {about['env_name']} from {dataset.n_demos} episodes, loss {log['Loss']:.3g}"


def read_lerobot(folder: Path, expected: list[Columns]) -> None:
    """`LeRobotDataset`: its table (as it was written) and its batches (as torch makes them)."""
    import torch
    from lerobot.configs.types import FeatureType
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.datasets.utils import dataset_to_policy_features

    dataset = LeRobotDataset("perceptransfer/lerobot", root=folder / "lerobot")
    names = {name: FEATURES.get(name, name) for name in expected[0]}
    lost = [name for name, feature in names.items() if feature not in dataset.features]
    assert not lost, f"lost columns: {lost}"
    with np.load(folder / "expected.npz") as stored:
        assert dataset.features["gate.g_before"]["names"] == stored["constraints"].tolist()
    inputs = dataset_to_policy_features(dataset.features)
    assert [name for name, it in inputs.items() if it.type is FeatureType.ACTION] == ["action"]
    assert set(inputs) == {"action", "observation.state", "observation.images.image"}
    assert (dataset.num_episodes, dataset.fps) == (len(expected), FPS)
    wanted = {name: np.concatenate([columns[name] for columns in expected]) for name in expected[0]}
    table = dataset.hf_dataset.with_format(None)
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=32))
    for name, column in wanted.items():
        same(name, [np.asarray(value) for value in table[names[name]]], column)
        seen = torch.cat([batch[names[name]] for batch in batches])
        if name == "obs/image":
            same(name, (seen.permute(0, 2, 3, 1) * 255).round().byte(), column)
        else:
            same(name, seen, column.astype(np.float32) if column.dtype.kind == "f" else column)
    ends = np.cumsum([len(columns["actions"]) for columns in expected])
    assert dataset.meta.episodes["dataset_to_index"] == ends.tolist()


def train_lerobot(folder: Path) -> str:
    """Some steps of ACT, made from the data set's own features and statistics."""
    import torch
    from lerobot.configs.types import FeatureType
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.datasets.utils import dataset_to_policy_features
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    chunk = 4
    whole = LeRobotDataset("perceptransfer/lerobot", root=folder / "lerobot")
    features = dataset_to_policy_features(whole.features)
    config = ACTConfig(
        input_features={name: it for name, it in features.items() if it.type is not FeatureType.ACTION},
        output_features={name: it for name, it in features.items() if it.type is FeatureType.ACTION},
        **{"chunk_size": chunk, "n_action_steps": chunk, "dim_model": 32, "dim_feedforward": 32, "n_heads": 2},
        pretrained_backbone_weights=None,
        device="cpu",
    )
    policy = ACTPolicy(config)
    before, _ = make_pre_post_processors(config, dataset_stats=whole.meta.stats)
    ahead = {"action": [i / FPS for i in range(chunk)]}
    dataset = LeRobotDataset("perceptransfer/lerobot", root=folder / "lerobot", delta_timestamps=ahead)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-4)
    for _, batch in zip(range(3), torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True), strict=False):
        loss, _ = policy(before(batch))
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return f"ACT from {dataset.num_episodes} episodes, loss {loss.item():.3g}"


def read(library: str, folder: Path) -> None:
    """Compare, train, and compare with what was not written, which has to fail."""
    check, train = {"robomimic": (read_robomimic, train_robomimic), "lerobot": (read_lerobot, train_lerobot)}[library]
    expected = expected_of(folder)
    check(folder, expected)
    gate = [name for name in expected[0] if name.startswith("gate.")]
    assert len(gate) == 9
    for name in gate:
        other = np.where(expected[0][name] == 0, 1, 0).astype(expected[0][name].dtype)
        for spoiled in ({**expected[0], name: other}, {**expected[0], f"{name}.lost": other}):
            try:
                check(folder, [spoiled, *expected[1:]])
            except AssertionError:
                continue
            raise SystemExit(f"a change of {name} was not noticed")
    ticks = sum(len(columns["actions"]) for columns in expected)
    print(f"{library}: {len(expected[0])} columns of {ticks} ticks equal, {len(gate)} of the gate; {train(folder)}")


def main() -> None:
    """Write or read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    halves = parser.add_subparsers(dest="half", required=True)
    writing, reading = halves.add_parser("write"), halves.add_parser("read")
    writing.add_argument("folder", type=Path)
    writing.add_argument("--episodes", type=int, default=6)
    reading.add_argument("library", choices=("robomimic", "lerobot"))
    reading.add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.half == "write":
        write(given.folder, given.episodes)
    else:
        read(given.library, given.folder)


if __name__ == "__main__":
    main()
