"""Worlds to share, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from perceptransfer.robot.look import Look
from perceptransfer.robot.worlds import Push, Reach
from tests.bundles import shared_pose_bundle

LOOKS = Path(__file__).parents[2] / "configs" / "looks"


@pytest.fixture(scope="session")
def looks() -> dict[str, Look]:
    # The last look is not rendered before the end of development, by tests either.
    return {path.stem: Look.read(path) for path in LOOKS.glob("*.yaml") if path.stem != "final_c"}


@pytest.fixture(scope="session")
def seeing() -> Iterator[Reach]:
    world = Reach()
    yield world
    world.close()


@pytest.fixture(scope="session")
def seeing_push() -> Iterator[Push]:
    world = Push()
    yield world
    world.close()


@pytest.fixture(scope="session")
def pose_bundle() -> Path:
    return shared_pose_bundle()
