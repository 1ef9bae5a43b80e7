"""The page as text: panels of cells that a template writes at first and the browser updates later.

Templates and browser only place these texts: every number is formatted here, once.
"""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from robotrader.model import TradingState
from robotrader.web import queries, views
from robotrader.web.formatting import NOT_AVAILABLE, duration, moment, money, number, percent, price, tone
from robotrader.web.snapshot import PageRows

PanelState = Literal["live", "empty", "stale"]

MEANING = {
    TradingState.ACTIVE: "Orders may be sent.",
    TradingState.REDUCING: "Only orders that bring a position closer to zero are sent.",
    TradingState.HALTED: "No new order is sent.",
    TradingState.LOCKED: "No new order is sent until the trader is unlocked.",
}
ORDER_STATES = {
    "NEW": ("decided", ""),
    "AUTHORIZED": ("allowed, not sent", ""),
    "SENDING": ("being sent", ""),
    "ACCEPTED": ("working", ""),
    "PARTIALLY_FILLED": ("partly filled", ""),
    "FILLED": ("filled", ""),
    "DENIED": ("refused by our gate", "warn"),
    "VOIDED": ("never sent", "muted"),
    "CANCELED": ("canceled", "muted"),
    "REJECTED": ("rejected by the broker", "bad"),
    "EXPIRED": ("expired", "muted"),
    "PENDING_CANCEL": ("being canceled", ""),
    "PENDING_REPLACE": ("being changed", ""),
    "SUSPENDED": ("held by the broker", "warn"),
    queries.UNKNOWN: ("UNKNOWN: outcome not resolved", "bad"),
}


class Cell(Struct, frozen=True):
    """One text with its tone (`gain`, `loss`, `warn`, `bad`, `muted`, `none` for absent) and what hovering adds."""

    text: str
    tone: str = ""
    title: str = ""


class Column(Struct, frozen=True):
    """One column; `kind` is how it is set: `num`, `mono`, `wide` or plain."""

    label: str
    kind: str = ""


class Row(Struct, frozen=True):
    """One row; `key` names it over updates."""

    key: str
    cells: tuple[Cell, ...]


class Table(Struct, frozen=True, kw_only=True):
    """A table; an empty one says why in `note` and what to do next."""

    title: str
    caption: str
    state: PanelState
    note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


class Fact(Struct, frozen=True, kw_only=True):
    """One number with its name and what it was measured against."""

    key: str
    label: str
    value: Cell
    hint: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """The account's numbers."""

    title: str
    state: PanelState
    facts: tuple[Fact, ...]


class Chart(Struct, frozen=True, kw_only=True):
    """A curve: points of (seconds UTC, text), a summary in words, and its last points as a table."""

    title: str
    state: PanelState
    note: str
    points: tuple[tuple[int, str], ...]
    table: Table


class Frame(Struct, frozen=True, kw_only=True):
    """What frames the page: mode, trading state, clock. Texts that are empty are not shown."""

    mode: str
    account: str
    simulated: str
    broker: str
    clock: str
    run: str
    state: str
    meaning: str
    detail: str
    resume: str
    pending: str
    scopes: str
    unresolved: str
    note: str
    open_orders: str
    held: str
    day: Cell


class Page(Struct, frozen=True, kw_only=True):
    """All panels as of `seq`."""

    seq: int
    frame: Frame
    account: Facts
    equity: Chart
    data: Table
    positions: Table
    strategies: Table
    orders: Table
    fills: Table
    denials: Table


def page(rows: PageRows, status: views.Status, *, currency: str, state_dir: Path) -> Page:
    """Write out the whole page."""
    run = rows.status.run
    return Page(
        seq=status.seq,
        frame=frame(status, currency=currency, state_dir=state_dir),
        account=account(status.broker, currency),
        equity=equity(queries.equity(rows.equity), currency),
        data=data(status),
        positions=positions(queries.positions(rows.status.positions, run), currency),
        strategies=strategies(queries.strategies(run, rows.books), currency),
        orders=orders([queries.order(row) for row in rows.orders]),
        fills=fills([queries.fill(row) for row in rows.fills], currency),
        denials=denials([queries.denial(row) for row in rows.denials]),
    )


