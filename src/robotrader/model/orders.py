"""Orders, their states, and what came of them."""

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from msgspec import Struct

from robotrader.model.errors import BadTick
from robotrader.model.market import Currency, InstrumentId

OrderId = NewType("OrderId", str)
"""`RT-` and 21 base32 characters: intent id, idempotency key and IB's `orderRef`."""

OUR_PREFIX = "RT-"
CROSSED_PREFIX = "X-"
"""How every order id of ours begins."""

StrategyId = NewType("StrategyId", str)

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # RFC 4648; pairs of them: `base64.b32encode` is slow in Python 3.11
_PAIRS = tuple(a + b for a in _BASE32 for b in _BASE32)

EXTERNAL = StrategyId("external")
"""Owner of what the account holds and no strategy of ours bought."""


class Side(StrEnum):
    """Direction; quantities are positive, the sign lives here."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return +1 for BUY and -1 for SELL."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """Supported order types, by IB's codes."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"
    TRAIL = "TRAIL"
    MARKET_ON_CLOSE = "MOC"
    LIMIT_ON_CLOSE = "LOC"


class TimeInForce(StrEnum):
    """How long an order stays in force, by IB's codes; `OPG` is for the opening auction only."""

    DAY = "DAY"
    GTC = "GTC"
    GTD = "GTD"
    IOC = "IOC"
    FOK = "FOK"
    OPG = "OPG"


class Purpose(StrEnum):
    """Why an order exists; part of its identity."""

    TARGET = "target"
    FLATTEN = "flatten"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"

    @property
    def protective(self) -> bool:
        """Tell whether such an order rests at the broker to end a position, and can fill no more than that."""
        return self in _PROTECTIVE


_PROTECTIVE = frozenset({Purpose.STOP_LOSS, Purpose.TAKE_PROFIT})


class OrderState(StrEnum):
    """States of an order; FIX OrdStatus in `execution/lifecycle.py`."""

    NEW = "NEW"
    AUTHORIZED = "AUTHORIZED"
    SENDING = "SENDING"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    DENIED = "DENIED"
    VOIDED = "VOIDED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    SUSPENDED = "SUSPENDED"


class Order(Struct, frozen=True, kw_only=True):
    """Immutable instruction; `quantity` in whole units, > 0. Raises `BadTick` where a number is not finite.

    `ts_event` is the decision time, ns UTC. `parent` is the entry that must fill before this one can; of the orders
    of an `oca_group` (one cancels all) a fill reduces the others by as much.
    """

    id: OrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    ts_event: int
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: TimeInForce = TimeInForce.DAY
    purpose: Purpose = Purpose.TARGET
    parent: OrderId | None = None
    oca_group: str | None = None

    def __post_init__(self) -> None:
        quantity, limit, stop = self.quantity, self.limit_price, self.stop_price
        # types promise an int, but a NaN may come in their place; what is left of an order that filled is 0
        if not isinstance(quantity, int) or quantity < 0:  # type: ignore[redundant-expr]
            raise BadTick(f"order {self.id}: expected a whole quantity of units, found {quantity!r}")
        if (limit is not None and not limit.is_finite()) or (stop is not None and not stop.is_finite()):
            raise BadTick(f"order {self.id}: expected finite prices, found limit {limit} and stop {stop}")


class WorkingOrder(Struct, frozen=True, kw_only=True):
    """An order, its state and how much of it is filled.

    `unresolved`: the last known state stands, but the outcome of a send is unknown
    (shown to the operator as UNKNOWN). `replacing`: the terms that were asked for in place of the order's.
    """

    order: Order
    state: OrderState
    filled: int = 0
    unresolved: bool = False
    broker_order_id: int | None = None
    perm_ids: tuple[int, ...] = ()
    reason: str = ""
    replacing: Order | None = None

    @property
    def leaves(self) -> int:
        """Return the quantity that can still fill."""
        return self.order.quantity - self.filled


class Fill(Struct, frozen=True, kw_only=True):
    """One execution of ours: `quantity` > 0 in units, `price` on the tick grid.

    `exec_id` is the stem of IB's execution id, `revision` its last part: a correction of
    the same execution has a higher revision. Raises `BadTick` where a number is not finite.
    """

    exec_id: str
    revision: int
    order_id: OrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    price: Decimal
    ts_event: int

    def __post_init__(self) -> None:
        whole = isinstance(self.quantity, int)  # not only what types promise
        if not whole or self.quantity < 0 or not self.price.is_finite():
            raise BadTick(f"execution {self.exec_id}: expected units at a finite price, found {self.quantity!r} at "
                          f"{self.price}")  # fmt: skip

    @property
    def crossed(self) -> bool:
        """Tell whether it met another strategy's order inside: a book entry that no broker saw."""
        return self.order_id.startswith(CROSSED_PREFIX)


class Commission(Struct, frozen=True, kw_only=True):
    """What one execution cost; `amount` >= 0 is a cost, in `currency`."""

    exec_id: str
    revision: int
    amount: Decimal
    currency: Currency = Currency("USD")


def derive_order_id(  # the six parts of an intent's identity, spelled out
    *, strategy: StrategyId, version: str, ts_event: int, instrument: InstrumentId, purpose: Purpose, n: int
) -> OrderId:
    """Derive the intent's id; the same decision always gives the same id.

    `n` tells apart several orders of one decision.
    """
    text = "|".join((strategy, version, str(ts_event), instrument, purpose, str(n)))
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:15], "big")  # 120: 24 letters, of which 21 are used
    return OrderId(OUR_PREFIX + "".join([_PAIRS[bits >> shift & 1023] for shift in range(110, 0, -10)])[:21])
