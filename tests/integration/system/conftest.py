"""A place for drills, and what a run gives that nothing disturbs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.real import opened
from tests.chaos.world import SCRATCH


@pytest.fixture
def place() -> Iterator[Path]:
    """Return an empty folder, in memory where there is some: drills are about processes, not about a disk's speed."""
    with tempfile.TemporaryDirectory(prefix="robotrader-drill-", dir=SCRATCH) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, Any]:
    """Return the report of a run that nothing disturbs."""
    with (
        tempfile.TemporaryDirectory(prefix="robotrader-drill-", dir=SCRATCH) as folder,
        opened(Path(folder)) as account,
    ):
        account.to_the_end()
        return account.report()
