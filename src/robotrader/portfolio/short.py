"""Selling short: when it is restricted by price (Rule 201 of Regulation SHO), and what it costs over night."""

from decimal import ROUND_CEILING, Decimal

from robotrader.model import money

_FALLEN = Decimal("0.9")
_COLLATERAL = Decimal("1.02")


def price_test(*, previous_close: Decimal, low: Decimal | None, previous_low: Decimal, close_before: Decimal) -> bool:
    """Tell whether the price test is in force: a short sale must then be priced above the best bid.

    A fall by 10 % or more below the close of the session before sets it off, for the rest of that session and all of
    the next. The broker's protocol does not tell of it, so that it is computed. Source: 17 CFR 242.201(b)(1).

    Parameters
    ----------
    previous_close, previous_low : Decimal
        Of the session before today's.
    low : Decimal or None
        Lowest price of today's regular hours so far; None before the first trade.
    close_before : Decimal
        Close of the session before the previous one.
    """
    today = low is not None and low <= previous_close * _FALLEN
    return today or previous_low <= close_before * _FALLEN


def borrow_fee(quantity: int, price: Decimal, rate: Decimal, nights: int) -> Decimal:
    """Return what it costs to have `quantity` units sold short for so many nights, at `rate` a year of 360 days.

    The rate is on the collateral: 102 % of the last close of a unit, rounded up to whole dollars.
    """
    collateral = (price * _COLLATERAL).to_integral_value(ROUND_CEILING) * quantity
    return money(collateral * rate * nights / 360)
