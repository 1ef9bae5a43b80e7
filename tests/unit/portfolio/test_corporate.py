"""Corporate actions in the books, worked out by hand."""

from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec import structs

from robotrader.model import InvariantViolation, Posting
from robotrader.portfolio.corporate import carried_over, whole_units
from robotrader.portfolio.ledger import Conversion, Ledger
from tests.unit.portfolio.test_ledger import CAPITAL, QQQ, SPY, A, B, D, fill, ledger, position


def split(of: Ledger, new: int, old: int = 1, *, price: str = "50") -> tuple[Posting, ...]:
    return of.convert(Conversion(SPY, SPY, Fraction(new, old), D(price)))


def test_a_split_multiplies_the_units_and_divides_the_cost() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, 50, "120"))
    assert split(books, 2) == (Posting(strategy=A, instrument=SPY, quantity=150, cash=D(0)),)
    held = position(books.book(A))
    assert (held.quantity, held.average_price, held.realized_pnl) == (300, D("50"), D(0))
    assert books.book(A).cash == CAPITAL - 9_000 - 6_000
    assert books.account[SPY] == 300


def test_lots_close_first_in_first_out_across_a_split() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, 50, "120"))
    split(books, 2)
    books.apply(fill(3, -250, "70"))
    assert books.book(A).realized_pnl == 200 * (70 - 45) + 50 * (70 - 60)


def test_a_split_of_two_books_is_a_split_of_the_account() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, 30, "90", strategy=B))
    split(books, 2)
    assert (books.account[SPY], books.quantity(SPY)) == (260, 260)


def test_what_was_realized_before_a_reverse_split_stands_beside_what_its_remainder_brings() -> None:
    books = ledger(fill(1, 20, "4"), fill(2, -5, "6"))
    split(books, 1, 10)  # 15 units: one new one, and half a one at 50 that cost 20
    assert books.book(A).realized_pnl == 5 * (6 - 4) + (25 - 20)


def test_a_short_position_splits_too() -> None:
    books = ledger(fill(1, -100, "90"))
    split(books, 3)
    assert (position(books.book(A)).quantity, position(books.book(A)).average_price) == (-300, D("30"))


@pytest.mark.parametrize(("signed", "whole", "cash"), [(15, 1, "25"), (-15, -1, "-25"), (9, 0, "45"), (-9, 0, "-45")])
def test_the_remainder_of_a_reverse_split_is_paid_and_realized(signed: int, whole: int, cash: str) -> None:
    """1 for 10 at a new price of 50: half a unit is worth 25; the old units cost 4, so half a new one cost 20."""
    books = ledger(fill(1, signed, "4"))
    (posting,) = split(books, 1, 10)
    assert (posting.quantity, posting.cash) == (whole - signed, D(cash))
    assert books.book(A).quantity(SPY) == whole
    left = abs(Fraction(signed, 10) - whole)
    gain = (50 - 40) * D(left.numerator) / left.denominator
    assert books.book(A).realized_pnl == gain * (1 if signed > 0 else -1)


def test_books_add_up_to_the_account_as_the_broker_rounds_it() -> None:
    assert whole_units([5, 5], Fraction(1, 10)) == [1, 0]
    assert whole_units([7, 2], Fraction(1, 10)) == [0, 0]
    assert whole_units([-5, -5], Fraction(1, 10)) == [-1, 0]
    assert whole_units([5, -3], Fraction(3, 2)) == [7, -4]
    assert whole_units([10, 20], Fraction(2)) == [20, 40]


def test_lots_keep_their_order_and_their_cost() -> None:
    lots = [(3, D(30)), (4, D(60))]
    assert carried_over(lots, Fraction(2), 14) == [(6, D(15)), (8, D(30))]
    assert carried_over(lots, Fraction(1, 2), 3) == [(1, D(60)), (2, D(30 + 180) / 2)]
    assert carried_over(lots, Fraction(1, 2), 4) == [(1, D(60)), (3, D(30 + 300) / 3)]
    assert carried_over([(3, D(10)), (3, D(20))], Fraction(1, 2), 3) == [(1, D(20)), (2, D(10 + 60) / 2)]
    assert carried_over(lots, Fraction(1), 0) == []


def test_a_dividend_is_paid_to_longs_and_by_shorts_and_to_nobody_else() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, -40, "90", strategy=B), fill(3, 7, "9", instrument=QQQ), multiplier=2)
    before = {book.strategy: book.cash for book in books.books}
    assert books.earn(SPY, D("0.3134")) == (
        Posting(strategy=A, instrument=SPY, quantity=0, cash=D("62.68")),
        Posting(strategy=B, instrument=SPY, quantity=0, cash=D("-25.072")),
    )
    assert books.book(A).cash == before[A] + D("62.68")
    assert books.book(B).cash == before[B] - D("25.072")
    assert (books.book(A).realized_pnl, position(books.book(A)).quantity) == (D("62.68"), 100)


