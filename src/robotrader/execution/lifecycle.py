"""The order state machine, as data. No other code decides an order's state.

FIX OrdStatus: SENDING A, ACCEPTED 0, PARTIALLY_FILLED 1, FILLED 2, CANCELED 4, PENDING_CANCEL 6,
REJECTED 8, SUSPENDED 9, EXPIRED C, PENDING_REPLACE E; NEW, AUTHORIZED, DENIED, VOIDED are local.
"""

from enum import StrEnum

from msgspec import Struct, structs

from robotrader.model import (
    Event,
    Fill,
    InvariantViolation,
    OrderAccepted,
    OrderCanceled,
    OrderConfirmed,
    OrderExpired,
    OrderFilled,
    OrderPendingCancel,
    OrderRejected,
    OrderSending,
    OrderState,
    OrderSuspended,
    OrderUnresolved,
    OrderVoided,
    WorkingOrder,
)


class Trigger(StrEnum):
    """What can happen to an order: the columns of the table."""

    SEND = "send"
    ACK = "ack"
    FILL = "fill"
    CORRECT = "correct"
    CANCEL_REQUEST = "cancel_request"
    CANCEL = "cancel"
    REJECT = "reject"
    EXPIRE = "expire"
    HOLD = "hold"
    VOID = "void"


class Alarm(StrEnum):
    """What must not pass in silence; the trader halts on a zombie, an overfill and a second permId."""

    ZOMBIE = "zombie"
    OVERFILL = "overfill"
    SECOND_PERM_ID = "second permId"
    LATE_FILL = "late_fill"
    LATE_REJECT = "late_reject"
    LATE_CORRECTION = "late_correction"


_S, _T = OrderState, Trigger

OPEN = frozenset({_S.AUTHORIZED, _S.SENDING, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL,
                  _S.PENDING_REPLACE, _S.SUSPENDED})  # fmt: skip
"""States in which an order can still fill: they count at worst case."""

TERMINAL = frozenset({_S.FILLED, _S.DENIED, _S.VOIDED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})

_ENDS = {_T.CANCEL: _S.CANCELED, _T.REJECT: _S.REJECTED, _T.EXPIRE: _S.EXPIRED}

# What is filled then decides between ACCEPTED, PARTIALLY_FILLED and FILLED: see `_by_quantity`.
TABLE: dict[OrderState, dict[Trigger, OrderState]] = {
    _S.NEW: {},
    _S.AUTHORIZED: {_T.SEND: _S.SENDING, _T.VOID: _S.VOIDED},
    _S.SENDING: {**_ENDS, _T.ACK: _S.ACCEPTED, _T.FILL: _S.PARTIALLY_FILLED, _T.CANCEL_REQUEST: _S.PENDING_CANCEL,
                 _T.HOLD: _S.SUSPENDED, _T.VOID: _S.VOIDED},
    _S.ACCEPTED: {**_ENDS, _T.ACK: _S.ACCEPTED, _T.FILL: _S.PARTIALLY_FILLED, _T.CORRECT: _S.ACCEPTED,
                  _T.CANCEL_REQUEST: _S.PENDING_CANCEL, _T.HOLD: _S.SUSPENDED},
    _S.PARTIALLY_FILLED: {_T.ACK: _S.PARTIALLY_FILLED, _T.FILL: _S.PARTIALLY_FILLED, _T.CORRECT: _S.PARTIALLY_FILLED,
                          _T.CANCEL: _S.CANCELED, _T.EXPIRE: _S.EXPIRED, _T.CANCEL_REQUEST: _S.PENDING_CANCEL,
                          _T.HOLD: _S.SUSPENDED, _T.REJECT: _S.PARTIALLY_FILLED},
    _S.PENDING_CANCEL: {**_ENDS, _T.ACK: _S.PENDING_CANCEL, _T.FILL: _S.PENDING_CANCEL, _T.CORRECT: _S.PENDING_CANCEL,
                        _T.CANCEL_REQUEST: _S.PENDING_CANCEL, _T.HOLD: _S.PENDING_CANCEL},
    _S.PENDING_REPLACE: {**_ENDS, _T.ACK: _S.ACCEPTED, _T.FILL: _S.PENDING_REPLACE, _T.CORRECT: _S.PENDING_REPLACE,
                         _T.CANCEL_REQUEST: _S.PENDING_CANCEL},
    _S.SUSPENDED: {**_ENDS, _T.ACK: _S.ACCEPTED, _T.FILL: _S.PARTIALLY_FILLED, _T.CORRECT: _S.SUSPENDED,
                   _T.CANCEL_REQUEST: _S.PENDING_CANCEL, _T.HOLD: _S.SUSPENDED},
    _S.FILLED: dict.fromkeys((t for t in _T if t not in {_T.SEND, _T.VOID}), _S.FILLED),
    _S.DENIED: {},
    **{state: dict.fromkeys((t for t in _T if t is not _T.SEND), state)
       for state in (_S.VOIDED, _S.CANCELED, _S.REJECTED, _S.EXPIRED)},
}  # fmt: skip

