"""A backtest, with the cash of every bar worked out by hand."""

from decimal import Decimal

import numpy as np
import pytest

from robotrader.data.panel import Panel
from robotrader.engine.virtual_broker import own_fill, venue_order
from robotrader.model import (
    ConfigError,
    DataError,
    Hold,
    InstrumentId,
    OrderId,
    PortfolioMarked,
    Resize,
    RiskLimit,
    Side,
    StrategyConfig,
    StrategyId,
    Submit,
)
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.risk.limits import PAPER, RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import FillAt, Venue
from tests import builders as make

D = Decimal
NAN = float("nan")
SPY = make.SPY.id
BUY, SELL = Side.BUY, Side.SELL

# sma_crossover with windows of 1 and 2 bars: long after a close above the one before, else flat.
#        open    close   strength; what happens
DAYS = ((10.00, 10.00),  # no view
        (10.00, 11.00),  # 1: buy
        (11.00, 12.00),  # 1; bought at 11.01 (11.011 on the grid)
        (12.50, 11.00),  # 0: sell
        (10.50, 11.50),  # 1: buy; sold at 10.49 (10.4895)
        (11.40, 11.50),  # 0 (a tie): sell; bought at 11.41 (11.4114)
        (12.00, 13.00),  # 1: buy; sold at 11.99 (11.988)
        (13.00, 12.50))  # 0: sell, but there is no next bar; bought at 13.01 (13.013)  # fmt: skip


def sma(*, universe: tuple[InstrumentId, ...] = (SPY,), sizer: str = "fixed:100", fast: int = 1, slow: int = 2,
        name: str = "sma", resize: Resize | None = None) -> StrategyConfig:  # fmt: skip
    return StrategyConfig(id=StrategyId(name), source="sma_crossover", universe=universe, capital=D(100_000),
                          sizer=sizer, parameters={"fast": fast, "slow": slow}, resize=resize)  # fmt: skip


def spy_panel(days: tuple[tuple[float, float], ...] = DAYS, volume: list[float] | None = None) -> Panel:
    return make.daily_panel(
        [[close] for _, close in days], opened=[[opened] for opened, _ in days],
        volume=None if volume is None else [[v] for v in volume],
    )  # fmt: skip


def backtest(
    panel: Panel, *configs: StrategyConfig, fill: FillAt = FillAt.NEXT_OPEN, costs: str = "none", bps: str = "0",
    limits: RiskLimit = RESEARCH, keep_commands: bool = False,
) -> BacktestResult:  # fmt: skip
    venue = Venue({i.id: i for i in panel.instruments}, cost_model(costs), fill=fill, half_spread_bps=D(bps))
    return run_backtest(configs or (sma(),), panel, venue, limits=limits, fill=fill, keep_commands=keep_commands)


