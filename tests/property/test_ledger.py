"""The ledger conserves cash, quantity and cost, whatever is traded; a slow unit-by-unit ledger is the judge."""

from collections import deque
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from robotrader.model import Commission, Fill, InstrumentId, OrderId, Side, StrategyId
from robotrader.portfolio.ledger import Ledger
from tests import builders as make

D = Decimal
BOOKS = (StrategyId("a"), StrategyId("b"))
INSTRUMENTS = {make.SPY.id: make.SPY, make.QQQ.id: structs.replace(make.QQQ, multiplier=D("2.5"))}
CAPITAL = D("1000.01")

cents = st.integers(1, 100_000).map(lambda c: D(c) / 100)
trade = st.tuples(
    st.sampled_from(BOOKS), st.sampled_from(tuple(INSTRUMENTS)), st.sampled_from(Side), st.integers(1, 12), cents,
    st.integers(-50, 500).map(lambda c: D(c) / 10_000),
)  # fmt: skip
Trade = tuple[StrategyId, InstrumentId, Side, int, Decimal, Decimal]
trades = st.lists(trade, max_size=30)


def fill_of(n: int, one: Trade) -> Fill:
    strategy, instrument, side, quantity, price, _ = one
    return Fill(exec_id=f"e{n}", revision=1, order_id=OrderId(f"o{n}"), strategy=strategy, instrument=instrument,
                side=side, quantity=quantity, price=price, ts_event=n)  # fmt: skip


def cost_of(n: int, one: Trade) -> Commission:
    return Commission(exec_id=f"e{n}", revision=1, amount=one[5])


def booked(found: list[Trade]) -> Ledger:
    ledger = Ledger(INSTRUMENTS)
    for strategy in BOOKS:
        ledger.open_book(strategy, CAPITAL)
    for n, one in enumerate(found):
        assert ledger.apply(fill_of(n, one))
        assert ledger.charge(cost_of(n, one))
    return ledger


def state(ledger: Ledger) -> list[object]:
    return [(b.cash, b.commission, b.positions(), b.realized_pnl) for b in ledger.books]


def signed(one: Trade) -> int:
    return one[2].sign * one[3]


class UnitLedger:
    """First in, first out, one unit at a time: slow and plain."""

    def __init__(self) -> None:
        self.lots: dict[tuple[StrategyId, InstrumentId], deque[Decimal]] = {}
        self.sign: dict[tuple[StrategyId, InstrumentId], int] = {}
        self.realized: dict[StrategyId, Decimal] = dict.fromkeys(BOOKS, D(0))

    def trade(self, one: Trade) -> None:
        strategy, instrument, side, quantity, price, _ = one
        key = (strategy, instrument)
        lots = self.lots.setdefault(key, deque())
        for _unit in range(quantity):
            if lots and self.sign[key] != side.sign:
                gain = (price - lots.popleft()) * self.sign[key]
                self.realized[strategy] += gain * INSTRUMENTS[instrument].multiplier
            else:
                lots.append(price)
                self.sign[key] = side.sign


@given(trades)
def test_cash_is_capital_less_what_was_bought_plus_what_was_sold_less_costs(found: list[Trade]) -> None:
    for book in booked(found).books:
        own = [one for one in found if one[0] == book.strategy]
        paid = sum((signed(one) * one[4] * INSTRUMENTS[one[1]].multiplier for one in own), D(0))
        assert book.cash == CAPITAL - paid - sum((one[5] for one in own), D(0))


@given(trades)
def test_a_position_is_the_sum_of_its_signed_fills_and_the_account_the_sum_of_its_books(found: list[Trade]) -> None:
    ledger = booked(found)
    for iid in INSTRUMENTS:
        assert ledger.quantity(iid) == sum(signed(one) for one in found if one[1] == iid)
        for book in ledger.books:
            assert book.quantity(iid) == sum(signed(one) for one in found if one[:2] == (book.strategy, iid))


@given(trades)
def test_lots_close_first_in_first_out(found: list[Trade]) -> None:
    ledger, judge = booked(found), UnitLedger()
    for one in found:
        judge.trade(one)
    for book in ledger.books:
        assert book.realized_pnl == judge.realized[book.strategy]
        for position in book.positions():
            lots = judge.lots[book.strategy, position.instrument]
            assert abs(position.quantity) == len(lots)
            if lots:
                assert position.average_price is not None
                assert abs(position.average_price - sum(lots, D(0)) / len(lots)) <= D("0.0000005")
            else:
                assert position.average_price is None


