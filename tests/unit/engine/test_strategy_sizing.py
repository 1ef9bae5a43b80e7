"""Constructions, buffers and throttles, as the trader decides with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import AnyCommand, BarsClosed, ConfigError, Hold, Resize, Side, StrategyConfig, Submit, Target
from robotrader.portfolio.sizing import CLOSES
from tests import builders as make
from tests.unit.engine.stage import NAN, config, fill, orders, send, the_order, trader

BOTH = (1.0, 1.0)
NEVER = dict.fromkeys(range(CLOSES - 1), (NAN, NAN))


def configured(sizer: str, **fields: Any) -> StrategyConfig:
    return structs.replace(config(sizer=sizer), **fields)


def bars(day: int, *, swing: float = 1.0) -> BarsClosed:
    """Return closes that swing: SPY by 1 in 100 every day, QQQ by 1 in 50 every second day."""
    return make.bars_closed(day, 100.0 + swing * (day % 2), 50.0 + (day // 2) % 2)


def targets(commands: Sequence[AnyCommand]) -> dict[str, Target]:
    made = [c.decision for c in commands if isinstance(c, Submit | Hold) and c.decision]
    return {decision.target.instrument: decision.target for decision in made}


def played(one: Trader, days: int, **how: Any) -> Sequence[AnyCommand]:
    """Let bars close up to that day, and return what came of the last."""
    found: Sequence[AnyCommand] = ()
    for day in range(days + 1):
        found = one.handle(bars(day, **how))
    return found


def buy(one: Trader, found: Sequence[AnyCommand]) -> None:
    for n, order in enumerate(orders(found), start=1):
        send(one, order, n)
        fill(one, order, "100.00" if order.instrument == make.SPY.id else "50.00")


def test_a_construction_sizes_all_names_with_the_numbers_it_used() -> None:
    one = trader({**NEVER, CLOSES - 1: BOTH}, configured("inverse_volatility:0.5"))
    found = targets(played(one, CLOSES - 1))
    spy, qqq = (np.array([bars(day).bars[k].close for day in range(CLOSES)]) for k in (0, 1))
    sigma = [float(np.std(closes[1:] / closes[:-1] - 1, ddof=1)) for closes in (spy, qqq)]
    for iid, own, close in zip((make.SPY.id, make.QQQ.id), sigma, (spy[-1], qqq[-1]), strict=True):
        weight = (1 / own) / sum(1 / s for s in sigma)
        said = found[iid].sizing
        assert float(said["weight"]) == pytest.approx(weight, abs=1e-9)
        assert float(said["volatility_per_bar"]) == pytest.approx(own)
        assert (said["sizer"], said["equity"], said["alike"]) == ("inverse_volatility:0.5", "100000.000000", "1")
        assert found[iid].quantity == int(100_000 * 0.5 * weight / close)


@pytest.mark.parametrize("sizer", ["equal:1", "risk_parity:1", "min_variance:1", "inverse_volatility:1"])
def test_a_view_that_ends_gives_its_share_to_the_others_at_once(sizer: str) -> None:
    one = trader({**NEVER, CLOSES - 1: BOTH, CLOSES: (NAN, NAN), CLOSES + 1: (0.0, NAN)}, configured(sizer))
    buy(one, played(one, CLOSES - 1))
    held = one.ledger.book(make.TREND).quantity(make.QQQ.id)
    assert not one.handle(bars(CLOSES)), "nothing changed: nothing is sized"
    found = targets(one.handle(bars(CLOSES + 1)))
    assert found[make.SPY.id].quantity == 0
    assert float(found[make.QQQ.id].sizing["weight"]) == 1
    assert found[make.QQQ.id].quantity > held > 0


def test_a_short_view_is_held_short_and_half_a_view_by_half() -> None:
    one = trader({0: (0.5, -1.0)}, configured("equal:1"))
    assert {iid: t.quantity for iid, t in targets(one.handle(bars(0))).items()} == {
        make.SPY.id: 250,
        make.QQQ.id: -1_000,
    }


def test_a_name_without_enough_closes_or_moves_has_no_share_and_its_decision_says_so() -> None:
    script = {**NEVER, CLOSES - 2: BOTH, CLOSES - 1: BOTH}
    one = trader(script, configured("risk_parity:1"), resize=Resize.EVERY_BAR)
    early = targets(played(one, CLOSES - 2))
    assert {(t.quantity, t.sizing["no_weight"]) for t in early.values()} == {(0, "too few closes")}
    still = trader(script, configured("risk_parity:1"))
    found = targets(played(still, CLOSES - 2, swing=0.0)) | targets(still.handle(bars(CLOSES - 1, swing=0.0)))
    assert found[make.SPY.id].quantity == 0
    still = trader({**NEVER, CLOSES - 1: BOTH}, configured("risk_parity:1"))
    found = targets(played(still, CLOSES - 1, swing=0.0))
    assert (found[make.SPY.id].quantity, found[make.SPY.id].sizing["no_weight"]) == (0, "prices stand still")
    assert float(found[make.QQQ.id].sizing["weight"]) == 1


def test_a_name_without_a_bar_keeps_its_units_and_its_share() -> None:
    one = trader({0: BOTH, 1: (0.5, NAN)}, configured("equal:1"))
    buy(one, one.handle(bars(0)))
    found = targets(one.handle(make.bars_closed(1, 100.0)))
    assert set(found) == {make.SPY.id}
    assert float(found[make.SPY.id].sizing["weight"]) == 0.5


def test_names_that_move_alike_share_one_exposure() -> None:
    script = {**NEVER, CLOSES - 1: BOTH}

    def alike(day: int) -> BarsClosed:
        return make.bars_closed(day, 100.0 + day % 2, 50.0 + day % 2 / 2)

    one = trader(script, configured("equal:1", cluster_correlation=0.7))
    found = [one.handle(alike(day)) for day in range(CLOSES)][-1]
    assert {t.sizing["alike"] for t in targets(found).values()} == {"2"}
    assert [t.quantity for t in targets(found).values()] == [500, 1000]


@pytest.mark.parametrize("sizer", ["volatility:0.1", "atr:0.01", "inverse_volatility:1"])
def test_a_shock_shrinks_what_is_held_at_the_next_decision(sizer: str) -> None:
    one = trader({**NEVER, CLOSES - 1: BOTH, CLOSES: BOTH}, configured(sizer), resize=Resize.EVERY_BAR)
    buy(one, played(one, CLOSES - 1))
    before = one.ledger.book(make.TREND).quantity(make.SPY.id)
    calm, still = make.bars_closed(CLOSES, 80.0, 50.0).bars
    found = targets(one.handle(structs.replace(bars(CLOSES), bars=(structs.replace(calm, high=104.0), still))))
    assert 0 < found[make.SPY.id].quantity < before * 0.8


def test_a_throttle_shrinks_targets_in_a_drawdown_and_lets_them_grow_again() -> None:
    script = {0: (1.0, NAN), 1: (NAN, 1.0), 2: (NAN, NAN), 3: (NAN, 0.5), 4: (NAN, 0.6), 5: (NAN, 1.0)}
    one = trader(script, configured("percent:0.5", drawdown_throttle="0.05:0.5,0.10:0"))
    buy(one, one.handle(make.bars_closed(0, 100.0, 50.0)))  # 500 SPY
    assert targets(one.handle(make.bars_closed(1, 110.0, 50.0)))[make.QQQ.id].sizing["throttle"] == "1"
    assert not one.handle(make.bars_closed(2, 120.0, 50.0))  # the peak is seen where nothing is decided: 110,000
    said = targets(one.handle(make.bars_closed(3, 108.0, 50.0)))[make.QQQ.id]
    assert (said.sizing["drawdown"], said.sizing["throttle"]) == ("0.054545", "0.5")
    assert said.quantity == int(104_000 * 0.5 * 0.5 * 0.5 / 50)
    said = targets(one.handle(make.bars_closed(4, 98.0, 50.0)))[make.QQQ.id]
    assert (said.sizing["throttle"], said.quantity) == ("0", 0)
    said = targets(one.handle(make.bars_closed(5, 121.0, 50.0)))[make.QQQ.id]
    assert (said.sizing["throttle"], said.quantity) == ("1", int(110_500 * 0.5 / 50))


def test_a_throttle_never_blocks_an_exit() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)}, configured("fixed:500", drawdown_throttle="0.01:0"))
    buy(one, one.handle(make.bars_closed(0, 100.0, 50.0)))
    exit_ = the_order(one.handle(make.bars_closed(1, 80.0, 50.0)))
    assert (exit_.side, exit_.quantity) == (Side.SELL, 500)


def test_bars_of_a_warm_up_are_no_peak() -> None:
    one = trader({0: (1.0, NAN), 2: (NAN, 1.0)}, configured("percent:0.5", drawdown_throttle="0.05:0.5"))
    buy(one, one.handle(make.bars_closed(0, 100.0, 50.0)))
    one.handle(make.bars_closed(1, 150.0, 50.0, warmup=True))
    assert targets(one.handle(make.bars_closed(2, 100.0, 50.0)))[make.QQQ.id].sizing["drawdown"] == "0.000000"


def test_a_buffer_keeps_what_would_change_little_and_says_what_it_would_have_been() -> None:
    script = {0: (1.0, NAN), 1: (0.95, NAN), 2: (0.5, NAN), 3: (0.0, NAN)}
    one = trader(script, configured("fixed:100", turnover_buffer=0.1))
    buy(one, one.handle(bars(0)))
    (hold,) = one.handle(bars(1))
    assert isinstance(hold, Hold)
    assert (hold.decision.target.quantity, hold.decision.target.sizing["unbuffered"]) == (100, "95")
    sold = the_order(one.handle(bars(2)))
    send(one, sold, 2)
    fill(one, sold, "100.00")
    assert the_order(one.handle(bars(3))).quantity == 50, "an exit is never kept back"


def test_a_buffer_counts_what_is_on_its_way() -> None:
    one = trader({0: (1.0, NAN), 1: (0.95, NAN)}, configured("fixed:100", turnover_buffer=0.1))
    send(one, the_order(one.handle(bars(0))))
    (hold,) = one.handle(bars(1))
    assert isinstance(hold, Hold)
    assert hold.decision.target.quantity == 100


def test_a_name_that_was_closed_by_age_has_no_share_while_its_view_stands() -> None:
    one = trader({0: (1.0, NAN), 1: (NAN, 1.0), 4: (NAN, 0.5)}, configured("equal:1", time_exit="2d"))
    buy(one, one.handle(bars(0)))
    assert targets(one.handle(bars(1)))[make.QQQ.id].sizing["weight"] == "0.5"
    one.handle(bars(2))
    aged = targets(one.handle(bars(3)))
    assert (aged[make.SPY.id].quantity, aged[make.QQQ.id].sizing["weight"]) == (0, "1.0")
    later = targets(one.handle(bars(4)))
    assert (later[make.SPY.id].quantity, later[make.QQQ.id].sizing["weight"]) == (0, "1.0")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"turnover_buffer": 1.0}, r"turnover_buffer must lie in \[0, 1\); found 1"),
        ({"cluster_correlation": 0.7}, "cluster_correlation must lie in .* with a sizer equal"),
        ({"sizer": "equal:1", "cluster_correlation": 1.0}, "cluster_correlation"),
        ({"drawdown_throttle": "0.05"}, "drawdown throttle must be like"),
        ({"sizer": "risk_parity:2.1"}, r"needs a number in \(0, 2\]"),
    ],
)
def test_what_cannot_be_is_refused_when_the_run_starts(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        trader({}, structs.replace(config(), **fields))


def test_times_at_which_a_name_has_no_bar_count_as_a_price_that_stood() -> None:
    """SPY misses a day: its return of two days counts on the second, so that all rows are of the same time."""
    script = {**dict.fromkeys(range(CLOSES), (NAN, NAN)), CLOSES: BOTH}
    one = trader(script, configured("inverse_volatility:1"))
    for day in range(CLOSES):
        section = bars(day)
        one.handle(structs.replace(section, bars=section.bars[1:]) if day == 10 else section)
    found = targets(one.handle(bars(CLOSES)))
    spy = np.array([bars(9 if day == 10 else day).bars[0].close for day in range(1, CLOSES + 1)])
    sigma = np.std(spy[1:] / spy[:-1] - 1, ddof=1)
    assert float(found[make.SPY.id].sizing["volatility_per_bar"]) == pytest.approx(sigma, rel=1e-9)
