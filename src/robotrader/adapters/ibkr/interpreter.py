"""From journaled broker messages to events: identity, order status, executions, commissions, errors.

Identity is our `OrderId` in `orderRef`, then permId, then the order id of our own client id; never a bare order id.
Orders and executions that we do not know (another client's, a person's, the broker's own) are external: they count, and
are never touched.
"""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct, structs

from robotrader.adapters.ibkr.errors import ErrorClass, classify
from robotrader.adapters.ibkr.foreign import SIDES, Foreign, execution_id, nanos, whole
from robotrader.adapters.ibkr.translate import MARGINS, stated, terms
from robotrader.model import (
    AnyEvent,
    Commission,
    CommissionReported,
    Currency,
    DataError,
    Fill,
    Instrument,
    InstrumentId,
    InvariantViolation,
    MarginPreviewed,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderConfirmed,
    OrderFilled,
    OrderId,
    OrderPendingCancel,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderSuspended,
    OrderUnresolved,
    TradingHalted,
    money,
)
from robotrader.ports import BrokerMessage

_log = logging.getLogger(__name__)

Fields = Mapping[str, Any]
Events = Sequence[AnyEvent]

NOTHING: Events = ()
_LOCATE = 404
_WORKING = frozenset({"PreSubmitted", "Submitted"})
AWAITED = "filled, and its executions are not all here"
_CHANGE_REFUSED = frozenset({ErrorClass.REJECTED, ErrorClass.UNCHANGED})


class Known(Struct):
    """What the interpreter must remember of one of our orders.

    `seen`: the broker showed that it has the order; a refusal after that may be one of a change only.
    `ended`: the event that ended it, so that every further word of its end gives the very same event. `executed`:
    units by execution, a correction in place of what it corrects. `changing`: the terms that were asked for, until what
    came of that is known. `held`: by the broker, while it looks for shares to borrow.
    """

    order: Order
    broker_order_id: int
    seen: bool
    ended: AnyEvent | None = None
    executed: dict[str, tuple[int, int]] = {}
    changing: Order | None = None
    held: bool = False

    @property
    def complete(self) -> bool:
        """Tell whether executions were read for the whole order."""
        return sum(quantity for _, quantity in self.executed.values()) >= self.order.quantity


