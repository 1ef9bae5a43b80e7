"""Orders and facts for the checks: everything known and in order, unless a test says otherwise."""

from decimal import Decimal

from msgspec import structs

from robotrader.model import Order, OrderType, PortfolioSnapshot, RiskLimit, Side, TradingState
from robotrader.risk.checks import Facts, RateCounts
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
)  # fmt: skip


def facts(state: TradingState = TradingState.ACTIVE, **snapshot: object) -> Facts:
    """Make facts in which this much of the snapshot is different."""
    return structs.replace(KNOWN, snapshot=structs.replace(SNAPSHOT, **snapshot), state=state)


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
