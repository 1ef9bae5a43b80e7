"""Orders and facts for the checks: everything known and in order, unless a test says otherwise."""

from decimal import Decimal
from typing import Any

from msgspec import structs

from robotrader.model import NANOS_PER_SECOND, Order, OrderType, PortfolioSnapshot, RiskLimit, Side, Stage, TradingState
from robotrader.risk.facts import (
    Authority,
    Borrow,
    Budget,
    Conduct,
    Exposures,
    Facts,
    Losses,
    Margin,
    Market,
    RateCounts,
    Session,
    Standing,
)
from tests import builders as make

D = Decimal
OFF = RiskLimit(profile="off")
QUIET = RateCounts(messages=0, instrument_messages=0, strategy_bursts=0)
SNAPSHOT = PortfolioSnapshot(
    ts=make.T0, instrument=make.SPY, equity=D(100_000), position=0, open_buy=0, open_sell=0, last_close=D("100.00"),
    reference_price=D("100.00"), reference_age_ns=0, reference_spec_ns=make.DAY, average_daily_volume=1e6,
)  # fmt: skip
KNOWN = Facts(
    snapshot=SNAPSHOT, rates=QUIET, known_intent=False, same_terms_age_ns=None, state=TradingState.ACTIVE,
    state_reason="",
    conduct=Conduct(recent_fills=0, open_orders=0, instrument_open_orders=0, submitted=0, revised=0, canceled=0,
                    executed=0, opposite=()),
    market=Market(bid=D("99.99"), ask=D("100.01"), quote_age_ns=0, live=True, clock_skew_s=0.0, halted=False,
                  limit_state=False, luld_tier=1, short_restricted=False),
    session=Session(executes=make.T0, opens=make.T0, closes=make.T0 + 23_400 * NANOS_PER_SECOND),
    borrow=Borrow(level=3.0, shares=10**7, fee_rate=0.0025, age_ns=0),
    margin=Margin(net_liquidation=D(100_000), excess_liquidity=D(100_000), excess_after=D(100_000), day_trades=0),
    exposures=Exposures(D(0), D(0), D(0), ()),
    budget=Budget(allocated=D(100_000), others=D(0), position=0, open_buy=0, open_sell=0, all_others=D(0)),
    losses=Losses(equity=D(100_000), day_start=D(100_000), peak=D(100_000)),
    standing=Standing(connected=True, heartbeat_fresh=True, reconciled=True, outside_reset=True, lease_held=True),
    authority=Authority(mode="live", stage=Stage.LIVE, model_signed=True, role_allowed=True),
)  # fmt: skip
UNKNOWN = structs.replace(
    KNOWN, conduct=Conduct(), market=Market(), session=Session(), borrow=Borrow(), margin=Margin(), exposures=None,
    budget=Budget(), losses=Losses(), standing=Standing(), authority=Authority(),
)  # fmt: skip
"""Nothing is known beside the snapshot: what an engine without a source of these facts has."""


def facts(state: TradingState = TradingState.ACTIVE, **snapshot: object) -> Facts:
    """Make facts in which this much of the snapshot is different."""
    return structs.replace(KNOWN, snapshot=structs.replace(SNAPSHOT, **snapshot), state=state)


def knowing(group: str, base: Facts = KNOWN, **fields: Any) -> Facts:
    """Make facts in which this much of a group is different."""
    return structs.replace(base, **{group: structs.replace(getattr(base, group), **fields)})


def buy(quantity: int, *, limit: str | None = None, stop: str | None = None) -> Order:
    """Make a buy order; at a limit or a stop if told."""
    return _priced(make.order(quantity=quantity), limit, stop)


def sell(quantity: int, *, limit: str | None = None, stop: str | None = None) -> Order:
    """Make a sell order; at a limit or a stop if told."""
    return _priced(make.order(side=Side.SELL, quantity=quantity), limit, stop)


def _priced(order: Order, limit: str | None, stop: str | None) -> Order:
    if limit is not None:
        return structs.replace(order, type=OrderType.LIMIT, limit_price=D(limit))
    if stop is not None:
        return structs.replace(order, type=OrderType.STOP, stop_price=D(stop))
    return order
