"""The clients whose latency is measured, for a few sessions: that they run is a test, how fast is not."""

import asyncio
from pathlib import Path

import pytest

from tests.benchmarks.latency import BARE, MEMORY, TRADER, measure


@pytest.mark.parametrize("client", [TRADER, MEMORY, BARE])
def test_each_client_places_its_orders(client: str, tmp_path: Path) -> None:
    assert min(asyncio.run(measure(client, tmp_path, 120))) > 0
