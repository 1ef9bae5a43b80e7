"""The invariants that can be judged after every batch, of the orders that it touched; pure, and cheap.

The others need the whole journal: `adapters.sql.invariants` judges all of them from outside.
"""

from collections.abc import Callable, Mapping

from robotrader.engine.trader import Trader
from robotrader.execution.lifecycle import OPEN, TERMINAL
from robotrader.model import OrderId, OrderState, TradingState, WorkingOrder

Check = Callable[[Trader, WorkingOrder, OrderState | None], str | None]


def violations(trader: Trader, touched: Mapping[OrderId, OrderState | None]) -> tuple[str, ...]:
    """Return what no longer holds after a batch, a sentence each, with the invariant's number.

    Parameters
    ----------
    touched : mapping
        The orders that the batch touched, each with its state before the batch, None for a new one.

    Cost: a few dictionary look-ups an order and a strategy, whatever the journal's length.
    """
    found: list[str] = []
    for order_id, before in touched.items():
        working = trader.orders.get(order_id)
        if working is not None:
            wrong = [(name, check(trader, working, before)) for name, check in _CHECKS]
            found += [f"{name}: order {order_id} {text}" for name, text in wrong if text]
    return tuple(found)


def _one_live(_: Trader, working: WorkingOrder, __: OrderState | None) -> str | None:
    return f"is several at the broker: permIds {working.perm_ids}" if len(working.perm_ids) > 1 else None


def _quantity(trader: Trader, working: WorkingOrder, _: OrderState | None) -> str | None:
    booked = trader.ledger.filled.get(working.order.id, 0)
    if working.filled != booked:
        return f"has filled {working.filled}, its executions are {booked}"
    return None if 0 <= booked <= working.order.quantity else f"has filled {booked} of {working.order.quantity}"


def _state(_: Trader, working: WorkingOrder, before: OrderState | None) -> str | None:
    state, filled = working.state, working.filled
    if before in TERMINAL and state is not before:
        return f"had ended {before}, and is {state}"
    impossible = (
        (state in OPEN and working.leaves <= 0)
        or (state is OrderState.PARTIALLY_FILLED and not filled)
        or (state in {OrderState.AUTHORIZED, OrderState.SENDING, OrderState.ACCEPTED} and filled)
    )
    return f"is {state} with {filled} filled" if impossible else None


def _sent(trader: Trader, working: WorkingOrder, before: OrderState | None) -> str | None:
    """I8 judges what went from AUTHORIZED to SENDING: the states may have changed since it was decided."""
    if working.state is not OrderState.SENDING or before is not OrderState.AUTHORIZED:
        return None
    order = working.order
    state, reason = trader.states.effective(order.strategy, order.instrument)
    held = trader.ledger.quantity(order.instrument)
    worst = order.side.sign * held + trader.orders.open_quantity(order.instrument, order.side)
    wrong = state.severity >= TradingState.HALTED.severity or (state is TradingState.REDUCING and worst > 0)
    return f"is sent while trading is {state}: {reason}" if wrong else None


def _owner(trader: Trader, working: WorkingOrder, _: OrderState | None) -> str | None:
    strategy, iid, ledger = working.order.strategy, working.order.instrument, trader.ledger
    if all(book.strategy != strategy for book in ledger.books):
        return f"is of {strategy}, which has no book"
    books, account = ledger.quantity(iid), ledger.account.get(iid, 0)
    return None if books == account else f"left {books} units of {iid} in the books, and {account} in the account"


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("I4", _one_live), ("I6", _quantity), ("I7", _state), ("I8", _sent), ("I14", _owner),
)  # fmt: skip
