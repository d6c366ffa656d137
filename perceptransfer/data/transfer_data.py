"""The data of one transfer experiment: synthetic and real sources become domains."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.features import DEPTH
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data.domain import Domain
from perceptransfer.data.domain_set import DomainSet
from perceptransfer.data.folder import Folder, UnlabeledFolder
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import one_of
from perceptransfer.data.leakage import Leak, Prints, find_leaks, refuse
from perceptransfer.data.real_test import TestDomain
from perceptransfer.data.source import ImageSource
from perceptransfer.data.splits import hold_out, number_of_labels, spend


@dataclass(frozen=True)
class _Loaded:
    """What does not depend on seed and fraction: read, checked and decoded once."""

    pool: ImageSet
    test: ImageSet
    fixed: dict[str, Domain]
    facts: dict[str, Any]


class TransferData(Configurable):
    """Synthetic images with labels, real images with few, and a real test that stays out of reach.

    The real source's ``train`` part is the pool from which labels are bought; stripped of them it is also the unlabeled
    domain, unless ``unlabeled`` names another. The fingerprints of synthetic, unlabeled and test do not depend on the
    fraction or the seed.
    """

    def __init__(
        self,
        synthetic: ImageSource | str,
        real: ImageSource | str,
        unlabeled: ImageSource | str | None = None,
        device: ImageSource | str | None = None,
        real_fraction: float = 0.0,
        labels: int | None = None,
        val_share: float = 0.0,
        size: tuple[int, int] = (32, 32),
        synthetic_holdout: float = 0.1,
        leakage: Literal["error", "remove", "off"] = "error",
        val_folder: Literal["pool", "ignore"] = "pool",
        shuffle_labels: bool = False,
    ) -> None:
        """Name the sources; a string is the path of a folder.

        Args:
            synthetic: rendered images with labels.
            real: real images with labels, split into train and test.
            unlabeled: real images without labels; by default the real training images.
            device: unlabeled images of the one device to specialize on; by default the unlabeled images.
            real_fraction: share of the pool's labels that is bought, 0..1.
            labels: number of labels bought, instead of a share.
            val_share: share of the bought labels set aside for selection.
            size: height and width in pixels.
            synthetic_holdout: share of the synthetic images held out to score the model on its own domain; by groups
                where the images have some.
            leakage: what to do with training images that are copies of test images.
            val_folder: add the real source's ``val`` part to the pool, or leave it out.
            shuffle_labels: permute the bought labels, for the sanity row that must not work.
        """
        self.synthetic: ImageSource = Folder(synthetic) if isinstance(synthetic, str) else synthetic
        self.real: ImageSource = Folder(real) if isinstance(real, str) else real
        self.unlabeled = UnlabeledFolder(unlabeled) if isinstance(unlabeled, str) else unlabeled
        self.device = UnlabeledFolder(device) if isinstance(device, str) else device
        self.real_fraction, self.labels, self.val_share = real_fraction, labels, val_share
        self.synthetic_holdout, self.leakage, self.val_folder = synthetic_holdout, leakage, val_folder
        self.shuffle_labels = shuffle_labels
        if len(size) != 2 or min(size) < 8:
            raise ConfigError(f"size must be [height, width], at least 8 each, got {list(size)}", key="size")
        self.size = (int(size[0]), int(size[1]))
        one_of("leakage", leakage, ("error", "remove", "off"))
        one_of("val_folder", val_folder, ("pool", "ignore"))
        number_of_labels(0, real_fraction)  # refuses a bad fraction before anything is read
        self._loaded: _Loaded | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, equal in all domains; loads the sources."""
        return self._load().pool.classes

    def prepare(
        self,
        seed: int,
        real_fraction: float | None = None,
        labels: int | None = None,
        shuffle_labels: bool | None = None,
    ) -> DomainSet:
        """Make the domains of one seed; what is given here goes before what the constructor was given.

        Raises:
            FractionError: a fraction outside 0..1, or more labels than exist.
            DataError: a source that cannot be used, classes that differ, no real training or test images.
            LeakageError: a training image is a copy of a test image and ``leakage`` is ``error``.
        """
        if real_fraction is None and labels is None:
            labels, real_fraction = self.labels, self.real_fraction
        number_of_labels(0, real_fraction or 0.0)
        loaded = self._load()
        pool_labels = loaded.pool.labels
        spent = spend(pool_labels, seed, fraction=real_fraction or 0.0, count=labels, val_share=self.val_share)
        domains = dict(loaded.fixed)
        for role, chosen in (("labeled", spent.train), ("val", spent.val)):
            source = chosen  # the images whose labels these are
            if self.shuffle_labels if shuffle_labels is None else shuffle_labels:
                source = np.random.default_rng(derive_seed("shuffle", role, seed)).permutation(chosen)
            domains[role] = Domain(role, loaded.pool, chosen, pool_labels[source], loaded.pool.targets.take(source))
        domains["test"] = TestDomain(loaded.test)  # a new one each time, because it counts
        facts = {
            "seed": seed,
            "real_fraction": real_fraction,
            "labels_requested": spent.requested,
            "labels_spent": len(spent.train) + len(spent.val),
            "inflation": spent.inflation,
        }
        return DomainSet(domains, {**loaded.facts, **facts})

    def describe(self) -> dict[str, Any]:
        """What holds for every seed and fraction: classes, fingerprints, counts, randomised ranges, leaks, quarantine.

        Raises:
            DataError: as `prepare`.
        """
        loaded = self._load()
        fixed = DomainSet({**loaded.fixed, "test": TestDomain(loaded.test)}, {})
        return {**fixed.describe(), **loaded.facts}

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> _Loaded:
        synthetic, real = self.synthetic.load(self.size), self.real.load(self.size)
        _same_meaning(synthetic, real)
        parts = ("train", "val") if self.val_folder == "pool" else ("train",)
        test = _part(real, ("test",), "test")
        pool = _part(real, parts, "train")
        missing = sorted(set(real.classes) - {real.classes[label] for label in test.labels})
        if missing:
            raise DataError(
                f"classes {missing} have no real test images", key="real", remedy="add test images, or drop the classes"
            )
        sets = {"synthetic": synthetic, "real": real}
        training = {"synthetic": synthetic, "labeled": pool}
        if self.unlabeled is not None:
            sets["unlabeled"] = training["unlabeled"] = self.unlabeled.load(self.size)
        if self.device is not None:
            sets["device"] = training["device"] = self.device.load(self.size)
        training, leaks = self._without_leaks(training, test)
        synthetic, pool = training["synthetic"], training["labeled"]
        parts_of, held_out_by = self._held_out(synthetic)
        fixed = {
            role: Domain(role, synthetic, chosen, synthetic.labels[chosen], synthetic.targets.take(chosen))
            for role, chosen in (
                ("synthetic", np.flatnonzero(parts_of == 0)),
                ("synthetic_val", np.flatnonzero(parts_of == 1)),
            )
        }
        unlabeled = training.get("unlabeled", pool)
        fixed["unlabeled"] = Domain("unlabeled", unlabeled.stripped(real.classes))
        fixed["device"] = Domain("device", training.get("device", unlabeled).stripped(real.classes))
        facts = {
            "classes": list(real.classes),
            "size": list(self.size),
            "pool": len(pool),
            "synthetic_held_out_by": held_out_by,
            "ranges": {"synthetic": dict(self.synthetic.ranges())},
            "leakage": {"mode": self.leakage, "found": [asdict(leak) for leak in leaks]},
            "quarantined": {name: [asdict(item) for item in loaded.quarantined] for name, loaded in sets.items()},
        }
        return _Loaded(pool, test, fixed, facts)

    def _held_out(self, synthetic: ImageSet) -> tuple[NDArray[np.int64], str]:
        """1 for images held out, and by what: whole groups if all images name one and every class has enough of them.

        Two crops of one rendered scene share light and table, so that one of them would say little about the other.
        """
        shares = (self.synthetic_holdout,)
        groups = [record.group for record in synthetic.records if record.group is not None]
        if len(set(groups)) < len(groups) == len(synthetic):
            try:
                return hold_out(synthetic.labels, shares, 0, groups), "group"
            except DataError:
                pass  # some class has too few groups to be in both parts
        held_out = hold_out(synthetic.labels, shares, 0, classes=synthetic.classes, key="synthetic_holdout")
        return held_out, "image"

    def _without_leaks(self, training: dict[str, ImageSet], test: ImageSet) -> tuple[dict[str, ImageSet], list[Leak]]:
        if self.leakage == "off":
            return training, []
        leaks = find_leaks(Prints(test), {role: Prints(images) for role, images in training.items()})
        if self.leakage == "error":
            refuse(leaks)
        if not leaks:
            return training, []
        kept = {}
        for role, images in training.items():
            out = {leak.train_index for leak in leaks if leak.domain == role}
            kept[role] = images.take([i for i in range(len(images)) if i not in out])
            if not len(kept[role]):
                raise DataError(f"every {role} image is a copy of a test image", key="leakage")
        return kept, leaks


def _same_meaning(synthetic: ImageSet, real: ImageSet) -> None:
    if synthetic.classes != real.classes:
        raise DataError(
            f"classes differ: synthetic has {list(synthetic.classes)}, real has {list(real.classes)}",
            key="class_map",
            remedy="rename the class folders, or give one of the folders a class_map",
        )
    focal = {images.targets.canonical_focal_px for images in (synthetic, real) if DEPTH in images.targets.arrays}
    if len(focal) > 1:
        raise DataError(
            f"depth differs: that of cameras of focal lengths {sorted(map(str, focal))}, None is each image's own",
            key="canonical_focal_px",
            remedy="give both sources the same canonical_focal_px, or neither",
        )


def _part(real: ImageSet, splits: tuple[str, ...], name: str) -> ImageSet:
    chosen = [i for i, record in enumerate(real.records) if record.split in splits]
    if not chosen:
        raise DataError(
            f"the real source has no {name} images",
            key="real",
            remedy=f"add a {name} folder, or set split to random or group with a test_share",
        )
    return real.take(chosen)
