"""Which record feeds which projection: pure functions from a record to rows.

A row is the record's own fields under their own names, and what the table adds; a statement takes the
fields it has columns for. Orders and positions are shown with the core's own values (`order_row`,
`position_row`), so that nothing but the core ever decides an order's state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, structs

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


def rows_of(record: AnyEvent | AnyCommand, seq: int) -> Rows:
    """Yield the projection rows of one journal row."""
    project = _PROJECTIONS.get(type(record))
    return iter(()) if project is None else project(record, seq)


def bar_row(bar: Bar, event: BarsClosed, *, seq: int, version: int) -> Row:
    """Return a bar's row; `version` counts restatements from 1."""
    return _row(bar, seq=seq, ts_init=event.ts_init, warmup=event.warmup, version=version)


def order_row(working: WorkingOrder, average_price: Decimal | None, *, seq: int, ts: int) -> Row:
    """Return an order's row; `average_price` is the mean of its fills."""
    order, shown = _row(working.order), order_state_row(working, seq=seq, ts=ts)
    return {**order, **shown, "average_price": _plain(average_price), "perm_ids": _json(working.perm_ids)}


def order_state_row(working: WorkingOrder, *, seq: int, ts: int) -> Row:
    """Return one step in the life of an order."""
    return _row(working, seq=seq, ts=ts, order_id=working.order.id)


def position_row(position: Position, *, seq: int, ts: int) -> Row:
    """Return a position's row."""
    return _row(position, seq=seq, ts=ts)


def journal_row(row: Mapping[Any, Any]) -> JournalRow:
    """Return a row of the chain as the engine sees it."""
    names = ("seq", "kind", "type", "payload", "cause")
    return JournalRow(ts=row["ts_init"], **{name: row[name] for name in names})


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


def _row(record: Struct, **added: object) -> Row:
    return {**{name: _plain(value) for name, value in structs.asdict(record).items()}, **added}


def _plain(value: object) -> object:
    """Return a decimal as text without an exponent, anything else as it is."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()


def _bars(event: BarsClosed, seq: int) -> Rows:
    for bar in event.bars:
        yield "bars", bar_row(bar, event, seq=seq, version=1)


def _fill(event: OrderFilled, seq: int) -> Rows:
    yield "fills", _row(event.fill, seq=seq, ts_init=event.ts_init)


def _commission(event: CommissionReported, seq: int) -> Rows:
    yield "commissions", _row(event.commission, seq=seq, ts=event.ts_init)


def _decision(decision: Decision, seq: int, *, outcome: str, reason: str = "", order_id: str | None = None,
              **detail: object) -> Rows:  # fmt: skip
    signal = _row(decision.signal, seq=seq)
    yield "signals", signal
    yield "decisions", {
        **signal, "outcome": outcome, "reason": reason, "order_id": order_id, "target": decision.target.quantity,
        "position": decision.position, "working": decision.working,
        "detail": _json({"decision": decision, **detail}),
    }  # fmt: skip


def _submit(command: Submit, seq: int) -> Rows:
    verdict = command.verdict
    yield from _decision(command.decision, seq, outcome="submit", order_id=command.order.id,
                         checks=verdict.checks, limits=verdict.limits, reserved=command.reserved)  # fmt: skip


def _deny(command: Deny, seq: int) -> Rows:
    order, verdict = command.order, command.verdict
    yield from _decision(command.decision, seq, outcome="deny", reason=", ".join(verdict.reasons),
                         order_id=order.id, checks=verdict.checks, limits=verdict.limits)  # fmt: skip
    yield "denials", _row(order, seq=seq, order_id=order.id, limits=verdict.limits, reasons=_json(verdict.reasons),
                          checks=_json(verdict.checks))  # fmt: skip


def _hold(command: Hold, seq: int) -> Rows:
    yield from _decision(command.decision, seq, outcome="hold", reason=command.reason)


def _marked(command: PortfolioMarked, seq: int) -> Rows:
    yield "account", _row(command, seq=seq, ts=command.ts_event)
    for book in command.books:
        yield "books", _row(book, seq=seq, ts=command.ts_event)


def _trading_state(command: SetTradingState, seq: int) -> Rows:
    yield "trading_states", _row(command, seq=seq, ts=command.ts_event)


def _position_report(event: PositionReported, seq: int) -> Rows:
    yield "broker_reports", _row(event, seq=seq, ts=event.ts_init, cash=None, net_liquidation=None, currency=None)


def _account_report(event: AccountReported, seq: int) -> Rows:
    account = event.account
    yield "broker_reports", _row(account, seq=seq, ts=event.ts_init, account=account.id, instrument=None,
                                 quantity=None)  # fmt: skip


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
