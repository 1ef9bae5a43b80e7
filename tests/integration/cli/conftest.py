"""State folders: empty ones, and copies of one that a trader left."""

import asyncio
import shutil
from pathlib import Path

import pytest
from msgspec import Struct

from robotrader.model import Order
from tests.integration.cli.recorded import record


class Left(Struct, frozen=True):
    """What a trader left: its state folder, the order that was filled, and the one whose outcome is unknown."""

    state: Path
    bought: Order
    sold: Order


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Name a state folder that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Record a run once."""
    folder = tmp_path_factory.mktemp("recorded")
    bought, sold = asyncio.run(record(folder))
    return Left(folder, bought, sold)


@pytest.fixture
def left(template: Left, state: Path) -> Left:
    """Give a copy of the recorded run."""
    shutil.copytree(template.state, state)
    return Left(state, template.bought, template.sold)
