"""Databases on a file, in a folder of their own, and on a server that lives as long as the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from robotrader.adapters.sql.engine import Database
from tests.conformance.journal_sql import SqlStorage
from tests.conformance.postgres import PostgresServer, PostgresStorage, postgres_server


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqlStorage]:
    found = SqlStorage(tmp_path / "journal.sqlite")
    yield found
    found.close()


@pytest.fixture
def database(storage: SqlStorage) -> Database:
    return storage.database


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as found:
        yield found


@pytest.fixture
def postgres(server: PostgresServer) -> Iterator[PostgresStorage]:
    found = PostgresStorage(server.url())
    yield found
    found.close()
