"""Which record feeds which projection: pure functions from a record to rows.

Orders and positions are not here: they are shown with the core's own values (`order_row`, `position_row`),
so that nothing but the core ever decides an order's state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from robotrader.model import (
    AccountReported,
    AnyCommand,
    AnyEvent,
    Bar,
    BarsClosed,
    CommissionReported,
    Decision,
    Deny,
    Hold,
    OrderFilled,
    OrderId,
    PortfolioMarked,
    Position,
    PositionReported,
    RunEnded,
    RunStarted,
    SetTradingState,
    Submit,
    WorkingOrder,
    money,
)
from robotrader.ports import JournalRow

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
"""Names of statements (tables, mostly; see `statements.py`) with their values."""

_ENCODER = msgspec.json.Encoder(order="sorted")

_MARK = ("cash", "equity", "realized_pnl", "unrealized_pnl", "commission")


def rows_of(record: AnyEvent | AnyCommand, seq: int) -> Rows:
    """Yield the projection rows of one journal row."""
    project = _PROJECTIONS.get(type(record))
    return iter(()) if project is None else project(record, seq)


def bar_row(bar: Bar, event: BarsClosed, *, seq: int, version: int) -> Row:
    """Return a bar's row; `version` counts restatements from 1."""
    return {
        "seq": seq, "ts_init": event.ts_init, "instrument": bar.instrument, "spec": bar.spec,
        "ts_event": bar.ts_event, "version": version, "warmup": event.warmup, "open": bar.open, "high": bar.high,
        "low": bar.low, "close": bar.close, "volume": bar.volume,
    }  # fmt: skip


def order_row(working: WorkingOrder, average_price: Decimal | None, *, seq: int, ts: int) -> Row:
    """Return an order's row; `average_price` is the mean of its fills."""
    order = working.order
    return {
        "seq": seq, "ts": ts, "order_id": order.id, "strategy": order.strategy, "instrument": order.instrument,
        "side": order.side, "quantity": order.quantity, "type": order.type,
        "limit_price": decimal_text(order.limit_price), "stop_price": decimal_text(order.stop_price),
        "tif": order.tif, "purpose": order.purpose, "ts_event": order.ts_event, "state": working.state,
        "filled": working.filled, "average_price": decimal_text(average_price), "unresolved": working.unresolved,
        "broker_order_id": working.broker_order_id, "perm_ids": _json(working.perm_ids), "reason": working.reason,
    }  # fmt: skip


def order_state_row(working: WorkingOrder, *, seq: int, ts: int) -> Row:
    """Return one step in the life of an order."""
    return {
        "seq": seq, "ts": ts, "order_id": working.order.id, "state": working.state, "filled": working.filled,
        "unresolved": working.unresolved, "reason": working.reason,
    }  # fmt: skip


def position_row(position: Position, *, seq: int, ts: int) -> Row:
    """Return a position's row."""
    return {
        "seq": seq, "ts": ts, "strategy": position.strategy, "instrument": position.instrument,
        "quantity": position.quantity, "average_price": decimal_text(position.average_price),
        "realized_pnl": decimal_text(position.realized_pnl),
    }  # fmt: skip


def journal_row(row: Mapping[Any, Any]) -> JournalRow:
    """Return a row of the chain as the engine sees it."""
    return JournalRow(seq=row["seq"], kind=row["kind"], type=row["type"], ts=row["ts_init"], payload=row["payload"],
                      cause=row["cause"])  # fmt: skip


class Execution(NamedTuple):
    """What an average price needs of a fill; `price` is decimal text."""

    exec_id: str
    revision: int
    quantity: int
    price: str


def average_price(executions: Iterable[Execution]) -> Decimal | None:
    """Return the mean price of one order's fills, None without any; a higher revision replaces a lower one."""
    latest: dict[str, Execution] = {}
    for one in sorted(executions, key=lambda e: e.revision):
        latest[one.exec_id] = one
    quantity = sum(e.quantity for e in latest.values())
    notional = sum((e.quantity * Decimal(e.price) for e in latest.values()), Decimal(0))
    return money(notional / quantity) if quantity else None


def decimal_text(value: Decimal | None) -> str | None:
    """Return a decimal as plain text, never with an exponent; None stays None."""
    return None if value is None else f"{value:f}"


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()


def _bars(event: BarsClosed, seq: int) -> Rows:
    for bar in event.bars:
        yield "bars", bar_row(bar, event, seq=seq, version=1)


