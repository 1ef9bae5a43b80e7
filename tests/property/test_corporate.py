"""Corporate actions create nothing and lose nothing, whatever was traded before and is traded after."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robotrader.data.adjust import Adjust, adjust
from robotrader.model import MONEY, BarsClosed, InstrumentId
from robotrader.portfolio.corporate import whole_units
from robotrader.portfolio.ledger import Conversion, Ledger
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from robotrader.strategy.contract import TrailingWindow, strengths
from robotrader.strategy.loading import load_strategy
from tests import builders as make
from tests.property.test_backtest import configs, panels
from tests.property.test_ledger import INSTRUMENTS, Trade, booked, cents, fill_of, trades

D = Decimal
SPY, QQQ = make.SPY.id, make.QQQ.id
ratios = st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: Fraction(*pair))
QUANTA = 1_000 * MONEY  # a rounding for each posting


def value(ledger: Ledger, prices: dict[InstrumentId, Decimal]) -> list[Decimal]:
    return [ledger.mark(book, prices.__getitem__).equity for book in ledger.books]


@given(trades, ratios, cents)
def test_a_split_leaves_every_book_as_valuable_as_it_was(found: list[Trade], ratio: Fraction, price: Decimal) -> None:
    ledger, after = booked(found), price * ratio.denominator / ratio.numerator
    before = value(ledger, {SPY: price, QQQ: price})
    held, account = ledger.quantity(SPY), ledger.account[SPY]
    postings = ledger.convert(Conversion(SPY, SPY, ratio, after))
    assert all(abs(a - b) <= QUANTA for a, b in zip(value(ledger, {SPY: after, QQQ: price}), before, strict=True))
    assert ledger.quantity(SPY) == ledger.account[SPY] == held + sum(p.quantity for p in postings)
    assert abs(ledger.quantity(SPY)) == int(abs(account) * ratio), "as a broker rounds the whole account"


@given(trades, ratios, cents, trades)
def test_cash_and_cost_explain_equity_after_a_split_too(
    found: list[Trade], ratio: Fraction, price: Decimal, later: list[Trade]
) -> None:
    """Equity = capital + realized + unrealized - costs, with the unrealized part from the lots themselves."""
    ledger = booked(found)
    ledger.convert(Conversion(SPY, SPY, ratio, price))
    for n, one in enumerate(later, len(found)):
        ledger.apply(fill_of(n, one))
    for book in ledger.books:
        paper = sum(((price - p.average_price) * p.quantity * INSTRUMENTS[p.instrument].multiplier
                     for p in book.positions() if p.average_price is not None), D(0))  # fmt: skip
        equity = ledger.mark(book, lambda _: price).equity
        assert abs(equity - (book.capital + book.realized_pnl + paper - book.commission)) <= QUANTA


@given(trades, cents)
def test_dividends_move_as_much_as_the_account_holds(found: list[Trade], amount: Decimal) -> None:
    ledger = booked(found)
    before = sum(book.cash for book in ledger.books)
    postings = ledger.earn(SPY, amount)
    moved = sum(book.cash for book in ledger.books) - before
    assert moved == sum(p.cash for p in postings) == ledger.quantity(SPY) * amount
    assert not any(p.quantity for p in postings)


@given(st.lists(st.integers(-30, 30), max_size=6), ratios)
def test_whole_units_are_less_than_one_unit_from_the_exact_ones(held: list[int], ratio: Fraction) -> None:
    found = whole_units(held, ratio)
    assert all(abs(units - quantity * ratio) < 1 for units, quantity in zip(found, held, strict=True))
    assert sum(found) == int(sum(held) * ratio)


@given(trades)
def test_a_split_and_its_inverse_give_the_position_back(found: list[Trade]) -> None:
    ledger = booked(found)
    before = [b.positions() for b in ledger.books]
    ledger.convert(Conversion(SPY, SPY, Fraction(7), D(1)))
    ledger.convert(Conversion(SPY, SPY, Fraction(1, 7), D(7)))
    assert [[(p.instrument, p.quantity, p.average_price) for p in ps] for ps in before] == [
        [(p.instrument, p.quantity, p.average_price) for p in b.positions()] for b in ledger.books
    ]


@given(st.data())
@settings(max_examples=40)
def test_a_backtest_that_skips_quiet_bars_books_the_same(data: st.DataObject) -> None:
    panel = data.draw(panels())
    chosen = data.draw(configs(panel))
    days = st.integers(0, 60)
    actions = [
        *(make.split(*data.draw(st.sampled_from([(2, 1), (3, 2), (1, 10)])), day=d) for d in data.draw(st.sets(days))),
        *(make.dividend("0.25", day=d, symbol="QQQ") for d in data.draw(st.sets(days))),
    ]

    def result(*, skip: bool) -> BacktestResult:
        venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"))
        return run_backtest(chosen, panel, venue, limits=RESEARCH, actions=actions, skip_quiet=skip)

    some, every = result(skip=True), result(skip=False)
    assert (some.orders, some.fills, some.booked) == (every.orders, every.fills, every.booked)
    assert some.equity.tolist() == every.equity.tolist()
    assert abs(every.final.equity - Decimal(repr(float(every.equity[-1])))) < Decimal("0.01")


@given(st.integers(0, 2**32 - 1), st.integers(1, 39), st.sampled_from([(2, 1), (4, 1), (1, 8)]))
def test_a_strategy_that_runs_through_a_split_says_what_it_says_of_adjusted_prices(
    seed: int, day: int, ratio: tuple[int, int]
) -> None:
    """Ratios that are powers of two move no last bit, so that no tie is broken in another way."""
    action = make.split(*ratio, day=day)
    factor = np.where(np.arange(40) < day, ratio[0] / ratio[1], 1.0)[:, None]
    walk = 3_000 + np.random.default_rng(seed).integers(-150, 151, size=(40, 1)).cumsum(axis=0)
    raw = make.daily_panel((walk / 100 * factor).tolist(), instruments=(make.SPY,))
    strategy = load_strategy("sma_crossover", {"fast": 2, "slow": 7})
    window = TrailingWindow(strategy, (make.SPY,))
    live = []
    for row, (_, ts, bars) in enumerate(raw.cross_sections()):
        if row == day:
            window.on_split(make.SPY.id, float(action.ratio), action.ex_at)
        live.append(window.on_bars(BarsClosed(ts_event=ts, ts_init=ts, bars=bars))[0])
    whole = strengths(strategy, adjust(raw, [action], int(raw.ts[-1]), Adjust.SPLITS))
    np.testing.assert_array_equal(live, whole[:, 0])
