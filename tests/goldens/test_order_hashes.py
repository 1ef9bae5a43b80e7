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
    ("breakout", "sample:all", {"sizer": "percent:0.2"},
     "a728f1bbada2a34d7580a401b178a6193b61b4bd6ff9daf05cf3d8b3862a540e",
     "daaabb76adb91528ea6c08da84abf1e02ec595a4e80dd7ca75146d7993c13b68"),
    ("mean_reversion", "sample:all", {"sizer": "percent:0.2", "time_exit": "10d"},
     "b6b1402a94040c730e468a86ba291a1f528cf02ca5e3aa91e5518f3262221318",
     "7110cf5bbbf52de776081fd75635dc74d1ae6116c28a2bb7741f64e8726a2018"),
    ("cross_sectional_momentum", "sample:all", {"sizer": "percent:0.2"},
     "0f1712b48ccace493084a7ec41481602e9395716c146cbf1fd4f5b2924910441",
     "1d93f3dcba8d45c8a9c885365f0c85fafeef4960f199abfa16629f83f3eb3f16"),
    ("time_series_momentum", "sample:all", {"sizer": "percent:0.2"},
     "d4d08b23513516d9ef7617e5606b4ef7191ac337b68eb739cedbe8ae2a152c9c",
     "5541336145ea7c425f57fc2ad4d18ec9b5f4ce88c8b7bc76408948a8c6756ffc"),
    ("pairs", "sample:all", {"sizer": "percent:0.2", "universe": ("AAPL.NASDAQ", "GOOG.NASDAQ")},
     "391f6fd1ee56bec52415bd549b595dc6d6cd3edf494a79ede6ac71119a31eef8",
     "bd2bf2b9d222d8b1daf51c8192ba385c3f062e97b84c03e8d27d9d1e8780220b"),
    ("regime_trend", "sample:all", {"sizer": "percent:0.2"},
     "ae1eb7661239a44a0bc12964244ec99f9dc2e3f6b3d4e1e21aa23bd245a78601",
     "c828759297c69c30e43f90be3df295b7948db9c6e2eb52a89ef3622882d72936"),
    ("sma_crossover", "sample:AAPL", {"stop_loss": "trailing_percent:0.1", "time_exit": "30d"},
     "bf40909f71cea1e08d98a66ef28727f8d76b491a22a3ecde9b80d0b3fc5f8ce0",
     "ac4f2b1009e02aa12d52ec79abb08b2338ef6eec3f23e9615afc2e71f823a661"),
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