def test_a_symbol_change_moves_units_and_cost_and_leaves_what_was_realized() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, -20, "95"))
    postings = books.convert(Conversion(SPY, QQQ, Fraction(1), D(95)))
    assert [(p.instrument, p.quantity, p.cash) for p in postings] == [(SPY, -80, D(0)), (QQQ, 80, D(0))]
    old, new = position(books.book(A)), position(books.book(A), QQQ)
    assert (old.quantity, old.realized_pnl) == (0, D(100))
    assert (new.quantity, new.average_price, new.realized_pnl) == (80, D(90), D(0))
    assert (books.account[SPY], books.account[QQQ]) == (0, 80)


def test_a_delisting_closes_at_the_stated_price() -> None:
    books = ledger(fill(1, 100, "90"), fill(2, 10, "60"), fill(3, -40, "80", strategy=B))
    postings = books.convert(Conversion(SPY, SPY, Fraction(1), D("1.5"), all_paid=True))
    assert [(p.strategy, p.quantity, p.cash) for p in postings] == [(A, -110, D(165)), (B, 40, D(-60))]
    assert books.book(A).realized_pnl == 165 - 9_600
    assert books.book(B).realized_pnl == 40 * (80 - D("1.5"))
    assert books.account[SPY] == books.quantity(SPY) == 0


def test_a_correction_after_a_split_builds_on_what_the_split_left() -> None:
    books = ledger(fill(1, 100, "90"))
    split(books, 2)
    books.earn(SPY, D(1))
    after = fill(2, -50, "46")
    books.apply(after)
    books.apply(structs.replace(after, revision=2, quantity=60))
    held = position(books.book(A))
    assert (held.quantity, held.average_price, held.realized_pnl) == (140, D(45), 200 + 60 * D(1))


def test_a_correction_of_an_execution_from_before_a_split_is_for_a_person() -> None:
    first = fill(1, 100, "90")
    books = ledger(first, fill(2, 10, "90", strategy=B))
    split(books, 2)
    with pytest.raises(InvariantViolation, match="e1 was corrected after a corporate action"):
        books.apply(structs.replace(first, revision=2, quantity=90))
    assert books.quantity(SPY) == 220


def test_nobody_holding_means_no_posting() -> None:
    books = ledger()
    assert split(books, 2) == books.earn(SPY, Decimal(1)) == ()


def test_dividends_add_to_what_the_trades_earned_and_outlive_a_correction() -> None:
    last = fill(2, -40, "12")
    books = ledger(fill(1, 100, "10"), last)
    for _ in range(2):
        books.earn(SPY, D("0.50"))
    assert books.book(A).realized_pnl == 40 * 2 + 2 * 60 * D("0.50")
    books.apply(structs.replace(last, revision=2, price=D(13)))
    assert books.book(A).realized_pnl == 40 * 3 + 2 * 60 * D("0.50")


def test_the_multiplier_scales_what_is_paid_for_a_remainder_and_what_it_cost() -> None:
    """15 units at 4 become 1 and half a unit at 50: the half is worth 25 and cost 20, each times 100."""
    books = ledger(fill(1, 15, "4"), multiplier=100)
    (posting,) = split(books, 1, 10)
    assert posting.cash == 25 * 100
    assert books.book(A).realized_pnl == (25 - 20) * 100
    assert books.book(A).cash == CAPITAL - 15 * 4 * 100 + 25 * 100


def test_a_merger_into_what_the_book_is_short_of_closes_the_short() -> None:
    books = ledger(fill(1, 30, "20"), fill(2, -10, "26", instrument=QQQ), multiplier=5)
    books.convert(Conversion(SPY, QQQ, Fraction(1), D(25)))
    held = position(books.book(A), QQQ)
    assert (held.quantity, held.average_price, held.realized_pnl) == (20, D(20), D(10 * (26 - 20) * 5))


def test_executions_of_every_instrument_that_a_corporate_action_touched_stay_final() -> None:
    spy, qqq = fill(1, 100, "90"), fill(2, 10, "40", instrument=QQQ)
    books = ledger(spy, qqq)
    for instrument in (SPY, QQQ):
        books.convert(Conversion(instrument, instrument, Fraction(2), D(50)))
    for first in (spy, qqq):
        with pytest.raises(InvariantViolation, match="after a corporate action") as final:
            books.apply(structs.replace(first, revision=2, quantity=9))
        assert final.value.context == {"exec_id": first.exec_id}
