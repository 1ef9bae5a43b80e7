"""The only place where ib_async's objects become ours, and ours become theirs.

What arrives becomes plain JSON values before it reaches the inbox: the journal keeps it as it came.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ib_async.contract import Contract
from ib_async.objects import BarData, CommissionReport, Execution, ExecutionFilter
from ib_async.order import Order as WireOrder
from ib_async.order import OrderState as WireOrderState
from ib_async.util import UNSET_DOUBLE, UNSET_INTEGER
from msgspec import structs

from robotrader.adapters.ibkr.pending import Key, Question
from robotrader.model import DataError, Instrument, InstrumentId, InvariantViolation, Order, OrderType, Venue

Fields = dict[str, Any]

Send = Callable[[Any], object]
"""A message of ours: called with ib_async's client, it writes to the wire."""

ORDER_STATUS = (
    "orderId", "status", "filled", "remaining", "avgFillPrice", "permId", "parentId", "lastFillPrice", "clientId",
    "whyHeld", "mktCapPrice",
)  # fmt: skip
"""Fields of an orderStatus message, in the order of the wire."""

_SHORTABLE = "236"
"""Generic tick: how many shares there are to borrow, and how hard they are to get."""

_REDUCE_WITH_BLOCK = 2
"""IB's type of a group in which a fill of one order takes as much off the others, before they can fill too."""

_UNSET = Decimal(repr(UNSET_DOUBLE))