@given(trades, cents, cents)
def test_equity_is_capital_plus_realized_plus_unrealized_less_costs(
    found: list[Trade], spy: Decimal, qqq: Decimal
) -> None:
    ledger, judge = booked(found), UnitLedger()
    for one in found:
        judge.trade(one)
    prices = {make.SPY.id: spy, make.QQQ.id: qqq}
    for book in ledger.books:
        mark = ledger.mark(book, prices.__getitem__)
        open_gain = sum(
            ((prices[iid] - cost) * judge.sign[strategy, iid] * INSTRUMENTS[iid].multiplier
             for (strategy, iid), lots in judge.lots.items() if strategy == book.strategy for cost in lots),
            D(0),
        )  # fmt: skip
        assert mark.unrealized_pnl == open_gain, "of the open lots themselves, not by difference"
        assert mark.equity == CAPITAL + mark.realized_pnl + mark.unrealized_pnl - mark.commission


@given(trades, st.data())
def test_executions_and_costs_that_come_again_change_nothing(found: list[Trade], data: st.DataObject) -> None:
    ledger = booked(found)
    before = state(ledger)
    for n in data.draw(st.lists(st.integers(0, len(found) - 1), max_size=20) if found else st.just([])):
        assert not ledger.apply(fill_of(n, found[n]))
        assert not ledger.charge(cost_of(n, found[n]))
    assert state(ledger) == before


revisions = st.lists(st.tuples(st.integers(0, 12), cents, st.integers(0, 500).map(lambda c: D(c) / 100)), max_size=3)


@given(st.lists(st.tuples(trade, revisions), max_size=8), st.data())
def test_corrections_in_any_order_of_arrival_are_the_last_revisions_alone(
    found: list[tuple[Trade, list[tuple[int, Decimal, Decimal]]]], data: st.DataObject
) -> None:
    reports: list[tuple[Fill, Commission]] = []
    for n, (one, corrections) in enumerate(found):
        fill, cost = fill_of(n, one), cost_of(n, one)
        reports.append((fill, cost))
        for revision, (quantity, price, amount) in enumerate(corrections, 2):
            reports.append((structs.replace(fill, revision=revision, quantity=quantity, price=price),
                            structs.replace(cost, revision=revision, amount=amount)))  # fmt: skip
    arrived = data.draw(st.permutations(reports))
    last = {fill.exec_id: (fill, cost) for fill, cost in sorted(reports, key=lambda report: report[0].revision)}
    ledger, expected = booked([]), booked([])
    for fill, cost in arrived:
        ledger.apply(fill)
        ledger.charge(cost)
    for exec_id in dict.fromkeys(fill.exec_id for fill, _ in arrived):
        expected.apply(last[exec_id][0])
        expected.charge(last[exec_id][1])
    assert state(ledger) == state(expected)


@given(trades, st.randoms(use_true_random=False))
def test_costs_may_come_in_any_order(found: list[Trade], random: object) -> None:
    ledger = Ledger(INSTRUMENTS)
    for strategy in BOOKS:
        ledger.open_book(strategy, CAPITAL)
    for n, one in enumerate(found):
        ledger.apply(fill_of(n, one))
    late = list(range(len(found)))
    random.shuffle(late)  # type: ignore[attr-defined]
    for n in late:
        assert ledger.charge(cost_of(n, found[n]))
    assert state(ledger) == state(booked(found))


@given(trades, cents, cents)
def test_exposure_nets_books_and_gross_is_never_below_net(found: list[Trade], spy: Decimal, qqq: Decimal) -> None:
    ledger, prices = booked(found), {make.SPY.id: spy, make.QQQ.id: qqq}
    exposure = ledger.exposure(prices.__getitem__)
    values = [ledger.quantity(i) * prices[i] * INSTRUMENTS[i].multiplier for i in INSTRUMENTS]
    assert exposure.net == sum(values)
    assert exposure.gross == sum(map(abs, values)) >= abs(exposure.net)
