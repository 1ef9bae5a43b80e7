"""The ledger's arithmetic, worked out by hand."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.model import Commission, Fill, InstrumentId, InvariantViolation, OrderId, Position, Side, StrategyId
from robotrader.portfolio.ledger import Book, Ledger
from tests import builders as make

D = Decimal
A, B = StrategyId("a"), StrategyId("b")
SPY, QQQ = make.SPY.id, make.QQQ.id
CAPITAL = D(10_000)


def fill(n: int, signed: int, price: str, *, strategy: StrategyId = A, instrument: InstrumentId = SPY) -> Fill:
    """Make execution number n: signed units at a price."""
    side = Side.BUY if signed > 0 else Side.SELL
    return Fill(exec_id=f"e{n}", revision=1, order_id=OrderId(f"o{n}"), strategy=strategy, instrument=instrument,
                side=side, quantity=abs(signed), price=D(price), ts_event=n)  # fmt: skip


def ledger(*fills: Fill, multiplier: int = 1) -> Ledger:
    """Make a ledger with two books of 10,000 and these fills."""
    made = Ledger({i.id: structs.replace(i, multiplier=D(multiplier)) for i in (make.SPY, make.QQQ)})
    for strategy in (A, B):
        made.open_book(strategy, CAPITAL)
    for one in fills:
        assert made.apply(one)
    return made


def position(book: Book, instrument: InstrumentId = SPY) -> Position:
    return next(p for p in book.positions() if p.instrument == instrument)


def trades(*pairs: tuple[int, str]) -> Sequence[Fill]:
    return [fill(n, signed, price) for n, (signed, price) in enumerate(pairs)]


def test_a_long_position_closes_its_oldest_lots_first() -> None:
    book = ledger(*trades((100, "10.00"), (100, "12.00"), (-150, "15.00"))).book(A)
    # 100 x (15 - 10) + 50 x (15 - 12); the newest first would give 100 x 3 + 50 x 5 = 550
    assert book.realized_pnl == D(650)
    assert position(book) == Position(
        instrument=SPY, quantity=50, average_price=D("12.000000"), realized_pnl=D("650.000000"), strategy=A
    )
    assert book.cash == CAPITAL - 1_000 - 1_200 + 2_250


def test_a_short_position_gains_when_the_price_falls() -> None:
    book = ledger(*trades((-100, "20.00"), (-50, "22.00"), (120, "18.00"))).book(A)
    # 100 x (20 - 18) + 20 x (22 - 18)
    assert book.realized_pnl == D(280)
    assert (position(book).quantity, position(book).average_price) == (-30, D("22.000000"))
    assert book.cash == CAPITAL + 2_000 + 1_100 - 2_160


def test_a_sale_beyond_the_position_closes_it_and_opens_a_short_at_the_sale_price() -> None:
    made = ledger(*trades((100, "10.00"), (-150, "12.00")))
    assert made.book(A).realized_pnl == D(200)
    assert (position(made.book(A)).quantity, position(made.book(A)).average_price) == (-50, D("12.000000"))
    made.apply(fill(9, 50, "11.00"))
    assert made.book(A).realized_pnl == D(250)
    assert (position(made.book(A)).quantity, position(made.book(A)).average_price) == (0, None)
    assert made.book(A).cash == CAPITAL + 250, "flat: all that is left of the trades is their profit"


def test_one_lot_closes_in_parts() -> None:
    made = ledger(fill(0, 90, "10.00"))
    realized = []
    for n, price in enumerate(("11.00", "9.00", "13.00"), start=1):
        made.apply(fill(n, -30, price))
        realized.append(made.book(A).realized_pnl)
    assert realized == [D(30), D(0), D(90)]
    assert made.book(A).quantity(SPY) == 0


def test_the_average_price_is_the_mean_of_the_open_lots_only() -> None:
    book = ledger(*trades((100, "10.00"), (200, "13.00"), (-100, "50.00"), (100, "16.00"))).book(A)
    assert position(book).average_price == D("14.000000")  # (200 x 13 + 100 x 16) / 300


def test_the_multiplier_scales_cash_profit_value_and_exposure() -> None:
    made = ledger(*trades((10, "10.00"), (-4, "12.00")), multiplier=50)
    mark = made.mark(made.book(A), lambda _: D("11.00"))
    assert mark.cash == CAPITAL - 10 * 10 * 50 + 4 * 12 * 50
    assert mark.realized_pnl == 4 * 2 * 50
    assert mark.unrealized_pnl == 6 * 1 * 50
    assert mark.equity == CAPITAL + 400 + 300
    assert made.exposure(lambda _: D("11.00")).gross == 6 * 11 * 50


def test_two_strategies_in_one_symbol_add_up_to_the_account() -> None:
    made = ledger(fill(1, 100, "10.00"), fill(2, -40, "11.00", strategy=B), fill(3, 10, "5.00", instrument=QQQ))
    prices = {SPY: D("12.00"), QQQ: D("4.00")}
    assert made.quantity(SPY) == 60
    marks = [made.mark(book, prices.__getitem__) for book in made.books]
    assert [m.strategy for m in marks] == [A, B]
    assert [m.equity for m in marks] == [CAPITAL + 200 - 10, CAPITAL - 40]
    # the account of both: cash and 60 SPY and 10 QQQ
    assert sum(m.equity for m in marks) == sum(b.cash for b in made.books) + 60 * 12 + 10 * 4
    exposure = made.exposure(prices.__getitem__)
    assert (exposure.gross, exposure.net) == (D(760), D(760)), "long and short of two books in one symbol net"


def test_gross_exposure_counts_shorts_as_positive() -> None:
    made = ledger(fill(1, 100, "10.00"), fill(2, -50, "4.00", strategy=B, instrument=QQQ))
    exposure = made.exposure({SPY: D("10.00"), QQQ: D("4.00")}.__getitem__)
    assert (exposure.gross, exposure.net) == (D(1_200), D(800))


def test_a_commission_lowers_cash_and_equity_and_is_no_trading_loss() -> None:
    made = ledger(fill(1, 100, "10.00"))
    assert made.charge(Commission(exec_id="e1", revision=1, amount=D("1.25")))
    mark = made.mark(made.book(A), lambda _: D("10.50"))
    assert (mark.cash, mark.commission) == (CAPITAL - D("1001.25"), D("1.25"))
    assert (mark.realized_pnl, mark.unrealized_pnl) == (D(0), D(50))
    assert mark.equity == CAPITAL + 50 - D("1.25")


def test_a_commission_is_charged_to_the_book_whose_execution_it_was() -> None:
    made = ledger(fill(1, 100, "10.00"), fill(2, -40, "11.00", strategy=B))
    made.charge(Commission(exec_id="e2", revision=1, amount=D("0.70")))
    assert [book.commission for book in made.books] == [0, D("0.70")]


def test_a_rebate_raises_cash() -> None:
    made = ledger(fill(1, 1, "10.00"))
    made.charge(Commission(exec_id="e1", revision=1, amount=D("-0.10")))
    assert made.book(A).cash == CAPITAL - 10 + D("0.10")


def test_an_execution_counts_once_however_often_it_is_reported() -> None:
    made = ledger(fill(1, 100, "10.00"))
    cost = Commission(exec_id="e1", revision=1, amount=D(1))
    assert made.charge(cost)
    before = (made.book(A).cash, made.book(A).positions(), made.book(A).commission)
    assert not made.apply(fill(1, 100, "10.00"))
    assert not made.charge(cost)
    assert (made.book(A).cash, made.book(A).positions(), made.book(A).commission) == before


def test_a_cost_of_an_execution_that_is_not_ours_is_not_charged() -> None:
    made = ledger()
    assert not made.charge(Commission(exec_id="stranger", revision=1, amount=D(1)))
    assert made.book(A).cash == CAPITAL


def corrected(n: int, signed: int, price: str, revision: int = 2) -> Fill:
    return structs.replace(fill(n, signed, price), revision=revision)


def test_a_correction_replaces_the_execution_in_cash_lots_and_realized_profit() -> None:
    made = ledger(*trades((100, "10.00"), (100, "12.00"), (-150, "15.00")))
    assert made.apply(corrected(0, 60, "11.00"))
    # 60 x (15 - 11) + 90 x (15 - 12): the sale reaches into the second lot
    assert made.book(A).realized_pnl == D(510)
    assert (position(made.book(A)).quantity, position(made.book(A)).average_price) == (10, D("12.000000"))
    assert made.book(A).cash == CAPITAL - 660 - 1_200 + 2_250
    assert made.execution("e0") == corrected(0, 60, "11.00")


def test_a_corrected_lot_keeps_its_place_in_the_line() -> None:
    made = ledger(*trades((10, "10.00"), (10, "20.00")))
    made.apply(corrected(0, 10, "11.00"))
    made.apply(fill(9, -10, "30.00"))
    assert made.book(A).realized_pnl == D(190), "the corrected lot is still the oldest"


def test_a_busted_execution_never_was() -> None:
    made = ledger(*trades((100, "10.00"), (-100, "12.00")))
    assert made.apply(structs.replace(corrected(1, -100, "12.00"), quantity=0))
    assert (made.quantity(SPY), made.book(A).realized_pnl) == (100, D(0))
    assert made.book(A).cash == CAPITAL - 1_000


def test_a_correction_leaves_other_books_and_instruments_alone() -> None:
    made = ledger(fill(1, 10, "10.00"), fill(2, 20, "11.00", strategy=B), fill(3, 30, "5.00", instrument=QQQ))
    made.apply(corrected(1, 7, "10.00"))
    assert [book.quantity(SPY) for book in made.books] == [7, 20]
    assert made.quantity(QQQ) == 30
    assert made.book(B).cash == CAPITAL - 220


def test_an_older_or_equal_revision_is_old_news() -> None:
    made = ledger(corrected(1, 60, "10.00", revision=3))
    for old in (fill(1, 100, "10.00"), corrected(1, 80, "10.00"), corrected(1, 50, "9.00", revision=3)):
        assert not made.apply(old)
    assert made.quantity(SPY) == 60


def test_a_correction_that_names_another_order_is_a_persons_matter() -> None:
    made = ledger(fill(1, 100, "10.00"))
    for wrong in (
        structs.replace(corrected(1, 90, "10.00"), order_id=OrderId("o2")),
        structs.replace(corrected(1, 90, "10.00"), side=Side.SELL),
    ):
        with pytest.raises(InvariantViolation, match="compare with TWS"):
            made.apply(wrong)
    assert made.quantity(SPY) == 100


def test_a_corrected_commission_replaces_the_one_before() -> None:
    made = ledger(fill(1, 100, "10.00"))
    costs = [Commission(exec_id="e1", revision=n, amount=D(amount)) for n, amount in ((1, "1.00"), (3, "0.40"), (2, 9))]
    assert [made.charge(cost) for cost in costs] == [True, True, False]
    assert (made.book(A).commission, made.book(A).cash) == (D("0.40"), CAPITAL - D("1000.40"))


def test_a_fill_of_a_strategy_without_a_book_is_not_booked() -> None:
    made = ledger()
    stray = fill(1, 100, "10.00", strategy=StrategyId("nobody"))
    for _ in range(2):  # not even the second time it passes in silence
        with pytest.raises(InvariantViolation, match="nobody has no book"):
            made.apply(stray)


def test_changed_capital_is_a_deposit_or_a_withdrawal_and_no_profit() -> None:
    made = ledger(fill(1, 100, "10.00"))
    made.open_book(A, D(12_500))
    deposit = made.mark(made.book(A), lambda _: D("11.00"))
    assert (deposit.cash, deposit.equity) == (D(11_500), D(12_600))
    assert (deposit.realized_pnl, deposit.unrealized_pnl) == (D(0), D(100))
    made.open_book(A, D(10_000))
    assert made.book(A).cash == D(9_000)
    made.open_book(A, D(10_000))
    assert made.book(A).cash == D(9_000), "the same capital again is no deposit"


def test_a_flat_position_keeps_its_realized_profit_and_is_no_longer_held() -> None:
    book = ledger(*trades((10, "10.00"), (-10, "11.00"))).book(A)
    assert position(book).realized_pnl == 10
    assert list(book.held()) == []
    assert book.quantity(QQQ) == 0


def test_units_are_counted_once_more_by_order_and_in_the_account_and_corrections_move_both() -> None:
    first = fill(1, 100, "10.00")
    made = ledger(first, structs.replace(first, exec_id="e1b", quantity=30), fill(2, -20, "11.00", strategy=B))
    assert (made.filled[OrderId("o1")], made.filled[OrderId("o2")], made.account[SPY]) == (130, 20, 110)
    made.apply(corrected(1, 60, "10.00"))
    made.apply(structs.replace(fill(2, -20, "11.00", strategy=B), revision=2, quantity=25))
    assert (made.filled[OrderId("o1")], made.filled[OrderId("o2")], made.account[SPY]) == (90, 25, 65)
    assert made.account[SPY] == made.quantity(SPY)


def test_an_execution_is_newer_than_a_moment_only_when_it_is_in_that_instrument_and_after_it() -> None:
    made = ledger(fill(5, 10, "10.00"), fill(9, 10, "5.00", instrument=QQQ))
    assert [made.traded_since(SPY, ts) for ts in (4, 5, 6)] == [True, False, False]
    assert [made.traded_since(QQQ, ts) for ts in (8, 9)] == [True, False]
    assert not ledger().traded_since(SPY, 0)


def test_what_only_a_person_can_settle_names_the_book_and_both_sides_of_the_contradiction() -> None:
    made = ledger(fill(1, 100, "10.00"))
    with pytest.raises(InvariantViolation) as unknown:
        made.book(StrategyId("nobody"))
    assert unknown.value.context == {"strategy": "nobody"}
    with pytest.raises(InvariantViolation) as contradicted:
        made.apply(structs.replace(corrected(1, -90, "10.00"), order_id=OrderId("o2")))
    assert contradicted.value.message == (
        "execution e1 was BUY for order o1, its revision 2 is SELL for o2; compare with TWS"
    )
    assert contradicted.value.context == {"exec_id": "e1"}