_CONTRACT = ("conId", "symbol", "secType", "exchange", "currency", "localSymbol")
_ORDER = ("permId", "orderRef", "account", "action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "tif")
_EXECUTION = (
    "orderId", "execId", "acctNumber", "side", "shares", "price", "permId", "clientId", "cumQty", "avgPrice",
    "orderRef", "liquidation", "lastLiquidity",
)  # fmt: skip
MARGINS = ("initMarginAfter", "maintMarginAfter", "equityWithLoanAfter", "commission", "maxCommission")
"""Fields of an openOrder message that answers a what-if; where the commission is a range, its upper end counts."""


def contract_of(instrument: Instrument) -> Contract:
    """Return the contract that an order or a request for this instrument names; orders route through SMART."""
    return Contract(
        secType=instrument.asset_class.value, symbol=instrument.symbol, exchange="SMART", currency=instrument.currency,
        primaryExchange="" if instrument.venue is Venue.SMART else instrument.venue.value,
    )  # fmt: skip


class Ids(NamedTuple):
    """An order's id at the broker, and its entry's; 0: it has none."""

    order: int
    parent: int = 0


def place(
    order: Order, instrument: Instrument, account: str, *, ids: Ids, transmit: bool = True, what_if: bool = False
) -> Send:
    """Return the message that places exactly the approved terms, with our id in `orderRef`.

    With `what_if` nothing is placed: it asks what the order would need. Prices stay `Decimal`: ib_async writes their
    text, so that no float touches them.

    Raises
    ------
    InvariantViolation
        A price that the type needs is missing or not on the tick grid: those are not the approved terms.
    """
    wire = WireOrder(
        action=order.side.value, totalQuantity=order.quantity, orderType=order.type.value, tif=order.tif.value,
        orderRef=order.id, account=account, transmit=transmit, outsideRth=False, parentId=ids.parent,
        ocaGroup=order.oca_group or "", ocaType=_REDUCE_WITH_BLOCK if order.oca_group else 0, whatIf=what_if,
    )  # fmt: skip
    if order.type is OrderType.LIMIT:
        wire.lmtPrice = _price(order, order.limit_price, instrument)
    if order.type is OrderType.STOP:
        wire.auxPrice = _price(order, order.stop_price, instrument)
    contract = contract_of(instrument)
    return lambda client: client.placeOrder(ids.order, contract, wire)


def terms(fields: Mapping[str, Any], order: Order, instrument: Instrument) -> Order:
    """Return an order of ours with the quantity and the price of an openOrder message."""
    limit, stop = order.limit_price, order.stop_price
    return structs.replace(
        order, quantity=int(fields["totalQuantity"]),
        limit_price=None if limit is None else instrument.price(fields["lmtPrice"]),
        stop_price=None if stop is None else instrument.price(fields["auxPrice"]),
    )  # fmt: skip


def _price(order: Order, price: Decimal | None, instrument: Instrument) -> Decimal:
    if price is None or instrument.price(price) != price:
        raise InvariantViolation(
            f"order {order.id}: a {order.type} order needs a price on the grid of {instrument.tick}, found {price}",
            order_id=order.id,
        )
    return price


def cancel(broker_order_id: int) -> Send:
    """Return the message that asks to cancel an order."""
    return lambda client: client.cancelOrder(broker_order_id)


def ask_history(request_id: int, instrument: Instrument, duration: str, *, size: str = "1 day", end: str = "") -> Send:
    """Return the message that asks once for bars of regular hours up to `end` (`yyyymmdd-hh:mm:ss` UTC; now).

    Daily bars are dated by text, others by the epoch second at which they begin.
    """
    contract, dates = contract_of(instrument), 1 if size == "1 day" else 2
    return lambda client: client.reqHistoricalData(
        request_id, contract, end, duration, size, "TRADES", True, dates, False, []
    )


def watch_bars(request_id: int, instrument: Instrument) -> Send:
    """Return the message that asks for a bar of trades every five seconds of regular hours."""
    contract = contract_of(instrument)
    return lambda client: client.reqRealTimeBars(request_id, contract, 5, "TRADES", True, [])


def drop_bars(request_id: int) -> Send:
    """Return the message that ends them."""
    return lambda client: client.cancelRealTimeBars(request_id)


def watch_quotes(request_id: int, instrument: Instrument) -> Send:
    """Return the message that asks for the best bid and ask, halts and what can be borrowed, as they change."""
    contract = contract_of(instrument)
    return lambda client: client.reqMktData(request_id, contract, _SHORTABLE, False, False, [])


def drop_quotes(request_id: int) -> Send:
    """Return the message that ends them."""
    return lambda client: client.cancelMktData(request_id)


def drop_history(request_id: int) -> Send:
    """Return the message that gives up a question for history."""
    return lambda client: client.cancelHistoricalData(request_id)


def ask(question: Question, request_id: int, account: str) -> tuple[Key, Send, Send | None]:
    """Return the key of the answer, the message that asks, and the one that ends what would go on after it."""
    mine = ExecutionFilter(acctCode=account)
    by_question: dict[Question, tuple[Key, Send, Send | None]] = {
        Question.OPEN_ORDERS: (question, lambda c: c.reqAllOpenOrders(), None),
        Question.COMPLETED_ORDERS: (question, lambda c: c.reqCompletedOrders(False), None),
        Question.EXECUTIONS: (request_id, lambda c: c.reqExecutions(request_id, mine), None),
        Question.POSITIONS: (question, lambda c: c.reqPositions(), lambda c: c.cancelPositions()),
        Question.ACCOUNT: (
            request_id,
            lambda c: c.reqAccountUpdatesMulti(request_id, account, "", False),
            lambda c: c.cancelAccountUpdatesMulti(request_id),
        ),
        Question.NEXT_ID: (question, lambda c: c.reqIds(1), None),
    }
    return by_question[question]


def plain(value: object) -> Any:
    """Return a decoded value as JSON can hold it; unset and not finite become None."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and (value == UNSET_DOUBLE or not math.isfinite(value)):
        return None
    return None if value == UNSET_INTEGER else value


def _pick(source: object, names: tuple[str, ...]) -> Fields:
    return {name: plain(getattr(source, name)) for name in names}


def open_order(order_id: int, contract: Contract, order: WireOrder, state: WireOrderState) -> Fields:
    """Return the fields of an openOrder message."""
    ids = {"orderId": order_id, "clientId": order.clientId}
    return ids | _pick(contract, _CONTRACT) | _pick(order, _ORDER) | _pick(state, ("status", "warningText"))


def margins(state: WireOrderState) -> Fields:
    """Return the fields of an openOrder message that answers a what-if."""
    return _pick(state, (*MARGINS, "warningText"))


def completed_order(contract: Contract, order: WireOrder, state: WireOrderState) -> Fields:
    """Return the fields of a completedOrder message; the wire gives it no order id."""
    end = _pick(state, ("status", "completedTime", "completedStatus"))
    return _pick(contract, _CONTRACT) | _pick(order, (*_ORDER, "filledQuantity")) | end


def execution(contract: Contract, found: Execution) -> Fields:
    """Return the fields of an execDetails message; `time` is ISO 8601 in UTC.

    The id of the request that it answers is left out: the same execution reads the same whenever it is told.
    """
    own = {"executedOn": found.exchange, "time": found.time.astimezone(UTC).isoformat()}
    return _pick(contract, _CONTRACT) | _pick(found, _EXECUTION) | own


def commission(report: CommissionReport) -> Fields:
    """Return the fields of a commissionReport message."""
    return _pick(report, ("execId", "commission", "currency", "realizedPNL"))


def position(account: str, contract: Contract, quantity: float, average_cost: float) -> Fields:
    """Return the fields of a position message."""
    own = {"account": account, "position": plain(quantity), "avgCost": plain(average_cost)}
    return _pick(contract, _CONTRACT) | own


def history_row(bar: BarData) -> tuple[str, float, float, float, float, float]:
    """Return date, open, high, low, close and volume exactly as decoded."""
    return str(bar.date), bar.open, bar.high, bar.low, bar.close, bar.volume


def amount(name: str, text: str) -> Decimal:
    """Return an account value; DataError when it is no number."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise DataError(f"account value {name}: expected a number, found {text!r}")
    return found


def stated(name: str, value: str | float | None) -> Decimal | None:
    """Return an amount, None where IBKR left it unset; DataError when it is no number."""
    found = None if value in {None, ""} else amount(name, str(value))
    return None if found == _UNSET else found


def watch_account(account: str) -> tuple[Send, Send]:
    """Return the messages that begin and end the pushes of account values."""
    return lambda c: c.reqAccountUpdates(True, account), lambda c: c.reqAccountUpdates(False, account)


def watch_profit(request_id: int, account: str) -> tuple[Send, Send]:
    """Return the messages that begin and end the pushes of the day's profit."""
    return lambda c: c.reqPnL(request_id, account, ""), lambda c: c.cancelPnL(request_id)


def signed_units(fields: Mapping[str, Any]) -> int:
    """Return a position's signed whole units; DataError for a fraction, as only whole shares are supported."""
    quantity = fields["position"]
    if quantity is None or quantity != int(quantity):
        raise DataError(f"{fields['symbol']}: expected a position in whole units, found {quantity}")
    return int(quantity)


def instrument_id_of(fields: Mapping[str, Any], instruments: Mapping[InstrumentId, Instrument]) -> InstrumentId:
    """Return the configured instrument of a position, or a telling id for one that we do not know.

    The wire names symbol, type and currency, but not always the primary exchange.
    """
    symbol, exchange = fields["symbol"], fields["exchange"]
    wanted = (symbol, fields["secType"], fields["currency"])
    same = [i for i in instruments.values() if (i.symbol, i.asset_class, i.currency) == wanted]
    exact = [i for i in same if i.venue == exchange]
    if exact or len(same) == 1:
        return (exact or same)[0].id
    return InstrumentId(f"{fields['localSymbol'] or symbol}.{exchange or fields['secType']}")
