"""Bars split into pieces and joined again are the bars."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.aggregate import Aggregate, Grid, aggregate
from robotrader.model import Bar, BarSpec, SessionTable, Venue, stock

AAPL = stock("AAPL", Venue.NASDAQ)
OPEN, STEP = 1_700_000_000 * 10**9, 5 * 10**9
CLOSE = OPEN + 5 * 60 * 10**9 + 30 * 10**9  # the last minute is half a one
GRID = Grid(SessionTable(dates=("2023-11-14",), opens=(OPEN,), closes=(CLOSE,)), BarSpec.MINUTE)
SLOTS = GRID.slots(0, CLOSE)
COUNT = (CLOSE - OPEN) // STEP


@st.composite
def paths(draw: st.DrawFn) -> list[tuple[float, ...]]:
    """Draw a price path, four points a piece, and a volume each."""
    prices = st.tuples(*[st.integers(1, 10_000).map(float)] * 4, st.integers(0, 10**6).map(float))
    return draw(st.lists(prices, min_size=COUNT, max_size=COUNT))


def bar_of(points: list[tuple[float, ...]], end: int, spec: BarSpec) -> Bar:
    """Return the bar of some pieces of the path, computed from its prices."""
    prices = [p for *four, _ in points for p in four]
    return Bar(
        instrument=AAPL.id, ts_event=end, open=prices[0], high=max(prices), low=min(prices), close=prices[-1],
        volume=sum(v for *_, v in points), spec=spec,
    )  # fmt: skip


@given(paths(), st.randoms(use_true_random=False), st.sets(st.integers(0, COUNT - 1)))
def test_a_split_bar_joins_to_itself_in_any_order_however_often(
    path: list[tuple[float, ...]], random: Random, lost: set[int]
) -> None:
    bounds = [(slot.start - OPEN) // STEP for slot in SLOTS] + [COUNT]
    direct = [bar_of(path[a:b], slot.end, BarSpec.MINUTE) for (a, b), slot in zip(pairwise(bounds), SLOTS, strict=True)]
    pieces = [bar_of([point], OPEN + (n + 1) * STEP, BarSpec.SECOND_5) for n, point in enumerate(path)]
    shuffled = random.choices(pieces, k=20) + random.sample(pieces, len(pieces))
    assert aggregate(shuffled, GRID, CLOSE) == [Aggregate(bar, 0) for bar in direct]
    rest = [p for n, p in enumerate(pieces) if n not in lost]
    missing = {found.bar.ts_event: found.missing for found in aggregate(rest, GRID, CLOSE)}
    gone = [sum(a <= n < b for n in lost) for a, b in pairwise(bounds)]
    wanted = {s.end: m for s, m, (a, b) in zip(SLOTS, gone, pairwise(bounds), strict=True) if m < b - a}
    assert missing == wanted
