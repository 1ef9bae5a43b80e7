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
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplacing,
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
    REPLACE_REQUEST = "replace_request"
    REPLACE = "replace"
    REPLACE_REJECT = "replace_reject"
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
_NEVER_AFTER = frozenset({_T.SEND, _T.REPLACE_REQUEST})
"""What is never done to an order that ended."""


def _open(state: OrderState, **other: OrderState) -> dict[Trigger, OrderState]:
    """Return what can happen to an order at the broker: it stays as it is, ends, or as `other` says.

    Terms may change at any time: a fill of its parent or of its OCA group sizes an order anew.
    """
    stays = dict.fromkeys((_T.ACK, _T.CORRECT, _T.HOLD, _T.REPLACE, _T.REPLACE_REJECT), state)
    return {**_ENDS, **stays, _T.FILL: _S.PARTIALLY_FILLED, _T.CANCEL_REQUEST: _S.PENDING_CANCEL,
            **{_T(name): to for name, to in other.items()}}  # fmt: skip


def _without(table: dict[Trigger, OrderState], *triggers: Trigger) -> dict[Trigger, OrderState]:
    return {trigger: to for trigger, to in table.items() if trigger not in triggers}


# What is filled then decides between ACCEPTED, PARTIALLY_FILLED and FILLED: see `_by_quantity`.
TABLE: dict[OrderState, dict[Trigger, OrderState]] = {
    _S.NEW: {},
    _S.AUTHORIZED: {_T.SEND: _S.SENDING, _T.VOID: _S.VOIDED},
    _S.SENDING: _without(_open(_S.SENDING, ack=_S.ACCEPTED, hold=_S.SUSPENDED, void=_S.VOIDED), _T.CORRECT),
    _S.ACCEPTED: _open(_S.ACCEPTED, hold=_S.SUSPENDED, replace_request=_S.PENDING_REPLACE),
    _S.PARTIALLY_FILLED: _open(_S.PARTIALLY_FILLED, hold=_S.SUSPENDED, reject=_S.PARTIALLY_FILLED,
                               replace_request=_S.PENDING_REPLACE),
    _S.PENDING_CANCEL: _open(_S.PENDING_CANCEL, fill=_S.PENDING_CANCEL),
    # an acknowledgement says nothing of the terms
    _S.PENDING_REPLACE: _open(_S.PENDING_REPLACE, fill=_S.PENDING_REPLACE, replace=_S.ACCEPTED,
                              replace_reject=_S.ACCEPTED),
    _S.SUSPENDED: _open(_S.SUSPENDED, ack=_S.ACCEPTED),
    _S.FILLED: dict.fromkeys((t for t in _T if t not in _NEVER_AFTER | {_T.VOID}), _S.FILLED),
    _S.DENIED: {},
    **{state: dict.fromkeys((t for t in _T if t not in _NEVER_AFTER), state)
       for state in (_S.VOIDED, _S.CANCELED, _S.REJECTED, _S.EXPIRED)},
}  # fmt: skip

REPLACEABLE = frozenset(state for state, row in TABLE.items() if _T.REPLACE_REQUEST in row)
"""States in which new terms can be asked for."""

_TRIGGERS: dict[type, Trigger] = {
    OrderSending: _T.SEND,
    OrderAccepted: _T.ACK,
    OrderConfirmed: _T.ACK,
    OrderFilled: _T.FILL,
    OrderReplacing: _T.REPLACE_REQUEST,
    OrderReplaced: _T.REPLACE,
    OrderReplaceRejected: _T.REPLACE_REJECT,
    OrderPendingCancel: _T.CANCEL_REQUEST,
    OrderCanceled: _T.CANCEL,
    OrderRejected: _T.REJECT,
    OrderExpired: _T.EXPIRE,
    OrderSuspended: _T.HOLD,
    OrderVoided: _T.VOID,
}


_NO_NEWS = frozenset({_T.CORRECT, _T.CANCEL_REQUEST})
"""What tells nothing of an order whose outcome is unknown."""


class Transition(Struct, frozen=True):
    """An order after an event, and whether somebody must hear of it."""

    working: WorkingOrder
    alarm: Alarm | None = None


def transition(working: WorkingOrder, event: Event, replaced: Fill | None = None) -> Transition:
    """Apply one event to one order; `replaced` is the execution that this one corrects.

    Every event but `OrderUnresolved`, corrections and our own cancels also settles an unknown outcome; that of a
    finished order is known. A correction changes what is filled, and never opens an order that ended.

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
    details = _details(working, event, replaced)
    if isinstance(event, OrderReplaced) and details.get("replacing") is not None:
        state = working.state  # other terms than those asked for: the answer is still to come
    if working.replacing is not None and working.order.quantity < filled <= working.replacing.quantity:
        state, details = _S.ACCEPTED, {**details, "order": working.replacing, "replacing": None}  # so much was changed
    after = structs.replace(working, filled=filled, unresolved=working.unresolved and trigger in _NO_NEWS, **details)
    after = structs.replace(after, state=_by_quantity(state, filled, after.order.quantity))
    if after.state in TERMINAL:
        after = structs.replace(after, replacing=None)
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
    if isinstance(event, OrderReplaced):
        return _terms(working, event)
    if isinstance(event, OrderReplaceRejected):
        return {"replacing": None, "reason": event.reason}
    if isinstance(event, OrderRejected):
        return {"reason": f"{event.code}: {event.reason}"}
    if isinstance(event, OrderCanceled | OrderSuspended | OrderVoided) and event.reason:
        return {"reason": event.reason}
    return {}


def _terms(working: WorkingOrder, event: OrderReplaced) -> dict[str, object]:
    """Return the broker's terms; they are the answer to a change that asked for the same."""
    new = structs.replace(
        working.order, quantity=event.quantity, limit_price=event.limit_price, stop_price=event.stop_price
    )
    return {"order": new, "replacing": None if working.replacing == new else working.replacing}


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
