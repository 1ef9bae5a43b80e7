"""Stop-losses, take-profits and time exits: where and when they end a position, and the orders that they are."""

from decimal import Decimal

from msgspec import Struct

from robotrader.model import (
    NANOS_PER_SECOND,
    ConfigError,
    Instrument,
    Order,
    OrderType,
    Purpose,
    Side,
    StrategyConfig,
    StrategyId,
    TimeInForce,
    derive_order_id,
)

_TRAILING = "trailing_"
_DIGITS = 5  # of an age: what int64 can count in ns, whatever the unit
_UNITS_NS = {"m": 60 * NANOS_PER_SECOND, "h": 3_600 * NANOS_PER_SECOND, "d": 86_400 * NANOS_PER_SECOND}


class Distance(Struct, frozen=True):
    """How far from the price: `percent:R` that ratio of it, `atr:K` so many ATR(14); `trailing` follows the price."""

    rule: str
    value: Decimal
    trailing: bool = False

    def away(self, price: Decimal, atr: Decimal | None) -> Decimal | None:
        """Return the distance in price units; None where the ATR is not known yet."""
        if self.rule == "percent":
            return price * self.value
        return None if atr is None else atr * self.value


def parse_distance(text: str) -> Distance:
    """Read `percent:0.05` or `atr:2`, or `trailing_percent:0.05` and `trailing_atr:2`.

    Raises
    ------
    ConfigError
        Another rule, or a number that is not positive (percent: not in (0, 1)).
    """
    named, _, number = text.partition(":")
    rule = named.removeprefix(_TRAILING)
    try:
        value = Decimal(number)
    except ArithmeticError:
        value = Decimal("NaN")
    ceiling = {"percent": Decimal(1), "atr": Decimal(100)}.get(rule)
    if ceiling is None or not value.is_finite() or not 0 < value < ceiling:
        raise ConfigError(
            "a stop_loss or take_profit must be percent:R with R in (0, 1) or atr:K with K in (0, 100), a stop_loss "
            f"also trailing_percent:R or trailing_atr:K; found {text!r}"
        )
    return Distance(rule, value, trailing=named != rule)


def parse_age(text: str) -> int:
    """Read how long a position may be held, `90m`, `12h` or `10d` (of 24 hours), in ns.

    Raises
    ------
    ConfigError
        Another unit, or a number that is no whole one from 1 to 99999.
    """
    unit = _UNITS_NS.get(text[-1:])
    if unit is None or not text[:-1].isdecimal() or not 0 < int(text[:-1][: _DIGITS + 1]) < 10**_DIGITS:
        raise ConfigError(
            f"a time_exit must be a whole number up to 99999 of m, h or d, such as 90m or 10d; found {text!r}"
        )
    return int(text[:-1]) * unit


class Prices(Struct, frozen=True, kw_only=True):
    """What the distances count from: the last close, and the ATR(14) where it is known."""

    instrument: Instrument
    close: Decimal
    atr: Decimal | None


class Policy(Struct, frozen=True, kw_only=True):
    """What protects the positions of a strategy; `distances` by purpose, those that it has."""

    strategy: StrategyId
    version: str
    distances: dict[Purpose, Distance]

    def price(self, purpose: Purpose, side: Side, at: Prices) -> Decimal | None:
        """Return where an order of that side stands: a stop behind the price, a target before it; None: not known."""
        away = self.distances[purpose].away(at.close, at.atr)
        if away is None:
            return None
        ahead = side.sign if purpose is Purpose.STOP_LOSS else -side.sign
        exact = at.close + ahead * away
        if exact < at.instrument.tick:
            return None
        price = at.instrument.price(exact)
        return None if price == at.instrument.price(at.close) else price

    def followed(self, stop: Order, at: Prices) -> Decimal | None:
        """Return where a stop stands after a close at `at`: a trailing one has followed the price, never back."""
        distance, before = self.distances.get(stop.purpose), stop.stop_price
        if distance is None or not distance.trailing or before is None:
            return before
        price = self.price(stop.purpose, stop.side, at)
        return before if price is None or (price - before) * stop.side.sign >= 0 else price

    def orders(
        self, side: Side, quantity: int, at: Prices, *, ts: int, entry: Order | None = None, attempt: int = 0
    ) -> tuple[Order, ...] | None:
        """Return the orders that end a position of that size; None where a price is not known.

        They are good till canceled and of one group: what one fills, the others lose. `entry` must fill first.
        `attempt` tells apart those of one moment.
        """
        found: list[Order] = []
        for purpose in self.distances:
            price = self.price(purpose, side, at)
            if price is None:
                return None
            order_id = derive_order_id(strategy=self.strategy, version=self.version, ts_event=ts,
                                       instrument=at.instrument.id, purpose=purpose, n=attempt)  # fmt: skip
            stops = purpose is Purpose.STOP_LOSS
            group = found[0].id if found else order_id
            found.append(
                Order(id=order_id, strategy=self.strategy, instrument=at.instrument.id, side=side, quantity=quantity,
                      ts_event=ts, type=OrderType.STOP if stops else OrderType.LIMIT, tif=TimeInForce.GTC,
                      stop_price=price if stops else None, limit_price=None if stops else price, purpose=purpose,
                      parent=entry.id if entry else None, oca_group=f"OCA-{group}")
            )  # fmt: skip
        return tuple(found)


def policy_of(config: StrategyConfig, version: str) -> Policy | None:
    """Return what a strategy is configured with, None for nothing; ConfigError where that cannot be read."""
    named = {Purpose.STOP_LOSS: config.stop_loss, Purpose.TAKE_PROFIT: config.take_profit}
    distances = {purpose: parse_distance(text) for purpose, text in named.items() if text is not None}
    if Purpose.TAKE_PROFIT in distances and distances[Purpose.TAKE_PROFIT].trailing:
        raise ConfigError(
            f"a take_profit cannot follow the price: give percent:R or atr:K; found {config.take_profit!r}"
        )
    return Policy(strategy=config.id, version=version, distances=distances) if distances else None