_TRIGGERS: dict[type, Trigger] = {
    OrderSending: _T.SEND,
    OrderAccepted: _T.ACK,
    OrderConfirmed: _T.ACK,
    OrderFilled: _T.FILL,
    OrderPendingCancel: _T.CANCEL_REQUEST,
    OrderCanceled: _T.CANCEL,
    OrderRejected: _T.REJECT,
    OrderExpired: _T.EXPIRE,
    OrderSuspended: _T.HOLD,
    OrderVoided: _T.VOID,
}


class Transition(Struct, frozen=True):
    """An order after an event, and whether somebody must hear of it."""

    working: WorkingOrder
    alarm: Alarm | None = None


def transition(working: WorkingOrder, event: Event, replaced: Fill | None = None) -> Transition:
    """Apply one event to one order; `replaced` is the execution that this one corrects.

    Every event but `OrderUnresolved` and corrections also settles an unknown outcome; that of a finished order is
    known. A correction changes what is filled, and never opens an order that ended.

    Raises
    ------
    InvariantViolation
        The table has no such transition.
    """
    if isinstance(event, OrderUnresolved) and working.state in TERMINAL:
        return Transition(working)
    if isinstance(event, OrderUnresolved):
        return Transition(structs.replace(working, unresolved=True, reason=event.reason))
    trigger = _TRIGGERS[type(event)] if replaced is None else _T.CORRECT
    state = TABLE[working.state].get(trigger)
    if state is None:
        raise InvariantViolation(
            f"order {working.order.id}: {trigger} is not possible in {working.state}", order_id=working.order.id
        )
    filled = working.filled + (event.fill.quantity if isinstance(event, OrderFilled) else 0)
    filled -= replaced.quantity if replaced else 0
    after = structs.replace(
        working, state=_by_quantity(state, filled, working.order.quantity), filled=filled,
        unresolved=working.unresolved and trigger is _T.CORRECT, **_details(working, event, replaced),
    )  # fmt: skip
    return Transition(after, _alarm(working, after, trigger))


def _by_quantity(state: OrderState, filled: int, quantity: int) -> OrderState:
    """Return an open order's state with so much filled: nothing but executions says how full it is."""
    if state in OPEN and filled >= quantity:
        return _S.FILLED
    if state in {_S.ACCEPTED, _S.PARTIALLY_FILLED}:
        return _S.PARTIALLY_FILLED if filled else _S.ACCEPTED
    return state


def _details(working: WorkingOrder, event: Event, replaced: Fill | None) -> dict[str, object]:
    """Return the fields that this event adds to the order."""
    if isinstance(event, OrderFilled) and replaced is not None:
        new = event.fill
        return {"reason": f"execution {new.exec_id} was corrected (revision {new.revision}): {new.quantity} at "
                          f"{new.price}, before {replaced.quantity} at {replaced.price}"}  # fmt: skip
    if isinstance(event, OrderSending):
        return {"broker_order_id": event.broker_order_id}
    if isinstance(event, OrderAccepted) and event.perm_id and event.perm_id not in working.perm_ids:
        return {"perm_ids": (*working.perm_ids, event.perm_id)}
    if isinstance(event, OrderRejected):
        return {"reason": f"{event.code}: {event.reason}"}
    if isinstance(event, OrderCanceled | OrderSuspended | OrderVoided) and event.reason:
        return {"reason": event.reason}
    return {}


def _alarm(before: WorkingOrder, after: WorkingOrder, trigger: Trigger) -> Alarm | None:
    """Name what must not pass in silence."""
    if after.filled > after.order.quantity:
        return Alarm.OVERFILL
    if trigger is _T.REJECT and before.state is _S.PARTIALLY_FILLED:
        return Alarm.LATE_REJECT
    if before.state in TERMINAL and before.state is not _S.FILLED:
        return _LATE.get(trigger)
    if len(after.perm_ids) > max(len(before.perm_ids), 1):
        return Alarm.SECOND_PERM_ID  # there may be two orders at the broker for one intent
    return Alarm.LATE_CORRECTION if trigger is _T.CORRECT and before.state is _S.FILLED else None


_LATE = {_T.ACK: Alarm.ZOMBIE, _T.FILL: Alarm.LATE_FILL, _T.CORRECT: Alarm.LATE_CORRECTION}