def trades(result: BacktestResult) -> list[tuple[int, Side, Decimal]]:
    """Return (day, side, price) of the fills; a fill at an open belongs to the day of that open."""
    return [(-((make.T0 - f.ts_event) // make.DAY), f.side, f.price) for f in result.fills]


def test_every_cent_of_a_small_backtest() -> None:
    result = backtest(spy_panel(), costs="ibkr_fixed", bps="10")
    assert trades(result) == [
        (2, BUY, D("11.01")), (4, SELL, D("10.49")), (5, BUY, D("11.41")), (6, SELL, D("11.99")), (7, BUY, D("13.01")),
    ]  # fmt: skip
    # 1.00 a side; sales also pay 27.80 per million of value and 0.000166 a share
    sold_1 = D("1.00") + D("0.029162") + D("0.0166")  # 1,049.00 x 0.0000278 = 0.0291622
    sold_2 = D("1.00") + D("0.033332") + D("0.0166")  # 1,199.00 x 0.0000278 = 0.0333322
    assert [c.amount for c in result.commissions] == [1, sold_1, 1, sold_2, 1]
    cash = [D(100_000)] * 2
    cash += [cash[-1] - D("1101") - 1] * 2  # days 2 and 3
    cash += [cash[-1] + D("1049") - sold_1]
    cash += [cash[-1] - D("1141") - 1]
    cash += [cash[-1] + D("1199") - sold_2]
    cash += [cash[-1] - D("1301") - 1]
    assert cash[-1] == D("98699.904306")
    held = [0, 0, 100, 100, 0, 100, 0, 100]
    equity = [c + q * D(str(close)) for c, q, (_, close) in zip(cash, held, DAYS, strict=True)]
    assert result.equity.tolist() == pytest.approx([float(e) for e in equity], abs=1e-9)
    final = result.final
    assert (final.cash, final.equity) == (D("98699.904306"), D("99949.904306"))
    assert (final.realized_pnl, final.unrealized_pnl) == (D(-52 + 58), D(-51))
    assert final.commission == D("5.095694")
    assert result.slippage_cost == D("5.00"), "a cent a share, five times 100"
    assert len(result.orders) == 6, "the last one found no bar to fill in"
    assert result.limits == "research"


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (FillAt.THIS_CLOSE, [(1, BUY, "11.00"), (3, SELL, "11.00"), (4, BUY, "11.50"), (5, SELL, "11.50"),
                             (6, BUY, "13.00"), (7, SELL, "12.50")]),
        (FillAt.NEXT_CLOSE, [(2, BUY, "12.00"), (4, SELL, "11.50"), (5, BUY, "11.50"), (6, SELL, "13.00"),
                             (7, BUY, "12.50")]),
    ],
)  # fmt: skip
def test_fills_at_closes(fill: FillAt, expected: list[tuple[int, Side, str]]) -> None:
    assert trades(backtest(spy_panel(), fill=fill)) == [(day, side, D(price)) for day, side, price in expected]


def test_an_entry_that_finds_no_volume_expires_and_is_not_repeated() -> None:
    result = backtest(spy_panel(volume=[1, 1, 0, 1, 1, 1, 1, 1]))
    assert trades(result)[0] == (5, BUY, D("11.40")), "the entry of day 1 is gone, that of day 4 fills"


def test_an_exit_that_finds_no_volume_is_planned_anew() -> None:
    days = ((10.0, 10.0), (10.0, 11.0), (11.0, 12.0), (12.0, 11.0), (11.0, 10.0), (10.0, 9.0), (9.0, 8.0))
    result = backtest(spy_panel(days, volume=[1, 1, 1, 1, 0, 1, 1]))
    assert trades(result) == [(2, BUY, D("11.00")), (5, SELL, D("10.00"))]
    assert [o.side for o in result.orders] == [BUY, SELL, SELL]


def test_a_refused_exit_is_tried_again_on_a_day_on_which_nothing_else_happens() -> None:
    limits = RiskLimit(profile="window", duplicate_window_s=200_000.0)  # two days and a bit
    closes = (10.0, 11.0, 12.0, 11.0, 11.5, 11.5, 11.0, 10.0)  # sold on day 3, so not on day 5, but on day 6
    for skip in (True, False):
        venue = Venue({SPY: make.SPY}, cost_model("none"), half_spread_bps=D(0))
        panel = spy_panel(tuple((c, c) for c in closes))
        result = run_backtest((sma(),), panel, venue, limits=limits, skip_quiet=skip)
        assert [(day, side) for day, side, _ in trades(result)] == [(2, BUY), (4, SELL), (5, BUY), (7, SELL)]
        assert len(result.denied) == 1


def test_a_missing_bar_is_no_price_and_the_last_one_values_the_position() -> None:
    days = ((10.0, 10.0), (10.0, 11.0), (11.0, 12.0), (NAN, NAN), (13.0, 14.0))
    result = backtest(spy_panel(days))
    assert result.equity.tolist() == [100_000, 100_000, 100_100, 100_100, 100_300]
    assert result.final.equity == 100_300


def test_two_strategies_have_two_books_and_one_account() -> None:
    both = backtest(spy_panel(), sma(), sma(name="double", sizer="fixed:200"), costs="ibkr_fixed")
    assert [b.strategy for b in both.final.books] == ["sma", "double"]
    one, other = (backtest(spy_panel(), c, costs="ibkr_fixed") for c in (sma(), sma(sizer="fixed:200")))
    assert [b.equity for b in both.final.books] == [one.final.equity, other.final.equity]
    assert both.final.equity == one.final.equity + other.final.equity
    assert both.equity[-1] == pytest.approx(float(both.final.equity))


def test_what_the_limits_refuse_is_listed_with_its_reasons() -> None:
    result = backtest(spy_panel(), limits=PAPER)  # 20 days of volume are not known yet
    assert result.fills == ()
    assert len(result.denied) == 3, "three entries"
    assert {r for d in result.denied for r in d.verdict.reasons} == {"max_order_quantity"}
    assert result.limits == "paper"


def test_commands_are_kept_only_on_request() -> None:
    assert backtest(spy_panel()).commands == ()
    kept = backtest(spy_panel(), keep_commands=True).commands
    assert {type(c) for c in kept} <= {Submit, Hold, PortfolioMarked}
    assert sum(isinstance(c, Submit) for c in kept) == 6


def test_the_same_backtest_twice_has_the_same_hashes_and_another_one_has_not() -> None:
    first, second, other = (backtest(spy_panel(), sma(sizer=s)) for s in ("fixed:100", "fixed:100", "fixed:99"))
    assert (first.orders_hash, first.fills_hash) == (second.orders_hash, second.fills_hash)
    assert first.orders_hash != other.orders_hash
    assert first.fills_hash != other.fills_hash


def test_an_empty_panel_gives_an_empty_result() -> None:
    result = backtest(make.daily_panel([]), sma())
    assert (result.orders, result.fills, len(result.equity)) == ((), (), 0)
    assert result.final.equity == 100_000


def test_what_cannot_run_says_so() -> None:
    with pytest.raises(DataError, match=r"no data for XOM\.SMART"):
        backtest(spy_panel(), sma(universe=(InstrumentId("XOM.SMART"),)))
    with pytest.raises(ConfigError, match="fast must be below slow"):
        backtest(spy_panel(), sma(fast=2))


def test_progress_is_reported_in_rows() -> None:
    panel = spy_panel()
    venue = Venue({SPY: make.SPY}, cost_model("none"))
    seen: list[int] = []
    run_backtest((sma(),), panel, venue, limits=RESEARCH, progress=seen.append)
    assert seen == sorted(seen)
    assert set(seen) <= set(range(len(panel)))
    assert seen


def test_an_order_keeps_its_identity_at_the_venue_and_back() -> None:
    order = make.order()
    sent = venue_order(order)
    assert (sent.key, sent.instrument, sent.side, sent.quantity) == (order.id, SPY, BUY, 100)
    venue = Venue({SPY: make.SPY}, cost_model("none"), half_spread_bps=D(0))
    venue.place(sent)
    (hit,) = venue.on_bar(make.bars_closed(1).bars[0], make.T0)
    fill = own_fill(hit, order)
    assert (fill.order_id, fill.strategy, fill.exec_id, fill.revision) == (OrderId(sent.key), make.TREND, "00000001", 1)
    assert (fill.quantity, fill.price, fill.ts_event) == (100, D("100.00"), make.T0)


def test_equity_is_an_array_of_a_row_each() -> None:
    equity = backtest(spy_panel()).equity
    assert isinstance(equity, np.ndarray)
    assert equity.shape == (len(DAYS),)
