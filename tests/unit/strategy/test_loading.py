"""From a name to a strategy; every way to be wrong has its own sentence."""

import re
from decimal import Decimal

import pytest

from robotrader.model import ConfigError, StrategyConfig, StrategyId
from robotrader.strategy.contract import TrailingWindow
from robotrader.strategy.library.momentum import Momentum
from robotrader.strategy.library.sma_crossover import SmaCrossover
from robotrader.strategy.loading import LIBRARY, load_strategy, trailing_source
from tests import builders as make


def test_a_library_strategy_gets_its_defaults_and_what_was_set() -> None:
    assert load_strategy("sma_crossover", {}).manifest.warmup_bars == 50
    assert load_strategy("sma_crossover", {"slow": 20}).manifest.warmup_bars == 20


def test_every_strategy_of_the_library_loads_and_declares_itself() -> None:
    for name in LIBRARY:
        manifest = load_strategy(name, {}).manifest
        assert manifest.id == name
        assert manifest.hypothesis
        for parameter in manifest.parameters.values():
            assert parameter.low <= parameter.default <= parameter.high


@pytest.mark.parametrize(
    ("source", "parameters", "message"),
    [
        (
            "sma",
            {},
            f"unknown strategy 'sma'; the library has: {', '.join(sorted(LIBRARY))}; or give path/to/file.py:Class",
        ),
        ("sma_crossover", {"length": 5}, "sma_crossover has no parameter 'length'; it has: fast, slow"),
        ("sma_crossover", {"fast": 0}, "sma_crossover: fast must lie in [1, 1000], found 0"),
        ("sma_crossover", {"slow": 5_001}, "sma_crossover: slow must lie in [2, 5000], found 5001"),
        ("sma_crossover", {"fast": 2.5}, "sma_crossover: fast must be a whole number, found 2.5"),
        ("sma_crossover", {"fast": float("nan")}, "sma_crossover: fast must be a whole number, found nan"),
        ("sma_crossover", {"fast": 50}, "sma_crossover: fast must be below slow, found fast=50 slow=50"),
        ("momentum", {"top": 0}, "momentum: top must lie in [1, 500], found 0"),
        ("no/such/file.py:Mine", {}, "strategy file no/such/file.py does not exist"),
    ],
)
def test_each_way_to_be_wrong_says_what_is_wrong(source: str, parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_strategy(source, parameters)


def test_a_whole_number_written_as_a_float_is_a_whole_number() -> None:
    found = load_strategy("sma_crossover", {"fast": 5.0, "slow": 20.0})
    assert isinstance(found, SmaCrossover)
    assert (found._fast, found._slow) == (5, 20)
    assert type(found._fast) is int


def test_a_live_source_is_the_strategy_on_a_trailing_window() -> None:
    config = StrategyConfig(id=StrategyId("m"), source="momentum", universe=(make.SPY.id,), capital=Decimal(1),
                            parameters={"lookback": 7})  # fmt: skip
    manifest, source = trailing_source(config, (make.SPY,))
    assert manifest == Momentum(lookback=7, top=2).manifest
    assert isinstance(source, TrailingWindow)
