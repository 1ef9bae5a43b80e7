"""Round trips, profit by instrument and costs, worked out by hand."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from robotrader.model import CorporateActionBooked, Fill, InstrumentId, Posting, Side
from robotrader.research.metrics import measure
from robotrader.research.recorded import Record, RecordedRun, Traded
from robotrader.research.tearsheet_trades import attribution, costs, round_trips, scaled
from tests import builders as make

D = Decimal
SPY, QQQ = make.SPY.id, make.QQQ.id
CAPITAL = D(100_000)


def fill(day: int, units: int, price: str, *, of: InstrumentId = SPY) -> Fill:
    side = Side.BUY if units > 0 else Side.SELL
    order = make.order(day, side=side, quantity=abs(units), instrument=of)
    return structs.replace(
        make.filled(order, exec_id=f"{of}{day}", price=price).fill, ts_event=make.T0 + day * make.DAY
    )


def recorded(
    *fills: Fill, paid: str = "0", booked: tuple[CorporateActionBooked, ...] = (), **facts: Any
) -> RecordedRun:
    days = 6
    ts = make.T0 + make.DAY * np.arange(days, dtype=np.int64)
    equity = np.array([100_000.0, 100_100, 100_050, 100_200, 100_150, 100_300])
    (config,) = make.run_started().strategies
    daily = {
        "ts": ts,
        "equity": equity,
        "benchmark": equity,
        "gross": np.full(days, 900.0),
        "net": np.full(days, 500.0),
    }
    return RecordedRun(
        facts=facts, fills=fills, paid={f.exec_id: D(paid) for f in fills}, ts=ts, equity=equity, daily=daily,
        record=Record(configs=(structs.replace(config, capital=CAPITAL),), booked=booked,
                      instruments={i: Traded(multiplier=D(1), last=D("12.00")) for i in (SPY, QQQ)}),
    )  # fmt: skip


def posted(day: int, units: int, cash: str = "0") -> CorporateActionBooked:
    strategy = fill(0, 1, "1.00").strategy
    posting = Posting(strategy=strategy, instrument=SPY, quantity=units, cash=D(cash))
    ts = make.T0 + day * make.DAY
    return CorporateActionBooked(ts_event=ts, action=f"split-{day}", postings=(posting,))


def test_what_was_bought_first_is_sold_first() -> None:
    run = recorded(fill(0, 100, "10.00"), fill(1, 100, "11.00"), fill(2, -150, "12.00"), paid="3")
    first, second = round_trips(run)
    assert (first.quantity, first.entry, first.exit, first.side) == (D(100), D("10.00"), D("12.00"), Side.BUY)
    assert first.pnl == 200 - 3 - 2  # its own commission, and two thirds of the exit's
    assert (second.quantity, second.entry) == (D(50), D("11.00"))
    assert second.pnl == D(50) - D("1.5") - 1
    assert (first.opened, second.opened, first.closed) == tuple(make.T0 + d * make.DAY for d in (0, 1, 2))


def test_a_sale_through_zero_ends_one_trip_and_begins_a_short_one() -> None:
    long, short = round_trips(recorded(fill(0, 100, "10.00"), fill(1, -150, "11.00"), fill(2, 50, "13.00")))
    assert (long.side, long.pnl) == (Side.BUY, D(100))
    assert (short.side, short.quantity, short.pnl) == (Side.SELL, D(50), D(-100))


def test_instruments_and_what_is_still_open_are_kept_apart() -> None:
    assert round_trips(recorded(fill(0, 100, "10.00"), fill(1, -100, "11.00", of=QQQ))) == []


def test_a_split_scales_the_open_lots() -> None:
    """100 at 24.00 become 200 at 12.00; all are sold at 14.00."""
    run = recorded(fill(0, 100, "24.00"), fill(3, -200, "14.00"), booked=(posted(2, 100),))
    (trip,) = round_trips(run)
    assert (trip.quantity, trip.entry, trip.pnl) == (D(200), D(12), D(400))


def test_what_is_paid_out_whole_leaves_no_lot() -> None:
    run = recorded(fill(0, 100, "24.00"), fill(3, 10, "5.00"), fill(4, -10, "6.00"), booked=(posted(2, -100, "2500"),))
    (trip,) = round_trips(run)
    assert (trip.quantity, trip.pnl) == (D(10), D(10))


def test_profit_by_instrument_counts_open_positions_dividends_and_fees() -> None:
    run = recorded(
        fill(0, 100, "10.00"), fill(1, -40, "11.00"), fill(2, -50, "13.00", of=QQQ), paid="1.5",
        booked=(posted(3, 0, "30"),), borrow_cost="2.5",
    )  # fmt: skip
    rows = attribution(run, D("282") - D("7.0"))
    found = {row.instrument: (row.pnl, row.commission, row.fills) for row in rows}
    assert found[SPY] == (D(40 + 120 + 30 - 3), D(3), 2)  # 40 gained, 60 units at 12.00, the dividend
    assert found[QQQ] == (50 - D("1.5"), D("1.5"), 1)
    assert found["borrow fees"][0] == D("-2.5")
    assert sum(row.pnl for row in rows) == D("275")
    assert found["not in the fills"][0] == 275 - (187 + D("48.5") - D("2.5"))


def test_a_profit_that_fills_explain_has_no_row_for_the_rest() -> None:
    run = recorded(fill(0, 100, "10.00"), fill(1, -100, "11.00"))
    assert [row.instrument for row in attribution(run, D(100))] == [SPY, QQQ]


COSTS: dict[str, Any] = {
    "slippage_cost": "10",
    "borrow_cost": "4",
    "assumptions": {"impact": "1.0", "half_spread_bps": "10"},
}


def test_costs_are_told_apart() -> None:
    paid = costs(recorded(fill(0, 100, "10.00"), fill(1, -100, "11.00"), paid="3", **COSTS))
    assert (paid.commission, paid.spread, paid.impact, paid.borrow) == (D(6), D("2.1"), D("7.9"), D(4))
    assert paid.total == 20


def test_costs_that_nobody_recorded_are_unknown() -> None:
    paid = costs(recorded(fill(0, 100, "10.00"), paid="3"))
    assert (paid.commission, paid.spread, paid.borrow, paid.total) == (D(3), None, None, None)


def test_scaled_costs_leave_the_trades_and_move_the_result_by_the_costs() -> None:
    run = recorded(fill(0, 100, "10.00"), fill(1, -100, "11.00"), paid="3", **COSTS)
    found = scaled(run, costs(run), (0, 1, 3))
    assert found["total_return"] * 100_000 == pytest.approx([320, 300, 260])  # 20 less with each
    assert found["sharpe"][1] == pytest.approx(measure(run.ts, run.equity, 100_000.0).sharpe)
    assert np.all(np.diff(found["sharpe"]) < 0)
