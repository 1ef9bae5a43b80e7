"""Rows to views: nothing is invented, and what is unknown stays unknown."""

from decimal import Decimal

from msgspec import structs

from robotrader.model import BarSpec, InstrumentId, OrderState, TradingState
from robotrader.ports import PositionRow, RunRow, TradingStateRow
from robotrader.web import queries, views
from robotrader.web.formatting import utc
from robotrader.web.snapshot import SnapshotReader
from tests.unit.web.fake_journal import CLOSE, DAY, SMA, FakeReader, fill_row, mark, order_row, run_started, seeded

WALL = CLOSE + 3_600_000_000_000


def describe(journal: FakeReader, *, simulated: bool = True) -> views.Status:
    return queries.status(SnapshotReader(journal).status(), simulated=simulated, data_note="", wall_ns=WALL)


def test_an_empty_journal_knows_nothing() -> None:
    status = describe(FakeReader())
    assert status.trading_state is None
    assert status.clock is None
    assert status.mode is None
    assert status.broker == views.Account()
    assert status.data == ()


def test_a_run_that_nobody_stopped_is_active_since_its_start() -> None:
    journal = seeded()
    status = describe(journal)
    assert journal.run_row is not None
    assert status.trading_state is TradingState.ACTIVE
    assert status.since == utc(journal.run_row.started.ts_init)
    assert status.account == "···4567"


def test_the_global_state_is_the_global_one_and_others_are_named() -> None:
    journal = seeded()
    journal.set_state(TradingState.REDUCING, "too hot")
    scoped = structs.replace(journal.state_rows[0], state=TradingState.HALTED, instrument=InstrumentId("IBM.NYSE"))
    journal.state_rows.insert(0, scoped)
    status = describe(journal)
    assert status.trading_state is TradingState.REDUCING
    assert [(s.state, s.instrument) for s in status.scopes] == [(TradingState.HALTED, "IBM.NYSE")]


def test_an_active_scope_is_no_news() -> None:
    row = TradingStateRow(
        seq=1, ts=CLOSE, state=TradingState.ACTIVE, reason="", actor="cli", strategy=SMA, instrument=None
    )
    journal = seeded()
    journal.state_rows = [row]
    assert describe(journal).scopes == ()


def test_now_is_the_journals_last_time_on_a_simulated_clock_and_the_wall_clock_otherwise() -> None:
    journal = seeded()
    assert describe(journal).clock == utc(CLOSE)
    assert describe(journal, simulated=False).clock == utc(WALL)
    assert journal.run_row is not None
    journal.run_row = RunRow(started=run_started(mode="backtest"), ended=CLOSE + 5, reason="done")
    assert describe(journal, simulated=False).clock == utc(CLOSE + 5)  # a backtest has no wall clock


def test_missing_stale_and_fresh_data_are_told_apart() -> None:
    a, b, c, d = (InstrumentId(name) for name in "ABCD")
    times = {a: CLOSE, b: CLOSE - 2 * DAY, c: CLOSE - 60_000_000_000}
    specs = {a: BarSpec.DAY, b: BarSpec.DAY, c: BarSpec.MINUTE}
    ages = {age.instrument: age for age in queries.data_ages([d, a], times, specs, CLOSE)}
    assert {i: age.state for i, age in ages.items()} == {a: "fresh", b: "stale", c: "fresh", d: "missing"}
    assert ages[d].age_s is None
    assert ages[a].age_s == 0


def test_daily_data_outlives_a_long_weekend_but_not_a_week() -> None:
    a = InstrumentId("A")
    states = [queries.data_ages([], {a: CLOSE}, {a: BarSpec.DAY}, CLOSE + n * DAY)[0].state for n in (4, 6)]
    assert states == ["fresh", "stale"]
    assert queries.data_ages([], {a: CLOSE}, {a: BarSpec.MINUTE}, CLOSE + DAY)[0].state == "stale"


def test_the_days_change_starts_at_the_last_mark_of_an_earlier_trading_day() -> None:
    evening = 3 * 3_600_000_000_000  # 21:00 UTC plus 3 h is the next day in UTC, still the same one in New York
    journal = FakeReader()
    journal.marks = [mark(CLOSE - DAY, Decimal(900)), mark(CLOSE, Decimal(950)), mark(CLOSE + evening, Decimal(1000))]
    account = describe(journal).broker
    assert account.day_pnl == Decimal(100)
    assert account.day_from == utc(CLOSE - DAY)


def test_the_days_change_follows_the_day() -> None:
    journal, reader = FakeReader(), SnapshotReader(FakeReader())
    reader.reader = journal
    for day, expected in ((0, None), (1, Decimal(10)), (2, Decimal(10))):
        journal.marks.append(mark(CLOSE + day * DAY, Decimal(1000 + 10 * day)))
        rows = reader.status()
        assert queries.account(rows.account, rows.previous).day_pnl == expected


def test_a_position_without_a_price_has_no_value() -> None:
    journal = seeded()
    known, unknown = journal.position_rows[0], structs.replace(journal.position_rows[1], last_price=None)
    whole = PositionRow(
        strategy=None, instrument=known.instrument, quantity=700, average_price=None, realized_pnl=Decimal(0),
        last_price=1.0, ts=CLOSE,
    )  # fmt: skip
    first, second = queries.positions([known, unknown, whole], journal.run_row)
    assert (first.market_value, first.unrealized_pnl) == (Decimal("289877.00"), Decimal("-12432.999600"))
    assert (second.market_value, second.unrealized_pnl, second.last_price) == (None, None, None)


def test_a_short_position_gains_when_the_price_falls() -> None:
    journal = seeded()
    short = queries.positions(journal.position_rows, journal.run_row)[2]
    assert short.quantity < 0
    assert short.market_value == Decimal("-39108.00")
    assert short.unrealized_pnl == Decimal("1159.0000")


def test_an_unresolved_order_is_unknown_whatever_was_known_before() -> None:
    order = queries.order(order_row(5, state=OrderState.SENDING, unresolved=True))
    assert (order.state, order.last_state) == ("UNKNOWN", OrderState.SENDING)
    assert queries.order(order_row(5)).state == "FILLED"


def test_a_commission_that_is_not_reported_is_not_zero() -> None:
    row = order_row(4)
    assert queries.fill(fill_row(row, commission=None)).commission is None
    assert queries.fill(fill_row(row, commission=Decimal(0))).commission == 0


def test_a_refusal_names_every_failed_check_with_its_numbers() -> None:
    denial = queries.denial(seeded().denial_rows[0])
    assert denial.reasons == ("max_order_notional",) or len(denial.reasons) == 2
    assert denial.detail[0] == ("max order notional: the order is worth too much (notional 161238.00, limit 100000)")
    bare = structs.replace(
        seeded().denial_rows[0], checks=({"check": "fat_finger", "passed": False, "numbers": {"ratio": "0.3"}},)
    )
    assert queries.denial(bare).detail == ("fat finger: ratio 0.3",)


def test_a_strategy_without_a_mark_has_capital_and_nothing_else() -> None:
    journal = seeded()
    sma, momentum = queries.strategies(journal.run_row, journal.book_rows[:1])
    assert sma.pnl == journal.book_rows[0].equity - Decimal(500_000)
    assert (momentum.capital, momentum.equity, momentum.pnl) == (Decimal(500_000), None, None)
    assert queries.strategies(None, journal.book_rows) == ()


def test_a_decision_shows_its_inputs_and_checks() -> None:
    decision = queries.decision(seeded().decision_rows[0])
    assert decision.inputs == {"close": "414.11"}
    assert decision.checks[0]["check"] == "price_grid"
