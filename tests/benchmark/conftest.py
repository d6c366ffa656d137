"""Fake benchmark results with the shape of real ones: a steep concave curve, hard items shared by all cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from perceptransfer.benchmark.rows import Row

POOL, TEST, CLASSES = 1000, 797, 10
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
# Accuracy at zero real labels and number of labels at which half of the remaining error is gone.
CURVES: dict[str, tuple[float, float]] = {
    "A": (0.10, 14.0),
    "A+": (0.10, 12.0),
    "D": (0.643, np.inf),
    "D+": (0.66, np.inf),
    "D'": (0.699, np.inf),
    "E": (0.66, 18.0),
    "F": (0.643, 9.0),
    "G": (0.930, 25.0),
    "H": (0.70, 12.0),
    "I": (0.958, 30.0),
}
DESCRIPTIONS = {
    "A": "real labels only, from scratch",
    "A+": "real labels only, with the steps of the whole pipeline",
    "D": "synthetic only",
    "D+": "synthetic only, with the steps of the whole pipeline",
    "D'": "synthetic only + AdaBN",
    "E": "synthetic and real mixed in balanced batches",
    "F": "synthetic, then fine-tuned on the real labels",
    "G": "F + alignment on unlabeled real images (MCC)",
    "H": "F + self-training",
    "I": "the whole pipeline: align, self-train, fine-tune",
}


def expected_score(arm: str, labels: int) -> float:
    """Accuracy of the arm's curve, rising from its zero-label value to 0.995."""
    start, half = CURVES[arm]
    return start + (0.995 - start) * labels / (labels + half) if labels else start


def fake_row(arm: str, fraction: float, seed: int, **changes: object) -> Row:
    """One cell; test items have a fixed difficulty, so that cells are correlated as they are in reality."""
    items = np.random.default_rng(7)
    labels = items.integers(0, CLASSES, TEST)
    difficulty = np.clip(items.random(TEST) * 0.8 + 0.2 * (labels == 8) + 0.1 * (labels == 1), 0, 1)
    # Without labels nothing is fine-tuned: F is D then.
    rng = np.random.default_rng([*("D" if arm == "F" and not fraction else arm).encode(), round(fraction * 1000), seed])
    n_real = max(round(POOL * fraction), 10) if fraction else 0
    skill = expected_score(arm, n_real) + rng.normal(0, 0.012) * (1 - expected_score(arm, n_real)) * 4
    noisy = difficulty + rng.normal(0, 0.08, TEST)
    correct = noisy <= np.quantile(noisy, np.clip(skill, 0.05, 0.999))
    wrong = (labels + rng.choice([1, 2, 3, 5, 7], TEST, p=[0.5, 0.1, 0.1, 0.2, 0.1])) % CLASSES
    predicted = np.where(correct, labels, wrong)
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    fields: dict[str, object] = {
        "arm": arm,
        "fraction": fraction,
        "n_real": n_real,
        "seed": seed,
        "metric": "accuracy",
        "direction": "higher",
        "score": float(correct.mean()),
        "score_synthetic": float(np.clip(0.985 - 0.05 * fraction + rng.normal(0, 0.003), 0, 1)),
        "per_class": {str(k): float(confusion[k, k] / confusion[k].sum()) for k in range(CLASSES)},
        "confusion": confusion.tolist(),
        "ece": float(abs(rng.normal(0.04, 0.01))),
        "n_test": TEST,
        "seconds": 9.0 + 4 * rng.random(),
        "train_seconds": 7.5 + 3 * rng.random(),
        "keys": [f"{rng.integers(0, 2**62):016x}" for _ in range(2)],
        "report": _report(rng) if arm in "GHI" else {},
        "test_reads": 1,
        "correct": "".join("1" if item else "0" for item in correct),
        "labels": labels.tolist(),
    }
    return Row(**{**fields, **changes})  # type: ignore[arg-type]  # a test helper that overrides any field


def _report(rng: np.random.Generator) -> dict[str, object]:
    """Stage reports in the shape that `align` and `self_train` write."""
    classes = [str(k) for k in range(CLASSES)]
    rounds = [
        {
            "kept": 0.5 + 0.2 * k,
            "kept_per_class": {c: float(np.clip(0.5 + 0.2 * k + 0.1 * rng.random(), 0, 1)) for c in classes},
        }
        for k in range(3)
    ]
    rounds[0]["kept_per_class"] |= {"8": None}  # type: ignore[operator]  # never predicted in the first round
    target = dict(zip(classes, rng.dirichlet(np.full(CLASSES, 200.0)).tolist(), strict=True))
    before, after = ({"class_ami": 0.5 + shift, "im": 1.1 + shift} for shift in (0.0, 0.4))
    return {
        "pretrain": {"history": [2.3, 0.2]},
        "align": {
            "validators_before": before,
            "validators_after": after,
            "prior": {
                "alarm": bool(rng.random() < 0.02),
                "total_variation": 0.08,
                "threshold": 0.2,
                "target": target,
                "source": dict.fromkeys(classes, 0.1),
            },
        },
        "self_train": {"rounds": rounds, "validators_before": after, "validators_after": after},
    }


def fake_rows(arms: Iterable[str] = tuple(CURVES), fractions: Iterable[float] = FRACTIONS, seeds: int = 6) -> list[Row]:
    """The grid: real-only and mixing have no cell without labels, synthetic-only arms have none with labels."""
    return [
        fake_row(arm, fraction, seed)
        for arm in arms
        for fraction in fractions
        for seed in range(seeds)
        if (arm not in ("A", "A+", "E") if fraction == 0 else arm[0] != "D")
    ]


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    return fake_row


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[Row]]:
    return fake_rows


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return fake_rows()
