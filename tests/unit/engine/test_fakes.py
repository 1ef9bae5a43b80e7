"""The journal that these tests stand on keeps the promises of the port."""

import asyncio

import pytest

from tests.conformance.journal import CHECKS
from tests.fakes import MemoryStorage


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_journal_in_memory_conforms(check: object) -> None:
    asyncio.run(check(MemoryStorage()))  # type: ignore[operator]
