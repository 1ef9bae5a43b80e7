"""Which record feeds which projection: pure functions from a record to rows.

A row is the record's own fields under their own names, and what the table adds; a statement takes the
fields it has columns for. Orders and positions are shown with the core's own values, so that nothing but the
core ever decides an order's state.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, structs

from robotrader.model import (
    AccountReported,
    AnyCommand,
    AnyEvent,
    Bar,
    BarsClosed,
    BookAdjusted,
    CommissionReported,
    Crossed,
    Decision,
    Deny,
    ExternalFill,
    Hold,
    OrderFilled,
    PortfolioMarked,
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


def rows_of_event(event: AnyEvent, seq: int) -> Rows:
    """Yield the projection rows of one event."""
    match event:
        case BarsClosed():
            yield from (("bars", bar_row(bar, event, seq=seq, version=1)) for bar in event.bars)
        case OrderFilled() | ExternalFill():
            yield "fills", row_of(event.fill, seq=seq, ts_init=event.ts_init)
        case CommissionReported():
            yield "commissions", row_of(event.commission, seq=seq, ts=event.ts_init)
        case PositionReported():
            none = dict.fromkeys(("cash", "net_liquidation", "currency"))
            yield "broker_reports", row_of(event, seq=seq, ts=event.ts_init, **none)
        case AccountReported():
            none = {"account": event.account.id, "instrument": None, "quantity": None}
            yield "broker_reports", row_of(event.account, seq=seq, ts=event.ts_init, **none)
        case RunStarted():
            yield "run_started", {"run": event.run_id, "ts": event.ts_init}
        case RunEnded():
            yield "run_ended", {"run": event.run_id, "ts": event.ts_init}
        case _:
            pass


def rows_of_command(command: AnyCommand, seq: int) -> Rows:
    """Yield the projection rows of one command."""
    match command:
        case Submit(order=order, verdict=verdict):
            yield from _decision(command.decision, seq, outcome="submit", order_id=order.id, checks=verdict.checks,
                                 limits=verdict.limits, reserved=command.reserved)  # fmt: skip
        case Deny(order=order, verdict=verdict):
            yield from _decision(command.decision, seq, outcome="deny", reason=", ".join(verdict.reasons),
                                 order_id=order.id, checks=verdict.checks, limits=verdict.limits)  # fmt: skip
            yield "denials", row_of(order, seq=seq, order_id=order.id, limits=verdict.limits,
                                    reasons=_json(verdict.reasons), checks=_json(verdict.checks))  # fmt: skip
        case Hold():
            yield from _decision(command.decision, seq, outcome="hold", reason=command.reason)
        case PortfolioMarked():
            yield "account", row_of(command, seq=seq, ts=command.ts_event)
            yield from (("books", row_of(book, seq=seq, ts=command.ts_event)) for book in command.books)
        case BookAdjusted(fills=fills) | Crossed(fills=fills):
            yield from (("fills", row_of(fill, seq=seq, ts_init=command.ts_event)) for fill in fills)
        case SetTradingState():
            yield "trading_states", row_of(command, seq=seq, ts=command.ts_event)
        case _:
            pass


def row_of(record: Struct, **added: object) -> Row:
    """Return a record's fields, decimals as text, and what the table adds."""
    return {**{name: _plain(value) for name, value in structs.asdict(record).items()}, **added}


def bar_row(bar: Bar, event: BarsClosed, *, seq: int, version: int) -> Row:
    """Return a bar's row; `version` counts restatements from 1."""
    return {**structs.asdict(bar), "seq": seq, "ts_init": event.ts_init, "warmup": event.warmup, "version": version}


def order_row(working: WorkingOrder, average_price: Decimal | None, *, seq: int, ts: int) -> Row:
    """Return an order's row; `average_price` is the mean of its fills."""
    order, shown = row_of(working.order), order_state_row(working, seq=seq, ts=ts)
    return {**order, **shown, "average_price": _plain(average_price), "perm_ids": _json(working.perm_ids)}


def order_state_row(working: WorkingOrder, *, seq: int, ts: int) -> Row:
    """Return one step in the life of an order."""
    return row_of(working, seq=seq, ts=ts, order_id=working.order.id)


def journal_row(row: Mapping[Any, Any]) -> JournalRow:
    """Return a row of the chain as the engine sees it."""
    names = ("seq", "kind", "type", "payload", "cause")
    return JournalRow(ts=row["ts_init"], **{name: row[name] for name in names})


def average_price(executions: Iterable[tuple[int, str]]) -> Decimal | None:
    """Return the mean price of executions, each a quantity and a price as text; None without any."""
    parts = [(quantity, Decimal(price)) for quantity, price in executions]
    total = sum(quantity for quantity, _ in parts)
    return money(sum((quantity * price for quantity, price in parts), Decimal(0)) / total) if total else None


def _plain(value: object) -> object:
    """Return a decimal as text without an exponent, anything else as it is."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()


def _decision(decision: Decision | None, seq: int, *, outcome: str, reason: str = "", order_id: str | None = None,
              **detail: object) -> Rows:  # fmt: skip
    if decision is None:  # a protective order follows from its position
        return
    signal = row_of(decision.signal, seq=seq)
    yield "signals", signal
    yield "decisions", {
        **signal, "outcome": outcome, "reason": reason, "order_id": order_id, "target": decision.target.quantity,
        "position": decision.position, "working": decision.working,
        "detail": _json({"decision": decision, **detail}),
    }  # fmt: skip