def _fill(event: OrderFilled, seq: int) -> Rows:
    fill = event.fill
    yield "fills", {
        "seq": seq, "ts_event": fill.ts_event, "ts_init": event.ts_init, "exec_id": fill.exec_id,
        "revision": fill.revision, "order_id": fill.order_id, "strategy": fill.strategy,
        "instrument": fill.instrument, "side": fill.side, "quantity": fill.quantity,
        "price": decimal_text(fill.price),
    }  # fmt: skip


def _commission(event: CommissionReported, seq: int) -> Rows:
    cost = event.commission
    yield "commissions", {
        "seq": seq, "ts": event.ts_init, "exec_id": cost.exec_id, "revision": cost.revision,
        "amount": decimal_text(cost.amount), "currency": cost.currency,
    }  # fmt: skip


def _decision(seq: int, outcome: str, decision: Decision, *, reason: str = "", order_id: OrderId | None = None,
              **detail: object) -> Rows:  # fmt: skip
    signal = decision.signal
    key = {"seq": seq, "ts_event": signal.ts_event, "strategy": signal.strategy, "instrument": signal.instrument}
    yield "signals", {**key, "strength": signal.strength, "confidence": signal.confidence, "horizon": signal.horizon}
    yield "decisions", {
        **key, "outcome": outcome, "reason": reason, "order_id": order_id, "strength": signal.strength,
        "target": decision.target.quantity, "position": decision.position, "working": decision.working,
        "detail": _json({"decision": decision, **detail}),
    }  # fmt: skip


def _submit(command: Submit, seq: int) -> Rows:
    verdict = command.verdict
    yield from _decision(seq, "submit", command.decision, order_id=command.order.id, checks=verdict.checks,
                         limits=verdict.limits, reserved=command.reserved)  # fmt: skip


def _deny(command: Deny, seq: int) -> Rows:
    order, verdict = command.order, command.verdict
    yield from _decision(seq, "deny", command.decision, reason=", ".join(verdict.reasons), order_id=order.id,
                         checks=verdict.checks, limits=verdict.limits)  # fmt: skip
    yield "denials", {
        "seq": seq, "ts_event": command.ts_event, "order_id": order.id, "strategy": order.strategy,
        "instrument": order.instrument, "side": order.side, "quantity": order.quantity, "limits": verdict.limits,
        "reasons": _json(verdict.reasons), "checks": _json(verdict.checks),
    }  # fmt: skip


def _hold(command: Hold, seq: int) -> Rows:
    yield from _decision(seq, "hold", command.decision, reason=command.reason)


def _marked(command: PortfolioMarked, seq: int) -> Rows:
    key: Row = {"seq": seq, "ts": command.ts_event}
    yield "account", {
        **key, **_money(command, _MARK), "gross": decimal_text(command.gross), "net": decimal_text(command.net)
    }  # fmt: skip
    for book in command.books:
        yield "books", {**key, "strategy": book.strategy, **_money(book, _MARK)}


def _money(record: object, names: tuple[str, ...]) -> Row:
    return {name: decimal_text(getattr(record, name)) for name in names}


def _trading_state(command: SetTradingState, seq: int) -> Rows:
    yield "trading_states", {
        "seq": seq, "ts": command.ts_event, "state": command.state, "reason": command.reason,
        "actor": command.actor, "strategy": command.strategy, "instrument": command.instrument,
    }  # fmt: skip


_NO_REPORT: Row = dict.fromkeys(("instrument", "quantity", "cash", "net_liquidation", "currency"))


def _position_report(event: PositionReported, seq: int) -> Rows:
    yield "broker_reports", {
        **_NO_REPORT, "seq": seq, "ts": event.ts_init, "account": event.account, "instrument": event.instrument,
        "quantity": event.quantity,
    }  # fmt: skip


def _account_report(event: AccountReported, seq: int) -> Rows:
    account = event.account
    yield "broker_reports", {
        **_NO_REPORT, "seq": seq, "ts": event.ts_init, "account": account.id, "currency": account.currency,
        **_money(account, ("cash", "net_liquidation")),
    }  # fmt: skip


def _run_started(event: RunStarted, _: int) -> Rows:
    yield "run_started", {"run": event.run_id, "ts": event.ts_init}


def _run_ended(event: RunEnded, _: int) -> Rows:
    yield "run_ended", {"run": event.run_id, "ts": event.ts_init}


_PROJECTIONS: Mapping[type, Callable[[Any, int], Rows]] = {
    BarsClosed: _bars,
    OrderFilled: _fill,
    CommissionReported: _commission,
    PositionReported: _position_report,
    AccountReported: _account_report,
    RunStarted: _run_started,
    RunEnded: _run_ended,
    Submit: _submit,
    Deny: _deny,
    Hold: _hold,
    SetTradingState: _trading_state,
    PortfolioMarked: _marked,
}
