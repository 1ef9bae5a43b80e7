"""The SQL journal in memory: the conformance suite, and what feeds which projection."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.conformance.journal import CHECKS, Storage
from tests.conformance.journal_sql import SqlStorage


@pytest.fixture
def storage() -> Iterator[SqlStorage]:
    found = SqlStorage(None)
    yield found
    found.close()


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Callable[[Storage], Awaitable[None]], storage: SqlStorage) -> None:
    async def run() -> None:
        await check(storage)

    asyncio.run(run())
