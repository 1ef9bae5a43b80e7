"""Positions, accounts and what the risk gate may know of them."""

from decimal import Decimal

from msgspec import Struct

from robotrader.model.market import Currency, Instrument, InstrumentId
from robotrader.model.orders import StrategyId


class Position(Struct, frozen=True, kw_only=True):
    """Signed holding; `average_price` is the mean price of the open lots (display only)."""

    instrument: InstrumentId
    quantity: int
    average_price: Decimal | None
    realized_pnl: Decimal
    strategy: StrategyId | None = None


class Account(Struct, frozen=True, kw_only=True):
    """What the broker reports of one account; None = not reported.

    `day_pnl` is its profit since the last session's close, realized or not.
    """

    id: str
    cash: Decimal | None = None
    net_liquidation: Decimal | None = None
    available_funds: Decimal | None = None
    excess_liquidity: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    day_pnl: Decimal | None = None
    currency: Currency = Currency("USD")


class Exposure(Struct, frozen=True, kw_only=True):
    """Gross and net market value in account currency."""

    gross: Decimal
    net: Decimal


class PortfolioSnapshot(Struct, frozen=True, kw_only=True):
    """What one order's risk checks may know: the account, and this instrument at worst case.

    Attributes
    ----------
    equity : Decimal
        Sum of the strategy books, marked at the last prices.
    position : int
        Signed units held in the instrument over all strategies.
    open_buy, open_sell : int
        Unfilled units of all open and unresolved orders in the instrument, each side apart.
    reference_price, reference_age_ns : price and its age
        Quote, else last close; None = not known.
    average_daily_volume : float
        Mean volume of the last 20 sessions, in units; None = fewer seen.
    """

    ts: int
    instrument: Instrument
    equity: Decimal
    position: int
    open_buy: int
    open_sell: int
    last_close: Decimal | None = None
    reference_price: Decimal | None = None
    reference_age_ns: int | None = None
    reference_spec_ns: int | None = None
    average_daily_volume: float | None = None
