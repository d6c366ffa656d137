"""Typed errors: each names what is wrong, where, under which key, and what to do about it."""

from __future__ import annotations

from os import PathLike


class PerceptransferError(Exception):
    """Base of every error raised on purpose.

    ``where`` is a file, folder or object; ``key`` a configuration key; ``remedy`` an imperative sentence.
    The command line prints the message and exits with ``exit_code``.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        where: str | PathLike[str] | None = None,
        key: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem, self.where, self.key, self.remedy = problem, where, key, remedy
        text = problem
        if where is not None:
            text = f"{where}: {text}"
        if key is not None:
            text += f" (key: {key})"
        if remedy is not None:
            text += f"\n  remedy: {remedy}"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and benchmark cells run in other processes.
        return _rebuild, (type(self), self.problem, self.where, self.key, self.remedy)


def _rebuild(
    kind: type[PerceptransferError], problem: str, where: str | None, key: str | None, remedy: str | None
) -> PerceptransferError:
    return kind(problem, where=where, key=key, remedy=remedy)


class ConfigError(PerceptransferError):
    """A configuration value that cannot be used."""

    exit_code = 2


class DataError(PerceptransferError):
    """A data set that cannot be used: missing, empty, or with classes that do not fit."""


class ImageError(DataError):
    """An image file that cannot be read."""


class LeakageError(DataError):
    """A test image that also stands in a training set."""


class FractionError(DataError):
    """A fraction outside 0 to 1, or one that asks for more labels than exist."""


class TestDomainError(PerceptransferError):
    """The test domain was touched by training or selection."""

    __test__ = False  # keeps pytest from collecting a class whose name starts with Test


class UndefinedMetricError(PerceptransferError, ValueError):
    """A metric that has no value for these scores."""


class DivergedError(PerceptransferError):
    """A loss that became NaN or infinite."""


class StoreError(PerceptransferError):
    """A store entry that is damaged and could not be made again."""


class LedgerError(PerceptransferError):
    """A ledger that does not verify."""


class OutputError(PerceptransferError):
    """An output folder that cannot be written."""


class BundleError(PerceptransferError):
    """An encoder bundle that is incomplete, altered, or of another version."""


class ParityError(PerceptransferError):
    """An exported format whose features are not those of the model."""


class ObservationError(PerceptransferError, ValueError):
    """An observation that the policy was not made for: another size, type, layout or range."""


class GateError(ConfigError):
    """A gate file that cannot be used: an unknown constraint, a missing or wrong unit, a limit without room."""


class FrozenWeightsError(PerceptransferError):
    """Weights that were declared frozen are not what they were."""


class ProtocolError(PerceptransferError):
    """A step of fine-tuning on hardware that its protocol does not admit."""


class MissingExtraError(PerceptransferError):
    """An optional dependency that is not installed; the remedy holds the install command."""


class ActionError(PerceptransferError):
    """An action that cannot be carried out: NaN, infinite, or of another shape."""


class RenderError(PerceptransferError):
    """No way to draw images on this machine; the remedy names what to install."""
