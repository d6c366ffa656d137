"""Choosing among candidates without target labels, and never by the quantity that was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perceptransfer.core.errors import ConfigError, UndefinedMetricError
from perceptransfer.metrics.evidence import Evidence
from perceptransfer.metrics.validators import VALIDATORS

TRAINED_QUANTITIES: Mapping[str, frozenset[str]] = {
    "entropy": frozenset({"entropy"}),
    "entropyminimization": frozenset({"entropy"}),
    "minimumentropy": frozenset({"entropy"}),
    "tent": frozenset({"entropy"}),
    "bnm": frozenset({"bnm", "entropy"}),
    "mcc": frozenset({"bnm", "entropy"}),
    "im": frozenset({"im", "im_source", "entropy"}),
    "infomax": frozenset({"im", "im_source", "entropy"}),
    "informationmaximization": frozenset({"im", "im_source", "entropy"}),
    "shot": frozenset({"im", "im_source", "entropy"}),
}
"""Training loss (class name, lower case, letters and digits only) → validators that it drives up by itself.

Summed over classes, MCC's off-diagonal confusion is, but for its weights, 1 − ‖p‖² of each prediction: the Frobenius
norm, which bounds BNM's nuclear norm, and an impurity like entropy.
"""


@dataclass(frozen=True)
class Selection:
    """The chosen candidate, all scores, and what the second opinion says of it.

    ``second_best`` is ``None`` when the second validator could not be asked; ``note`` then says why. When the two
    disagree, ``note`` holds both choices with their scores.
    """

    best: str
    validator: str
    scores: Mapping[str, float]
    second: str | None
    second_best: str | None
    second_scores: Mapping[str, float]
    note: str | None

    @property
    def disagreement(self) -> bool:
        """Whether the second opinion would have chosen another candidate."""
        return self.second_best is not None and self.second_best != self.best


def check_validator(validator: str, training_losses: Iterable[str]) -> None:
    """Refuse a validator that measures what a loss was trained on.

    ``training_losses`` are class names or import paths (``perceptransfer.alignment.MCC``, ``MCC``, ``mcc``); of names
    that this room does not know only the one equal to the validator's is refused.

    Raises:
        ConfigError: an unknown validator, or one equal to a training loss.
    """
    if validator not in VALIDATORS:
        raise ConfigError(
            f"unknown validator {validator!r}", key="validator", remedy=f"use one of {', '.join(VALIDATORS)}"
        )
    losses = tuple(training_losses)
    trained = {loss: _trained_by(loss) for loss in losses}
    for loss in losses:
        if validator in trained[loss]:
            allowed = [name for name in VALIDATORS if not any(name in names for names in trained.values())]
            raise ConfigError(
                f"validator {validator!r} measures what {loss} was trained on, so it cannot judge it",
                key="validator",
                remedy=f"use one of {', '.join(allowed)}",
            )


def select(
    candidates: Mapping[str, Evidence],
    validator: str = "class_ami",
    *,
    training_losses: Iterable[str] = (),
    second: str | None = "im_source",
) -> Selection:
    """Candidate with the largest validator score, the first one on a tie, with a second opinion beside it.

    The second opinion never changes the choice. It is left out, with a note, when its evidence is missing or when it
    equals a training loss.

    Raises:
        ConfigError: as `check_validator`.
        UndefinedMetricError: no candidates, or the validator has no value for one of them.
    """
    losses = tuple(training_losses)
    check_validator(validator, losses)
    scores = _score(candidates, validator)
    best = max(scores, key=scores.__getitem__)
    if second is None or second == validator:
        return Selection(best, validator, scores, None, None, {}, None)
    try:
        check_validator(second, losses)
        others = _score(candidates, second)
    except (ConfigError, UndefinedMetricError) as error:
        if second not in VALIDATORS:
            raise
        return Selection(best, validator, scores, second, None, {}, f"no second opinion: {error.problem}")
    preferred = max(others, key=others.__getitem__)
    if others[preferred] == others[best]:
        return Selection(best, validator, scores, second, best, others, None)
    note = (
        f"validators disagree: {validator} chooses {best} ({scores[best]:.3f}; {preferred}: {scores[preferred]:.3f}), "
        f"{second} chooses {preferred} ({others[preferred]:.3f}; {best}: {others[best]:.3f})"
    )
    return Selection(best, validator, scores, second, preferred, others, note)


def _score(candidates: Mapping[str, Evidence], validator: str) -> dict[str, float]:
    if not candidates:
        raise UndefinedMetricError("no candidates to select from", key="candidates")
    scores = {}
    for name, evidence in candidates.items():
        try:
            scores[name] = VALIDATORS[validator](evidence)
        except UndefinedMetricError as error:
            raise UndefinedMetricError(
                f"{validator}: {error.problem}", where=name, key=error.key, remedy=error.remedy
            ) from error
    return scores


def _trained_by(loss: str) -> frozenset[str]:
    name = _plain(loss.rpartition(".")[2])
    same = frozenset(validator for validator in VALIDATORS if _plain(validator) == name)
    return same | TRAINED_QUANTITIES.get(name, frozenset())


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
