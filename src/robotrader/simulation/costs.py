"""What trading costs: IBKR's commission plans for US stocks and the dated regulatory fees.

A cost model answers for an order as a whole (minimum and cap are per order); a partial fill costs
the difference between the total after and before it. Rates are tables with `since` dates: a date
before a table's first row is an error, never zero. Sources: IBKR's published schedules as
summarised in the project's knowledge files; re-check before relying on them with money.
"""

from datetime import date
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from robotrader.model import ConfigError, DataError, Side, money

_D = Decimal


class Rate(Struct, frozen=True):
    """A rate in force from an ISO date on."""

    since: str
    value: Decimal


# Where only the end of a rate's life is known, it is carried back to the first date that samples need.
SEC_PER_DOLLAR = (
    Rate("1990-01-01", _D("0.0000278")),
    Rate("2025-05-14", _D(0)),
    Rate("2026-04-04", _D("0.0000206")),
)
TAF_PER_SHARE = (Rate("1990-01-01", _D("0.000166")), Rate("2026-01-01", _D("0.000195")))
TAF_MAX = (Rate("1990-01-01", _D("8.30")), Rate("2026-01-01", _D("9.79")))
CAT_PER_SHARE = (Rate("1990-01-01", _D(0)), Rate("2024-10-01", _D("0.000072")))

TIERS = (  # monthly shares up to (None = no end), dollars per share
    (300_000, _D("0.0035")),
    (3_000_000, _D("0.0020")),
    (20_000_000, _D("0.0015")),
    (100_000_000, _D("0.0010")),
    (None, _D("0.0005")),
)
CLEARING_PER_SHARE = _D("0.00020")
EXCHANGE_REMOVE_PER_SHARE = _D("0.0030")
NYSE_PASS_THROUGH = _D("0.000175")
FINRA_PASS_THROUGH = _D("0.000563")


def rate_on(table: tuple[Rate, ...], day: date) -> Decimal:
    """Return the rate in force on `day`.

    Raises
    ------
    DataError
        The table has no rate for that date.
    """
    text = day.isoformat()
    known = [r.value for r in table if r.since <= text]
    if not known:
        raise DataError(f"no fee rate for {text}: the table starts {table[0].since}")
    return known[-1]


def regulatory_fees(*, side: Side, quantity: int, notional: Decimal, day: date) -> Decimal:
    """Return SEC, TAF (sales only) and CAT fees of one order, in dollars."""
    fees = rate_on(CAT_PER_SHARE, day) * quantity
    if side is Side.SELL:
        fees += rate_on(SEC_PER_DOLLAR, day) * notional
        fees += min(rate_on(TAF_PER_SHARE, day) * quantity, rate_on(TAF_MAX, day))
    return fees


def fixed_commission(quantity: int, notional: Decimal) -> Decimal:
    """Return IBKR Pro Fixed: 0.005 a share, at least 1.00, at most 1 % of the trade's value."""
    return min(max(_D("0.005") * quantity, _D("1.00")), notional / 100)


def tiered_commission(quantity: int, notional: Decimal, monthly_shares: int = 0) -> Decimal:
    """Return IBKR Pro Tiered, marginal by monthly volume; at least 0.35, at most 1 % of the value."""
    left, done, total = quantity, monthly_shares, _D(0)
    for upto, rate in TIERS:
        room = left if upto is None else max(0, min(left, upto - done))
        total += rate * room
        left, done = left - room, done + room
    return min(max(total, _D("0.35")), notional / 100)


class CostModel(Protocol):
    """Commission and fees of an order so far."""

    def total(self, *, side: Side, quantity: int, notional: Decimal, day: date) -> Decimal:
        """Return the cost of `quantity` units worth `notional`, >= 0, in the account's currency."""
        ...


class IbkrFixed(Struct, frozen=True):
    """IBKR Pro Fixed plus regulatory fees."""

    def total(self, *, side: Side, quantity: int, notional: Decimal, day: date) -> Decimal:
        """Return the order's commission and fees."""
        fees = regulatory_fees(side=side, quantity=quantity, notional=notional, day=day)
        return money(fixed_commission(quantity, notional) + fees)


class IbkrTiered(Struct, frozen=True):
    """IBKR Pro Tiered, first tier, taking liquidity, plus clearing, exchange and regulatory fees."""

    def total(self, *, side: Side, quantity: int, notional: Decimal, day: date) -> Decimal:
        """Return the order's commission and fees."""
        commission = tiered_commission(quantity, notional)
        passed_on = commission * (NYSE_PASS_THROUGH + FINRA_PASS_THROUGH)
        per_share = (CLEARING_PER_SHARE + EXCHANGE_REMOVE_PER_SHARE) * quantity
        fees = regulatory_fees(side=side, quantity=quantity, notional=notional, day=day)
        return money(commission + passed_on + per_share + fees)


class BasisPoints(Struct, frozen=True):
    """A flat rate on the traded value, in basis points (1 = 0.01 %)."""

    bps: Decimal

    def total(self, *, side: Side, quantity: int, notional: Decimal, day: date) -> Decimal:
        """Return `bps` of the notional."""
        return money(notional * self.bps / 10_000)


def cost_model(name: str) -> CostModel:
    """Return the model of that name: `ibkr_fixed`, `ibkr_tiered`, `bps:X` or `none`.

    Raises
    ------
    ConfigError
        The name is none of these.
    """
    if name == "ibkr_fixed":
        return IbkrFixed()
    if name == "ibkr_tiered":
        return IbkrTiered()
    if name == "none":
        return BasisPoints(_D(0))
    kind, _, text = name.partition(":")
    try:
        bps = _D(text)
    except ArithmeticError:
        bps = _D("NaN")
    if kind != "bps" or not bps.is_finite() or bps < 0:
        raise ConfigError(f"commission must be ibkr_fixed, ibkr_tiered, bps:X or none; found {name!r}")
    return BasisPoints(bps)
