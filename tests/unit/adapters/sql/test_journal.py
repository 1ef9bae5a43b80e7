"""The SQL journal in memory keeps what every journal keeps."""

from collections.abc import Iterator

import pytest

from tests.conformance.journal import CHECKS, Check, check_journal
from tests.conformance.journal_sql import SqlStorage


@pytest.fixture
def storage() -> Iterator[SqlStorage]:
    found = SqlStorage(None)
    yield found
    found.close()


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Check, storage: SqlStorage) -> None:
    check_journal(check, storage)