class Interpreter:
    """Turn messages into events; nothing but the orders it was told of and what it has read decides the result."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._instruments = instruments
        self._by_ref: dict[str, Known] = {}
        self._by_id: dict[tuple[int, int], Known] = {}
        self._by_perm: dict[int, Known] = {}
        self._executions: set[str] = set()
        self._foreign = Foreign(instruments)
        self._early: dict[str, CommissionReported] = {}
        self._readers = {
            "openOrder": self._open_order, "orderStatus": self._order_status, "completedOrder": self._completed_order,
            "execDetails": self._execution, "commissionReport": self._commission, "error": self._error,
            "lostMessage": self._lost, "whatIf": _preview,
        }  # fmt: skip

    def know(self, order: Order, broker_order_id: int, *, client_id: int, seen: bool) -> None:
        """Make an order known; `seen` if it may have reached the broker before."""
        known = self._by_ref.setdefault(order.id, Known(order, broker_order_id, seen))
        known.broker_order_id = broker_order_id
        known.seen |= seen
        self._by_id[client_id, broker_order_id] = known

    def broker_order_id(self, order_id: OrderId) -> int:
        """Return the broker's id of an order; InvariantViolation when it was neither submitted nor bound."""
        if order_id not in self._by_ref:
            raise InvariantViolation(f"order {order_id} was never sent", order_id=order_id)
        return self._by_ref[order_id].broker_order_id

    def replace(self, order: Order) -> None:
        """Note that new terms are asked for: a refusal from now on is one of the change, not of the order."""
        self._by_ref[order.id].changing = order

    def events(self, message: BrokerMessage, *, client_id: int) -> Events:
        """Return the events that a message means; `client_id` is whose errors the gateway sends us.

        DataError: the message cannot be understood.
        """
        try:
            return self._readers[message.name]({"clientId": client_id, **message.fields}, message.ts_init)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise DataError(f"{message.name} cannot be understood ({error!r})", fields=message.fields) from error

    def _owner(self, fields: Fields) -> Known | None:
        """Return the order that a message is about, and learn its permId."""
        reference, perm_id = fields.get("orderRef"), fields["permId"]
        if reference:
            known = self._by_ref.get(reference)
        else:
            known = self._by_perm.get(perm_id or 0) or self._by_id.get((fields["clientId"], fields.get("orderId", 0)))
        if known is not None and perm_id:
            self._by_perm[perm_id] = known
        return known

    def _open_order(self, fields: Fields, ts: int) -> Events:
        """Read a status, and the terms on which the broker works the order now."""
        events, known = self._order_status(fields, ts), self._owner(fields)
        if known is None or known.ended is not None:
            return events
        return (*events, *_changed(known, terms(fields, known.order, self._instruments[known.order.instrument]), ts))

    def _order_status(self, fields: Fields, ts: int) -> Events:
        """Read a status, of an openOrder message as well: it has no `whyHeld` but a `warningText`."""
        known = self._owner(fields)
        if known is None:
            return self._foreign.order(fields, ts)
        why = fields.get("whyHeld", "")
        events = self._status(known, fields, why or fields.get("warningText", ""), ts)
        if "locate" in why and known.ended is None:  # shares to borrow are looked for: alive, but cannot fill
            known.held = True
            return (*events, OrderSuspended(ts_event=ts, ts_init=ts, order_id=known.order.id, reason=why,
                                            locating=True))  # fmt: skip
        if known.held and "whyHeld" in fields and fields["status"] in _WORKING:  # its acceptance is no news any more
            known.held = False
            return (*events, OrderConfirmed(ts_event=ts, ts_init=ts, order_id=known.order.id))
        return events

    def _completed_order(self, fields: Fields, ts: int) -> Events:
        """Read one finished order; Inactive there is an end, while an open one may come back.

        One that filled was as large as what it filled: its group may have taken the rest while nobody looked.
        """
        known = self._owner(fields)
        if known is None:
            return NOTHING
        if fields["status"] == "Filled":
            size = whole(fields.get("filledQuantity") or 0) or known.order.quantity
            return _changed(known, structs.replace(known.order, quantity=min(size, known.order.quantity)), ts)
        known.seen = True
        return (self._canceled(known, fields["status"], ts),)

    def _status(self, known: Known, fields: Fields, reason: str, ts: int) -> Events:
        known.seen = True
        order_id, status = known.order.id, fields["status"]
        match status:
            case _ if status in _WORKING:
                if not fields["permId"]:  # 0 in the first callbacks of an order
                    return NOTHING
                return (OrderAccepted(ts_event=ts, ts_init=ts, order_id=order_id, perm_id=fields["permId"]),)
            case "Cancelled" | "ApiCancelled":
                return (self._canceled(known, status, ts),)
            case "Inactive":
                suspended = OrderSuspended(ts_event=ts, ts_init=ts, order_id=order_id, reason=reason or status)
                return (known.ended or suspended,)
            case "PendingCancel":
                return (OrderPendingCancel(ts_event=ts, ts_init=ts, order_id=order_id),)
            case "Filled" if not known.complete:  # fills come from executions only: these are missing yet
                return (OrderUnresolved(ts_event=ts, ts_init=ts, order_id=order_id, reason=AWAITED),)
            case "PendingSubmit" | "ApiPending" | "Filled" | "":
                return NOTHING
            case _:
                raise DataError(f"order {order_id}: unknown status {status!r}", order_id=order_id)

    @staticmethod
    def _canceled(known: Known, reason: str, ts: int) -> AnyEvent:
        """Return the order's end. A status gives its own word as reason, so that it reads the same after a restart."""
        known.ended = known.ended or OrderCanceled(ts_event=ts, ts_init=ts, order_id=known.order.id, reason=reason)
        return known.ended

    def _error(self, fields: Fields, ts: int) -> Events:
        known = self._by_id.get((fields["clientId"], fields["orderId"]))
        if known is None:
            return NOTHING
        if known.changing is not None and known.ended is None and classify(fields["code"]) in _CHANGE_REFUSED:
            known.changing = None
            reason = f"{fields['code']}: {fields['text']}"
            return (OrderReplaceRejected(ts_event=ts, ts_init=ts, order_id=known.order.id, reason=reason),)
        return self._order_error(known, fields, ts)

    def _order_error(self, known: Known, fields: Fields, ts: int) -> Events:
        code, text, order_id = fields["code"], fields["text"], known.order.id
        match classify(code):
            case ErrorClass.WARNING | ErrorClass.UNCHANGED:
                return NOTHING
            case ErrorClass.CANCEL_OUTCOME:
                _log.warning("order %s was not canceled, what became of it must be asked: %s %s", order_id, code, text)
                return NOTHING
            case ErrorClass.CANCELED:
                return (self._canceled(known, text, ts),)
            case _ if known.ended is not None:
                return (known.ended,)
            case ErrorClass.HELD:
                return (OrderSuspended(ts_event=ts, ts_init=ts, order_id=order_id, reason=f"{code}: {text}",
                                       locating=code == _LOCATE),)  # fmt: skip
            case ErrorClass.REJECTED if not known.seen:
                known.ended = OrderRejected(ts_event=ts, ts_init=ts, order_id=order_id, code=code, reason=text)
                return (known.ended,)
            case _:
                return (OrderUnresolved(ts_event=ts, ts_init=ts, order_id=order_id, reason=f"{code}: {text}"),)

    def _execution(self, fields: Fields, ts: int) -> Events:
        known = self._owner(fields)
        if known is None:
            found = self._foreign.fill(fields, ts)
            return NOTHING if found is None else self._executed(found, fields)
        known.seen = True
        order, side = known.order, SIDES[fields["side"]]
        instrument = self._instruments[order.instrument]
        if (fields["symbol"], side) != (instrument.symbol, order.side):
            text = f"execution {fields['execId']} is {side} {fields['symbol']}, not what order {order.id} asks for"
            raise DataError(text, order_id=order.id)
        stem, revision = execution_id(fields)
        at = nanos(fields["time"])
        fill = Fill(
            exec_id=stem, revision=revision, order_id=order.id, strategy=order.strategy, instrument=instrument.id,
            side=side, quantity=whole(fields["shares"]), price=instrument.price(fields["price"]), ts_event=at,
        )  # fmt: skip
        known.executed[stem] = max(known.executed.get(stem, (0, 0)), (revision, fill.quantity))
        return self._executed(OrderFilled(ts_event=at, ts_init=ts, fill=fill), fields)

    def _executed(self, event: AnyEvent, fields: Fields) -> Events:
        """Return an execution, and what it cost if that came before it."""
        self._executions.add(execution_id(fields)[0])
        early = self._early.get(fields["execId"])
        return (event,) if early is None else (event, early)

    def _commission(self, fields: Fields, ts: int) -> Events:
        """Read what an execution of ours cost; one that comes before its execution waits for it."""
        if fields["commission"] is None:
            return NOTHING
        stem, revision = execution_id(fields)
        amount, currency = money(Decimal(repr(fields["commission"]))), Currency(fields["currency"])
        commission = Commission(exec_id=stem, revision=revision, amount=amount, currency=currency)
        event = CommissionReported(ts_event=ts, ts_init=ts, commission=commission)
        if stem in self._executions:
            return (event,)
        self._early[fields["execId"]] = event
        return NOTHING

    @staticmethod
    def _lost(fields: Fields, ts: int) -> Events:
        reason = f"a message of the broker was lost in decoding: {fields['cause'] or fields['text']}"
        return (TradingHalted(ts_event=ts, ts_init=ts, reason=reason),)


def _changed(known: Known, now: Order, ts: int) -> Events:
    """Return the terms on which the broker works an order, where they are news."""
    if now == known.order:
        return NOTHING
    known.order, known.changing = now, None if known.changing == now else known.changing
    return (
        OrderReplaced(ts_event=ts, ts_init=ts, order_id=now.id, quantity=now.quantity, limit_price=now.limit_price,
                      stop_price=now.stop_price),
    )  # fmt: skip


def _preview(fields: Fields, ts: int) -> Events:
    """Read the answer to a what-if, or why there is none; where margins are left out, that is why."""
    initial, maintenance, equity, *costs = (stated(name, fields.get(name)) for name in MARGINS)
    silence = "" if initial is not None and equity is not None else "the broker told no margins"
    error = fields.get("error") or fields.get("warningText") or silence
    return (
        MarginPreviewed(ts_event=ts, ts_init=ts, order_id=OrderId(fields["orderRef"]), initial_after=initial,
                        maintenance_after=maintenance, equity_after=equity, error=error,
                        commission=next((cost for cost in costs if cost is not None), None)),
    )  # fmt: skip
