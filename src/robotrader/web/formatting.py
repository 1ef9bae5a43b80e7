"""The one place that turns a value into the text a person reads; first paint and live updates both come from here.

Absent is said in words, never as a number. A sign or a word always goes with a colour.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

NOT_AVAILABLE = "not available"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUS = "\N{MINUS SIGN}"


def utc(ns: int) -> datetime:
    """Turn ns UTC into an aware time (whole microseconds)."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def utc_or_none(ns: int | None) -> datetime | None:
    """Turn ns UTC into an aware time where there is one."""
    return None if ns is None else utc(ns)


def number(value: Decimal | int | None, *, places: int | None = None, signed: bool = False) -> str:
    """Write a number with thousands separators and a true minus sign.

    `places` None keeps the value's own decimals; `signed` also writes a plus.
    """
    if value is None:
        return NOT_AVAILABLE
    exact = Decimal(value)
    if places is not None:
        exact = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    if exact.is_zero():
        exact = abs(exact)  # "-0.00" would claim a loss
    sign = _MINUS if exact < 0 else ("+" if signed and exact > 0 else "")
    return f"{sign}{abs(exact):,f}"


def money(value: Decimal | None, currency: str, *, signed: bool = False) -> str:
    """Write an amount to the cent with its currency: `+1,234.50 USD`."""
    return NOT_AVAILABLE if value is None else f"{number(value, places=2, signed=signed)} {currency}"


def price(value: Decimal | None) -> str:
    """Write a price with two to four decimals: as many as it has."""
    if value is None:
        return NOT_AVAILABLE
    exponent = value.normalize().as_tuple().exponent
    return number(value, places=min(4, max(2, -exponent if isinstance(exponent, int) else 2)))


def percent(ratio: Decimal | None) -> str:
    """Write a ratio (0.01) as a signed percentage (`+1.00 %`)."""
    return NOT_AVAILABLE if ratio is None else f"{number(ratio * 100, places=2, signed=True)} %"


def tone(value: Decimal | None) -> str:
    """Name what a signed value is: `gain`, `loss`, or nothing for zero and absent."""
    if not value:
        return ""
    return "gain" if value > 0 else "loss"


def moment(at: datetime | None) -> str:
    """Write a time to the second, without its zone: the page says once that it is UTC."""
    return NOT_AVAILABLE if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """Write a length of time in its two largest units: `2 d 4 h`, `37 s`."""
    if seconds is None:
        return NOT_AVAILABLE
    whole = max(0, int(seconds))
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for (unit, size), (small, below) in pairwise(units):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
