"""Crossing inside conserves every unit, and asks the broker only for what nobody of ours wants the other side of."""

from collections import Counter
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import StrategyId
from robotrader.portfolio.crossing import Transfer, cross

PRICE = Decimal("100.25")
names = st.text("abc", min_size=1, max_size=3).map(StrategyId)
books = st.dictionaries(names, st.integers(-500, 500), max_size=8)


def moved(transfers: tuple[Transfer, ...]) -> Counter[StrategyId]:
    """Return the signed units that transfers bring to each book."""
    units: Counter[StrategyId] = Counter()
    for one in transfers:
        units[one.buyer] += one.quantity
        units[one.seller] -= one.quantity
    return units


def remaining(wanted: dict[StrategyId, int], transfers: tuple[Transfer, ...]) -> dict[StrategyId, int]:
    """Return what is left for the broker."""
    units = moved(transfers)
    return {name: left for name, quantity in wanted.items() if (left := quantity - units[name])}


@given(books)
def test_book_entries_add_up_to_zero_at_one_price(wanted: dict[StrategyId, int]) -> None:
    transfers = cross(wanted, PRICE)
    assert sum(moved(transfers).values()) == 0
    assert {one.price for one in transfers} <= {PRICE}


@given(books)
def test_nobody_trades_more_than_it_wants_against_it_or_with_itself(wanted: dict[StrategyId, int]) -> None:
    transfers = cross(wanted, PRICE)
    assert all(one.buyer != one.seller and one.quantity > 0 for one in transfers)
    assert all(wanted[one.buyer] > 0 > wanted[one.seller] for one in transfers)
    assert all(0 < left / wanted[name] <= 1 for name, left in remaining(wanted, transfers).items())


@given(books)
def test_no_two_orders_to_the_broker_are_opposite_and_they_are_of_those_that_want_most(
    wanted: dict[StrategyId, int],
) -> None:
    left = remaining(wanted, cross(wanted, PRICE))
    assert len({quantity > 0 for quantity in left.values()}) <= 1
    least = min((abs(wanted[name]) for name in left), default=0)
    served = [q for name, q in wanted.items() if q and name not in left and (q > 0) == (sum(left.values()) > 0)]
    assert all(abs(quantity) <= least for quantity in served if left)


@given(books, st.randoms(use_true_random=False))
def test_the_order_of_strategies_decides_nothing(wanted: dict[StrategyId, int], random: object) -> None:
    items = list(wanted.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert cross(dict(items), PRICE) == cross(wanted, PRICE)


def test_the_one_with_more_to_trade_keeps_the_rest() -> None:
    a, b, c = map(StrategyId, "abc")
    transfers = cross({a: 100, b: -300, c: 50}, PRICE)
    assert transfers == (Transfer(c, b, 50, PRICE), Transfer(a, b, 100, PRICE))
    assert cross({b: 5, a: 5, c: -5}, PRICE) == (Transfer(a, c, 5, PRICE),)
