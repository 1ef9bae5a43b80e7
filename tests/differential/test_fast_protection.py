"""Stops, targets and borrow fees on the fast path against the event engine, order by order and fill by fill.

The suite draws a sample; `FAST_CASES=1000 pytest tests/differential/test_fast_protection.py` is the whole proof.
"""

import dataclasses
import os
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from robotrader.data.panel import PRICES, Panel
from robotrader.model import RiskLimit, StrategyConfig
from robotrader.research.fast import run_fast
from robotrader.research.kernel_setup import Friction, Unsupported
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import FillAt
from tests.differential.test_fast import LIMITS, assert_equal, by_events, configs, panels
from tests.goldens.test_worksheets import SHEETS
from tests.goldens.worksheet import CAPITAL, Sheet, shown

D = Decimal
CASES = int(os.environ.get("FAST_CASES", "60"))
STOPS = (None, "percent:0.02", "percent:0.05", "percent:0.2", "atr:1", "atr:2.5", "percent:0.001",
         "trailing_percent:0.02", "trailing_percent:0.1", "trailing_atr:1", "trailing_atr:3")  # fmt: skip
AGES = (None, None, "3m", "90m", "1d", "2d", "10d", "30d")
TARGETS = (None, "percent:0.03", "percent:0.05", "percent:0.1", "atr:1.5", "percent:0.002")


@st.composite
def markets(draw: st.DrawFn) -> Panel:
    """Draw a market; every other one in half dollars, so that prices meet those of orders."""
    panel = draw(panels())
    if draw(st.booleans()):
        return panel
    coarse = {name: np.maximum(np.rint(getattr(panel, name) * 2) / 2, 0.5) for name in PRICES}
    return dataclasses.replace(panel, **coarse)


@st.composite
def protected(draw: st.DrawFn, panel: Panel) -> list[StrategyConfig]:
    """Draw strategies, most of which have a stop or a target."""
    return [
        structs.replace(
            config,
            stop_loss=draw(st.sampled_from(STOPS)),
            take_profit=draw(st.sampled_from(TARGETS)),
            time_exit=draw(st.sampled_from(AGES)),
        )
        for config in draw(configs(panel))
    ]


frictions = st.builds(
    Friction, costs=st.sampled_from(["ibkr_fixed", "ibkr_tiered", "bps:10", "none"]).map(cost_model),
    fill=st.sampled_from([FillAt.NEXT_OPEN, FillAt.NEXT_OPEN, *FillAt]),
    half_spread_bps=st.sampled_from([D(0), D(1), D("2.5"), D(40)]),
    participation=st.sampled_from([None, None, 0.5, 0.1]), impact=st.sampled_from([D(0), D(0), D(1)]),
    borrow_rate=st.sampled_from([D(0), D("0.01"), D("0.3333"), D(20)]),
)  # fmt: skip
STRESS = [RiskLimit(profile="collar", price_collar_ratio=D("0.5"), reference_max_age_bars=1.0)]


@settings(max_examples=CASES)
@given(
    markets().flatmap(lambda p: st.tuples(st.just(p), protected(p))), st.sampled_from([RESEARCH] * 3 + LIMITS + STRESS),
    frictions,
)  # fmt: skip
def test_stops_targets_and_borrow_fees_are_those_of_the_event_engine(
    market: tuple[Panel, list[StrategyConfig]], limits: RiskLimit, friction: Friction
) -> None:
    panel, strategies = market
    try:
        fast = run_fast(strategies, panel, friction, limits=limits)
    except Unsupported as refusal:
        event(f"refused: {refusal}")
        return
    slow = by_events(strategies, panel, friction, limits)
    assert_equal(fast, slow)
    filled, sent = {f.order_id for f in slow.fills}, {o.id: o for o in slow.orders}
    for purpose in {sent[key].purpose for key in filled}:
        event(f"filled: {purpose}")
    event("borrows" if slow.borrow_cost else "borrows nothing")
    event("a guard denied" if any(d.order.purpose.protective for d in slow.denied) else "no guard denied")
    event("made anew" if any(o.purpose.protective and o.parent is None for o in slow.orders) else "only children")


PLAYED = [
    s
    for s in SHEETS
    if not s.actions and not s.participation and (s.stop_loss or s.take_profit or s.time_exit or s.borrow != "0")
]


@pytest.mark.parametrize("sheet", PLAYED, ids=lambda s: s.name)
def test_the_fast_path_gives_what_was_worked_out_by_hand(sheet: Sheet) -> None:
    friction = Friction(
        costs=cost_model(sheet.costs), fill=sheet.fill, half_spread_bps=D(sheet.bps), participation=sheet.participation,
        impact=D(sheet.impact), borrow_rate=D(sheet.borrow),
    )  # fmt: skip
    result = run_fast([sheet.config], sheet.panel, friction, limits=RESEARCH).result()
    assert shown(sheet, result) == sheet.fills
    assert sheet.orders is None or len(result.orders) == sheet.orders
    assert result.final.books[0].cash == CAPITAL + sum(D(part) for part in sheet.cash.split())
