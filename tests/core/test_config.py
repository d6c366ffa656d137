"""Configuration round trip and identity."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from perceptransfer.core.config import (
    Configurable,
    code_identity,
    config_of,
    evolve,
    fingerprint,
    identity_of,
    instantiate,
)
from perceptransfer.core.errors import ConfigError


class Inner(Configurable):
    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate


class Base(Configurable):
    def __init__(self, width: int, depth: int = 2) -> None:
        self.width, self.depth = width, depth


class Derived(Base):
    NOT_IDENTITY = frozenset({"device"})

    def __init__(self, width: int, inner: Inner | None = None, device: str = "cpu") -> None:
        super().__init__(width * 10, depth=7)
        self.inner = inner


class Keywords(Base):
    def __init__(self, **rest: int) -> None:
        super().__init__(**rest)


class Bare(Configurable):
    pass


def test_arguments_are_recorded_with_defaults() -> None:
    assert config_of(Base(3))["init_args"] == {"width": 3, "depth": 2}
    assert config_of(Base(depth=1, width=2))["init_args"] == {"width": 2, "depth": 1}


def test_the_outermost_init_names_the_config() -> None:
    assert config_of(Derived(3))["init_args"] == {"width": 3, "inner": None, "device": "cpu"}


def test_a_class_without_init_has_empty_arguments() -> None:
    assert config_of(Bare())["init_args"] == {}
    assert isinstance(instantiate(config_of(Bare())), Bare)


def test_keyword_arguments_are_flattened() -> None:
    assert config_of(Keywords(width=4))["init_args"] == {"width": 4}


def test_round_trip_nested() -> None:
    made = instantiate(config_of(Derived(3, Inner(0.25))))
    assert made.width == 30 and made.inner.rate == 0.25
    assert fingerprint(made) == fingerprint(Derived(3, Inner(0.25)))


def test_lists_dicts_and_paths() -> None:
    assert config_of({"a": (1, 2.5), "b": Path("x") / "y", "c": None}) == {"a": [1, 2.5], "b": "x/y", "c": None}


def test_identity_leaves_out_where_it_ran_and_config_does_not() -> None:
    assert fingerprint(Derived(3, device="cuda")) == fingerprint(Derived(3, device="cpu"))
    assert config_of(Derived(3, device="cuda"))["init_args"]["device"] == "cuda"


@pytest.mark.parametrize("changed", [Derived(4), Derived(3, Inner()), Derived(3, Inner(0.1))])
def test_identity_moves_with_every_other_argument(changed: Derived) -> None:
    assert fingerprint(changed) != fingerprint(Derived(3))


def test_evolve_changes_one_argument_and_keeps_the_rest() -> None:
    start = Derived(3, Inner(0.25))
    changed = evolve(start, width=5)
    assert changed.width == 50 and changed.inner is start.inner and start.width == 30


def test_what_cannot_stand_in_a_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match="object cannot stand in a configuration"):
        config_of(Inner(object()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        {"class_path": "no.such.module.Thing"},
        {"class_path": f"{__name__}.Missing"},
        {"class_path": f"{__name__}.Base", "init_args": {"wrong": 1}},
    ],
)
def test_instantiate_names_what_it_cannot_make(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=str(config["class_path"])):
        instantiate(config)


USER = "from perceptransfer.core.config import Configurable\n\n\nclass Mine(Configurable):\n    factor = {factor}\n"


def test_code_of_a_users_class_counts_and_its_layout_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    identities = []
    for name, text in (
        ("mine_a", USER.format(factor=1)),
        ("mine_b", "# a comment\n" + USER.format(factor=1).replace("\n\n\n", "\n\n\n\n")),
        ("mine_c", USER.format(factor=2)),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        identities.append(code_identity(importlib.import_module(name).Mine))
        sys.modules.pop(name)
    assert identities[0] == identities[1] != identities[2]


def test_version_is_the_identity_of_a_package_class() -> None:
    from perceptransfer.alignment import CORAL

    before = identity_of(CORAL())

    class Raised(CORAL):
        VERSION = CORAL.VERSION + 1

    Raised.__module__ = CORAL.__module__
    assert before["code"] == f"version {CORAL.VERSION}"
    assert code_identity(Raised) == f"version {CORAL.VERSION + 1}"


class Grown(Base):
    IF_GIVEN = frozenset({"extra"})

    def __init__(self, width: int, extra: Inner | None = None) -> None:
        super().__init__(width)
        self.extra = extra


def test_an_argument_that_came_later_counts_only_when_given() -> None:
    assert identity_of(Grown(3))["init_args"] == {"width": 3}
    assert identity_of(Grown(3, Inner()))["init_args"]["extra"]["init_args"] == {"rate": 0.5}
    assert config_of(Grown(3))["init_args"] == {"width": 3, "extra": None}
    assert fingerprint(instantiate(config_of(Grown(3)))) == fingerprint(Grown(3))
