"""What library strategies order and fill on shipped data, as hashes: whoever changes one says why in the changelog."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from robotrader import bootstrap
from robotrader.model import StrategyConfig, StrategyId

RUNS: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    ("sma_crossover", "sample:AAPL", {},
     "b6dff6cc9a185648153f51fdc5f9333ac3711b8971e0fff40b7a4c7a66f2b00c",
     "0aa745d5ca3bc6ea4bf32cf2ba2efbc2046fd8fc6779c11df896ca3dcf6592eb"),
    ("sma_crossover", "sample:AAPL", {"stop_loss": "percent:0.05", "take_profit": "atr:3"},
     "4e2539eaf7418c30f35e1478ff20b45e50d17d4a4768e2b8291a54f47059317e",
     "71fc89976fc1297bd08c7ac03b0384bc2624c45dd1ce80eb9c18cac647f13925"),
    ("momentum", "sample:all", {"sizer": "percent:0.2"},
     "db1da58551041542033adba69dcb120b69c28ac45b3500ac5bd7ed1d02dfb27b",
     "72f67a46e480d86a46e62fca7fc1fa5f827b1bce3c25a93e5aec237e562484a8"),
)  # fmt: skip


@pytest.mark.parametrize(("source", "data", "changes", "orders", "fills"), RUNS)
def test_the_orders_are_those_of_before(
    source: str, data: str, changes: dict[str, Any], orders: str, fills: str, tmp_path: Path
) -> None:
    panel = bootstrap.load_data(data, state=tmp_path).panel
    config = StrategyConfig(**{"id": StrategyId(source), "source": source, "universe": panel.ids,
                               "capital": Decimal(1_000_000), "sizer": "fixed:100", **changes})  # fmt: skip
    found = bootstrap.backtest([config], panel)
    assert (found.orders_hash, found.fills_hash) == (orders, fills)