def frame(status: views.Status, *, currency: str, state_dir: Path) -> Frame:
    """Write out mode, trading state, pending requests and clock."""
    state = status.trading_state
    blocked = state is not None and state is not TradingState.ACTIVE
    return Frame(
        mode=status.mode or NOT_AVAILABLE,
        account=status.account or "",
        simulated="simulated broker" if status.simulated else "",
        broker=_broker_report(status),
        clock=moment(status.clock),
        run=_run(status),
        state=state or NOT_AVAILABLE,
        meaning=MEANING[state] if state else "No trader has run on this journal yet. Start one: robotrader demo",
        detail=_state_detail(status) if blocked else "",
        resume=resume_command(state_dir) if blocked else "",
        pending="; ".join(_pending(r, status) for r in status.requests),
        scopes="; ".join(_scope(s) for s in status.scopes),
        unresolved=_unresolved(status.unresolved_orders),
        note=status.data_note,
        open_orders=f"{status.open_orders}",
        held=f"{status.held}",
        day=_signed(status.broker.day_pnl, currency),
    )


def resume_command(state_dir: Path) -> str:
    """Return the exact command that lets orders out again: from the console, with a reason."""
    return f'robotrader resume --state {shlex.quote(str(state_dir))} --reason "WHY IT IS SAFE"'


def stop_command(action: str, state_dir: Path) -> str:
    """Return the command that halts or reduces without this page."""
    return f"robotrader {action} --state {shlex.quote(str(state_dir))}"


def _broker_report(status: views.Status) -> str:
    reported = status.broker.broker_reported
    if reported is None or status.clock is None:
        return "no broker report yet"
    return f"broker reported {duration((status.clock - reported).total_seconds())} ago"


def _run(status: views.Status) -> str:
    if status.started is None:
        return "no trader has run"
    if status.ended is not None:
        return f"trader ended {moment(status.ended)}: {status.end_reason or 'no reason given'}"
    return f"trader started {moment(status.started)}"


def _state_detail(status: views.Status) -> str:
    since = f"Since {moment(status.since)}" if status.since else ""
    by = f" by {status.actor}" if status.actor else ""
    return f"{since}{by}: {status.reason or 'no reason given'}"


def _pending(request: views.Request, status: views.Status) -> str:
    waits = "no trader is running, it takes effect at the next start" if status.ended else "the trader has not taken it"
    return f"{request.action.upper()} requested by {request.actor} ({request.reason}): {waits}"


def _scope(scope: views.ScopeState) -> str:
    name = " ".join(part for part in (scope.strategy, scope.instrument) if part)
    return f"{name} is {scope.state}: {scope.reason or 'no reason given'}"


def _unresolved(count: int) -> str:
    if not count:
        return ""
    orders = "1 order" if count == 1 else f"{count} orders"
    return f"{orders} of UNKNOWN outcome: the instrument is blocked until the broker's answer is known"


def account(view: views.Account, currency: str) -> Facts:
    """Write out the account's numbers."""

    def amount(key: str, label: str, value: Cell, hint: str = "") -> Fact:
        return Fact(key=key, label=label, value=value, hint=hint)

    since = f"since {moment(view.day_from)}" if view.day_from else "no mark of an earlier day yet"
    return Facts(
        title="Account",
        state="live" if view.as_of else "empty",
        facts=(
            amount("equity", "Equity", _amount(view.equity, currency), _broker_says(view.broker_equity, currency)),
            amount("day", "Day change", _signed(view.day_pnl, currency), _day_hint(view, since)),
            amount("unrealized", "Unrealized P&L", _signed(view.unrealized_pnl, currency)),
            amount("realized", "Realized P&L", _signed(view.realized_pnl, currency), "before commission"),
            amount("commission", "Commission", _amount(view.commission, currency)),
            amount("cash", "Cash", _amount(view.cash, currency), _broker_says(view.broker_cash, currency)),
            amount("gross", "Gross exposure", _amount(view.gross, currency), _exposure_hint(view, currency)),
        ),
    )


def _broker_says(value: object, currency: str) -> str:
    return f"broker: {money(value, currency)}" if value is not None else "broker: not available"
