"""From sources to domains: roles, fingerprints, labels spent, leaks, classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError, DataError, FractionError, LeakageError, TestDomainError
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain, Folder, FontDigits, ImageSet, ImageSource, ScannedDigits, TransferData

Make = Callable[[str, Mapping[str, int]], Path]
FIXED = ("synthetic", "synthetic_val", "unlabeled", "device", "test")


class Counting(ImageSource):
    """Counts how often another source is read."""

    def __init__(self, source: ImageSource) -> None:
        self.source, self.loads = source, 0

    def load(self, size: tuple[int, int]) -> ImageSet:
        self.loads += 1
        return self.source.load(size)


@pytest.fixture
def data(synthetic: Path, real: Path) -> TransferData:
    return TransferData(str(synthetic), str(real), size=(16, 16))


def names(domain: Domain) -> set[str]:
    return set(domain.hashes)


def test_roles(data: TransferData) -> None:
    domains = data.prepare(0, 0.25)
    assert {role: len(domain) for role, domain in domains.items()} == {
        "synthetic": 36, "synthetic_val": 4, "unlabeled": 36, "device": 36, "labeled": 9, "val": 0, "test": 12,
    }  # fmt: skip
    assert all(domain.classes == ("a", "b") for domain in domains.values())
    assert Counter(domains["synthetic_val"].labels.tolist()) == {0: 2, 1: 2}
    assert Counter(domains["labeled"].labels.tolist()) == {0: 6, 1: 3}
    assert names(domains["labeled"]) < names(domains["unlabeled"])
    assert not names(domains["test"]) & names(domains["unlabeled"])
    assert not names(domains["synthetic_val"]) & names(domains["synthetic"])
    assert not domains["unlabeled"].has_labels
    with phase("evaluation"):
        outcome = domains["test"].evaluate(lambda images: {"class": np.zeros((len(images), 2))})
    assert Counter(outcome.truth["label"].tolist()) == {0: 6, 1: 6}


def test_bought_labels_are_the_true_ones(real: Path, data: TransferData) -> None:
    images = Folder(str(real)).load((16, 16))
    truth = {record.sha256: record.label for record in images.records}
    for fraction in (0.1, 1.0):
        labeled = data.prepare(3, fraction)["labeled"]
        assert [truth[sha] for sha in labeled.hashes] == labeled.labels.tolist()


def test_fixed_domains_do_not_move_with_fraction_or_seed_and_labeled_does(data: TransferData) -> None:
    sets = [data.prepare(0, 0.0), data.prepare(0, 0.25), data.prepare(0, 0.5), data.prepare(1, 0.5)]
    for role in FIXED:
        assert len({domains[role].fingerprint for domains in sets}) == 1
    assert len({domains["labeled"].fingerprint for domains in sets}) == 4
    assert data.prepare(1, 0.5)["labeled"].fingerprint == sets[3]["labeled"].fingerprint
    assert names(sets[1]["labeled"]) < names(sets[2]["labeled"])


def test_the_test_counts_anew_for_every_experiment(data: TransferData) -> None:
    first, second = data.prepare(0), data.prepare(0)
    with phase("evaluation"):
        first["test"].evaluate(lambda images: {"class": np.zeros((len(images), 2))})
    assert (first["test"].reads, second["test"].reads) == (1, 0)
    with pytest.raises(TestDomainError):
        _ = second["test"].labels


def test_sources_are_read_once(synthetic: Path, real: Path) -> None:
    sources = [Counting(Folder(str(synthetic))), Counting(Folder(str(real)))]
    data = TransferData(sources[0], sources[1], size=(16, 16))
    assert [source.loads for source in sources] == [0, 0]
    for seed in range(3):
        data.prepare(seed, 0.1)
    data.describe()
    assert data.classes == ("a", "b")
    assert [source.loads for source in sources] == [1, 1]


def test_validation_counts_as_spent(synthetic: Path, real: Path) -> None:
    data = TransferData(str(synthetic), str(real), size=(16, 16), val_share=0.25)
    domains = data.prepare(0, 1.0)
    assert (len(domains["labeled"]), len(domains["val"])) == (27, 9)
    assert not names(domains["labeled"]) & names(domains["val"])
    assert domains.facts["labels_spent"] == 36


def test_a_val_folder_can_be_left_out(synthetic: Path, real: Path) -> None:
    domains = TransferData(str(synthetic), str(real), size=(16, 16), val_folder="ignore").prepare(0, 1.0)
    assert len(domains["labeled"]) == len(domains["unlabeled"]) == 30


def test_an_absolute_number_of_labels(data: TransferData, synthetic: Path, real: Path) -> None:
    assert len(data.prepare(0, labels=7)["labeled"]) == 7
    fixed = TransferData(str(synthetic), str(real), size=(16, 16), labels=5)
    assert len(fixed.prepare(0)["labeled"]) == 5
    assert len(fixed.prepare(0, 0.5)["labeled"]) == 18
    assert fixed.prepare(0, labels=1).facts["inflation"] == 1


def test_shuffled_labels_keep_images_and_counts(synthetic: Path, real: Path, data: TransferData) -> None:
    shuffled = TransferData(str(synthetic), str(real), size=(16, 16), shuffle_labels=True).prepare(0, 1.0)["labeled"]
    honest = data.prepare(0, 1.0)["labeled"]
    assert shuffled.hashes == honest.hashes
    assert sorted(shuffled.labels) == sorted(honest.labels)
    assert (shuffled.labels != honest.labels).any()
    assert shuffled.fingerprint != honest.fingerprint


def test_another_folder_of_unlabeled_images(synthetic: Path, real: Path, folder: Make) -> None:
    extra = folder("extra", {"2024": 3, "2025": 4})
    domains = TransferData(str(synthetic), str(real), str(extra), size=(16, 16)).prepare(0)
    assert len(domains["unlabeled"]) == len(domains["device"]) == 7
    assert domains["unlabeled"].classes == domains["device"].classes == ("a", "b")
    one = TransferData(str(synthetic), str(real), device=str(extra / "2024"), size=(16, 16)).prepare(0)
    assert (len(one["unlabeled"]), len(one["device"])) == (36, 3)


def test_the_description_is_plain_data_and_complete(data: TransferData) -> None:
    described = json.loads(json.dumps(data.prepare(0, 0.01).describe()))
    assert described["domains"]["labeled"]["per_class"] == {"a": 1, "b": 1}
    assert "per_class" not in described["domains"]["test"]
    expected = {"pool": 36, "labels_requested": 0, "inflation": 2, "labels_spent": 2, "real_fraction": 0.01, "seed": 0}
    assert {key: described[key] for key in expected} == expected
    assert described["leakage"] == {"mode": "error", "found": []}
    assert described["quarantined"] == {"synthetic": [], "real": []}
    assert set(json.loads(json.dumps(data.describe()))["domains"]) == set(FIXED)


def test_quarantine_is_reported(synthetic: Path, real: Path) -> None:
    (synthetic / "a/000.png").write_bytes(b"x")
    data = TransferData(Folder(str(synthetic), on_bad_image="quarantine"), str(real), size=(16, 16))
    assert [item["name"] for item in data.describe()["quarantined"]["synthetic"]] == ["a/000.png"]


def test_classes_that_differ_are_both_listed(folder: Make, real: Path) -> None:
    other = folder("other", {"a": 4, "c": 4})
    with pytest.raises(DataError, match=r"synthetic has \['a', 'c'\], real has \['a', 'b'\].*class_map[\s\S]*remedy"):
        TransferData(str(other), str(real), size=(16, 16)).prepare(0)


def leak(real: Path, target: Path, kind: str) -> None:
    """Put a copy of a test image into a training folder."""
    with Image.open(real / "test/a/000.png") as image:
        if kind == "file":
            (target / "leak.png").write_bytes((real / "test/a/000.png").read_bytes())
        elif kind == "re-encoded":
            image.save(target / "leak.jpg", quality=60)
        else:
            image.resize((48, 48), Image.Resampling.BICUBIC).save(target / "leak.png")


@pytest.mark.parametrize("kind", ["file", "re-encoded", "resized"])
@pytest.mark.parametrize("where", ["real/train/b", "synthetic/a", "extra"])
def test_a_test_image_in_any_training_set_is_found(
    kind: str, where: str, real: Path, synthetic: Path, folder: Make, tmp_path: Path
) -> None:
    extra = folder("extra", {".": 5})
    leak(real, tmp_path / where, kind)

    def made(mode: str) -> TransferData:
        return TransferData(str(synthetic), str(real), str(extra), size=(16, 16), leakage=mode)

    with pytest.raises(LeakageError, match=r"leak\.(png|jpg) = test test/a/000\.png[\s\S]*remove"):
        made("error").prepare(0)
    sizes = {
        mode: {role: len(domain) for role, domain in made(mode).prepare(0, 1.0).items()} for mode in ("remove", "off")
    }
    roles = {"real/train/b": ["labeled"], "synthetic/a": ["synthetic"], "extra": ["unlabeled", "device"]}[where]
    assert sizes["remove"] == {role: count - (role in roles) for role, count in sizes["off"].items()}
    (found,) = made("remove").describe()["leakage"]["found"]
    assert Path(found["train_name"]).stem == "leak"


def test_a_real_source_without_test_or_training_images(synthetic: Path, folder: Make) -> None:
    no_test, no_train = folder("x", {"train/a": 3, "train/b": 3}), folder("y", {"test/a": 3, "test/b": 3})
    with pytest.raises(DataError, match="no test images"):
        TransferData(str(synthetic), str(no_test), size=(16, 16)).prepare(0)
    with pytest.raises(DataError, match="no train images"):
        TransferData(str(synthetic), str(no_train), size=(16, 16)).prepare(0)
    one = folder("z", {"train/a": 3, "train/b": 3, "test/a": 3})
    with pytest.raises(DataError, match=r"classes \['b'\] have no real test images"):
        TransferData(str(synthetic), str(one), size=(16, 16)).prepare(0)


@pytest.mark.parametrize("fraction", [-0.01, 1.5, float("nan")])
def test_impossible_fractions_are_refused_before_anything_is_read(fraction: float, data: TransferData) -> None:
    with pytest.raises(FractionError, match="real_fraction"):
        TransferData("no/such/folder", "neither", real_fraction=fraction)
    with pytest.raises(FractionError, match="real_fraction"):
        TransferData("no/such/folder", "neither").prepare(0, fraction)
    with pytest.raises(FractionError, match="37 labels asked for, 36 exist"):
        data.prepare(0, labels=37)


def test_unusable_arguments(synthetic: Path, real: Path) -> None:
    for options in ({"size": (4, 4)}, {"size": (32,)}, {"leakage": "no"}, {"val_folder": "no"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            TransferData(str(synthetic), str(real), **options)
    with pytest.raises(FractionError, match="synthetic_holdout"):
        TransferData(str(synthetic), str(real), size=(16, 16), synthetic_holdout=1.0).prepare(0)
    with pytest.raises(DataError, match=r"synthetic_holdout[\s\S]*remedy"):
        TransferData(str(synthetic), str(real), size=(16, 16), synthetic_holdout=0.99).prepare(0)


class Scenes(ImageSource):
    """Digits of which ``views`` in a row show one scene."""

    def __init__(self, views: int) -> None:
        self.views = views

    def load(self, size: tuple[int, int]) -> ImageSet:
        given = FontDigits(count=200).load(size)
        order = np.random.default_rng(0).permutation(len(given))
        records = [replace(given.records[j], group=f"scene {i // self.views}") for i, j in enumerate(order)]
        return ImageSet(records, given.classes, given.size, pixels=given.images(order))


@pytest.mark.parametrize(("views", "by"), [(4, "group"), (1, "image"), (100, "image")])
def test_no_scene_is_on_both_sides_of_the_synthetic_hold_out(views: int, by: str) -> None:
    domains = TransferData(Scenes(views), ScannedDigits()).prepare(0)
    assert domains.facts["synthetic_held_out_by"] == by
    held_out, rest = (set(domains[role].groups) for role in ("synthetic_val", "synthetic"))
    assert (
        10 <= len(domains["synthetic_val"]) <= 30 and len(domains["synthetic_val"]) + len(domains["synthetic"]) == 200
    )
    assert not held_out & rest or views == 100, "where two scenes hold everything there is no other way"


def test_embedded_digits() -> None:
    data = TransferData(FontDigits(count=200), ScannedDigits())
    domains = data.prepare(0, 0.01)
    assert {role: len(domain) for role, domain in domains.items()} == {
        "synthetic": 180, "synthetic_val": 20, "unlabeled": 1000, "device": 1000, "labeled": 10, "val": 0, "test": 797,
    }  # fmt: skip
    assert sorted(domains["labeled"].labels) == list(range(10))
    assert domains.describe()["ranges"]["synthetic"]


def test_configurations_in_python_and_on_the_command_line(synthetic: Path, real: Path) -> None:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TransferData, "data")
    arguments = [
        f"--data.real={real}",
        "--data.synthetic=FontDigits",
        "--data.synthetic.count=7",
        "--data.size=[64, 48]",
    ]
    made = parser.instantiate(parser.parse_args(arguments)).data
    assert isinstance(made.synthetic, FontDigits)
    assert isinstance(made.real, Folder)
    assert made.size == (64, 48)
    again = instantiate(config_of(made))
    assert config_of(again) == config_of(made)
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args([*arguments, "--data.fraction=0.5"])
