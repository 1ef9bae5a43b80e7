"""Corporate actions on prices. Prices, ratios and amounts are facts: AAPL 2000, 2005 and 2014, IBM 1999."""

from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from robotrader.data.adjust import Adjust, adjust, due, known, near_split, newest
from robotrader.data.panel import Panel
from robotrader.model import CorporateAction, CorporateActionKind, DataError, Venue, stock
from tests import builders as make

AAPL, IBM = stock("AAPL", Venue.NASDAQ), stock("IBM", Venue.NYSE)
LATER = make.T0 + 1_000 * make.DAY


def panel(*closes: float, volume: float = 700.0) -> Panel:
    """Make daily bars of AAPL, one a day from day 0 on."""
    return make.daily_panel([[c] for c in closes], volume=[[volume]] * len(closes), instruments=(AAPL,))


def split(new: int, old: int = 1, *, day: int = 1, known_day: int = 0) -> CorporateAction:
    return make.split(new, old, day=day, symbol="AAPL", known=known_day * make.DAY)


def closes(of: Panel) -> list[float]:
    return [round(c, 6) for c in of.close[:, 0].tolist()]


def test_the_seven_for_one_split_of_apple_leaves_no_jump() -> None:
    raw = panel(645.57, 93.70)  # 2014-06-06 and 2014-06-09
    found = adjust(raw, [split(7)], LATER)
    assert closes(found) == [92.224286, 93.7]
    assert found.volume[:, 0].tolist() == [4_900.0, 700.0]
    assert (raw.close[0, 0], raw.volume[0, 0]) == (645.57, 700.0), "raw prices are left alone"


def test_several_splits_multiply() -> None:
    """AAPL split 2:1 in 2000 and in 2005 and 7:1 in 2014: 28 units for one of before 2000."""
    actions = [split(2, day=1), split(2, day=2), split(7, day=3)]
    assert closes(adjust(panel(280.0, 140.0, 70.0, 10.0), actions, LATER)) == [10.0] * 4


def test_a_dividend_takes_its_share_of_the_last_close_out_of_all_prices_before() -> None:
    """AAPL paid 3.29, last cum day 2014-05-07, with a close of 592.33; the closes around are 594.41 and 588.12."""
    paid = make.dividend("3.29", day=2, symbol="AAPL")
    found = adjust(panel(594.41, 592.33, 588.12), [paid], LATER)
    factor = 1 - 3.29 / 592.33
    assert closes(found) == [round(594.41 * factor, 6), round(592.33 - 3.29, 6), 588.12]
    assert found.volume[:, 0].tolist() == [700.0] * 3
    total_return, plain = 588.12 / found.close[1, 0], (588.12 + 3.29) / 592.33
    assert total_return == pytest.approx(588.12 / (592.33 - 3.29))
    assert abs(total_return - plain) < 1e-4, "reinvested at the ex-date open, not at the close"


def test_a_dividend_before_a_split_is_in_the_units_of_its_day() -> None:
    found = adjust(panel(700.0, 700.0, 100.0), [make.dividend("7", day=1, symbol="AAPL"), split(7, day=2)], LATER)
    assert closes(found) == [99.0, 100.0, 100.0]


def test_splits_only_leaves_dividends_in_and_none_leaves_all() -> None:
    actions, raw = [make.dividend("7", day=1, symbol="AAPL"), split(7, day=1)], panel(700.0, 100.0)
    assert closes(adjust(raw, actions, LATER, Adjust.SPLITS)) == [100.0, 100.0]
    assert adjust(raw, actions, LATER, Adjust.NONE) is raw


@pytest.mark.parametrize(
    ("as_of", "known_day", "expected"),
    [(0, 0, [200.0, 100.0]), (1, 2, [200.0, 100.0]), (1, 0, [100.0, 100.0]), (2, 2, [100.0, 100.0])],
    ids=["not effective yet", "not known yet", "known and effective", "known late"],
)
def test_nothing_is_adjusted_by_what_was_not_known_or_not_effective(
    as_of: int, known_day: int, expected: list[float]
) -> None:
    found = adjust(panel(200.0, 100.0), [split(2, known_day=known_day)], make.T0 + as_of * make.DAY)
    assert closes(found) == expected


def test_a_restated_action_counts_from_when_it_became_known() -> None:
    first, restated = split(2), structs.replace(split(3), known_at=make.T0 + 5 * make.DAY)
    early, late = make.T0 + 4 * make.DAY, make.T0 + 5 * make.DAY
    assert [a.new for a in known([restated, first], early)] == [2]
    assert [a.new for a in known([restated, first], late)] == [3]


def test_the_newest_version_is_known_since_the_first() -> None:
    first, restated = split(2), structs.replace(split(3), known_at=LATER)
    assert newest([restated, first]) == (structs.replace(restated, known_at=first.known_at),)
    assert newest([]) == ()


def test_only_the_symbol_of_an_action_is_touched_and_gaps_stay_gaps() -> None:
    raw = make.daily_panel([[200.0, 235.5], [np.nan, 118.0], [100.0, 119.0]], instruments=(AAPL, IBM))
    found = adjust(raw, [split(2, day=1)], LATER)
    assert found.close[:, 1].tolist() == [235.5, 118.0, 119.0]
    assert found.close[0, 0] == 100.0
    assert np.isnan(found.close[1, 0])


def test_a_dividend_above_the_price_is_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"AAPL/dividend/day 1.*below the close of 5.*correct it"):
        adjust(panel(5.0, 5.0), [make.dividend("5", symbol="AAPL")], LATER)


def test_a_dividend_with_no_price_before_it_changes_nothing() -> None:
    assert closes(adjust(panel(5.0), [make.dividend("1", day=0, symbol="AAPL")], LATER)) == [5.0]


def test_due_is_what_takes_effect_after_one_time_and_until_another() -> None:
    actions = [split(2, day=3), split(2, day=1), structs.replace(split(2, day=2), kind=CorporateActionKind.DELISTING)]
    first, second = actions[1].ex_at, actions[2].ex_at
    assert [a.ex_date for a in due(actions, first - 1, second)] == ["day 1", "day 2"]
    assert [a.ex_date for a in due(actions, first, second - 1)] == []


def test_what_is_not_known_is_not_due() -> None:
    late = split(2, day=1, known_day=9)
    assert due([late], 0, make.T0 + 8 * make.DAY) == ()
    assert due([late], 0, make.T0 + 9 * make.DAY) == (late,)


@pytest.mark.parametrize(
    ("before", "opened", "ratio"),
    [
        (645.57, 92.69, (7, 1)), (101.0, 50.5, (2, 1)), (88.97, 44.5, (2, 1)), (235.5, 117.0, (2, 1)),
        (100.0, 66.9, (3, 2)), (1.0, 10.2, (1, 10)), (100.0, 150.0, (2, 3)), (500.0, 25.0, (20, 1)),
        (100.0, 99.0, None), (100.0, 80.0, None), (100.0, 58.0, None), (100.0, 44.0, None),
        (0.0, 50.0, None), (100.0, float("nan"), None), (100.0, -50.0, None),
    ],
)  # fmt: skip
def test_a_jump_is_near_a_split_within_five_per_cent(
    before: float, opened: float, ratio: tuple[int, int] | None
) -> None:
    assert near_split(before, opened) == ratio


def test_the_amount_of_a_dividend_is_exact_text() -> None:
    assert make.dividend("0.3134").cash == Decimal("0.3134")
