"""Databases on a file, in a folder of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from robotrader.adapters.sql.engine import Database
from tests.conformance.journal_sql import SqlStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqlStorage]:
    found = SqlStorage(tmp_path / "journal.sqlite")
    yield found
    found.close()


@pytest.fixture
def database(storage: SqlStorage) -> Database:
    return storage.database
