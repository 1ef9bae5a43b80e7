"""What the journal says: `status`, `positions`, `orders`, `fills`, `why`. Reads only, whether or not a trader runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotrader.cli.command import FAILED, Answer, Call, command, facts, iso, table
from robotrader.model import Action, DataError, InstrumentId, OrderId, OrderState, TradingState

if TYPE_CHECKING:
    from robotrader.model import Bar
    from robotrader.ports import (
        ConflictRow,
        DecisionRow,
        FillRow,
        JournalReader,
        OrderDetail,
        OrderRow,
        PositionRow,
        RequestRow,
        RunRow,
        TradingStateRow,
    )
    from robotrader.web.snapshot import StatusRows

UNKNOWN = "UNKNOWN"
FLAG = "HALT"

_PAGE = 500
_BARS_SHOWN = 3
_ASKED = {
    Action.HALT: TradingState.HALTED,
    Action.REDUCE: TradingState.REDUCING,
    Action.RESUME: TradingState.ACTIVE,
}
Entry = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, function in (
        ("status", status), ("positions", positions), ("orders", orders), ("fills", fills), ("why", why),
    ):  # fmt: skip
        command(app, name)(function)


@contextmanager
def opened(state: Path) -> "Iterator[JournalReader]":
    """Give a reader of the journal; one that does not exist reads as empty.

    Raises
    ------
    DataError
        The file is there but cannot be read.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from robotrader import bootstrap

    try:
        yield bootstrap.reader(state)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise DataError(f"the journal in {state} cannot be read: {cause}; see `robotrader doctor`") from error


def flag_reason(state: Path) -> str | None:
    """Return why the flag file halts trading, None when it is not raised; one that cannot be read halts too."""
    try:
        return (state / FLAG).read_text(encoding="utf-8").strip() or "no reason given"
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"the flag file cannot be read: {error}"


def effective_state(
    states: "Sequence[TradingStateRow]", requests: "Sequence[RequestRow]", *, flag: str | None, running: bool
) -> TradingState:
    """Return the global trading state: what the trader has, what it was asked for, and the flag file.

    A running trader obeys a request when it takes it, so until then the worse of both holds. With none running,
    the requests stand as they will be taken at the next start. `requests` are newest first.
    """
    now = next((s.state for s in states if s.strategy is None and s.instrument is None), TradingState.ACTIVE)
    asked = next((_ASKED[r.action] for r in requests if is_open(r)), now)
    candidates = [asked, *([now] if running else []), *([TradingState.HALTED] if flag is not None else [])]
    return max(candidates, key=lambda state: state.severity)


def is_open(request: "RequestRow") -> bool:
    """Tell whether a request for the whole trader still waits to be taken."""
    return request.taken is None and request.strategy is None and request.instrument is None


def status(call: Call) -> Answer:
    """Show how things stand: trading state, session, strategies, equity, and what needs attention."""
    from robotrader import bootstrap
    from robotrader.web.formatting import utc
    from robotrader.web.snapshot import MARKET_ZONE, SnapshotReader

    with opened(call.state) as reader:
        rows, books = SnapshotReader(reader).status(), {book.strategy: book for book in reader.books()}
        conflicts = reader.conflicts(limit=_PAGE)
    flag, pid = flag_reason(call.state), bootstrap.trader_pid(call.state)
    running = pid is not None and rows.run is not None and rows.run.ended is None
    mark, started = rows.account.mark, rows.run.started if rows.run else None
    as_of = mark.ts if mark else max(rows.bar_times.values(), default=started.ts_init if started else None)
    strategies = [
        {
            "id": config.id, "source": config.source, "stage": config.stage, "capital": config.capital,
            "equity": book.equity if book else None, "cash": book.cash if book else None,
            "pnl": book.equity - config.capital if book else None,
        }
        for config in (started.strategies if started else ())
        for book in (books.get(config.id),)
    ]  # fmt: skip
    payload: Entry = {
        "trading_state": effective_state(rows.states, rows.requests, flag=flag, running=running),
        "mode": started.mode if started else None,
        "broker": "running" if running else "stopped",
        "session": utc(as_of).astimezone(MARKET_ZONE).date().isoformat() if as_of else None,
        "equity": mark.equity if mark else None,
        "day_pnl": mark.equity - rows.previous.equity if mark and rows.previous else None,
        "cash": mark.cash if mark else None,
        "open_orders": len(rows.open_orders),
        "run_id": started.run_id if started else None,
        "trader_pid": pid,
        "as_of": iso(as_of),
        "strategies": strategies,
        "alerts": _alerts(rows, conflicts, flag=flag, alive=pid is not None),
    }
    return Answer(payload, _status_text(payload, call.state))


def _status_text(payload: Mapping[str, Any], state: Path) -> str:
    never = payload["run_id"] is None
    shown: dict[str, object] = {"trading state": payload["trading_state"]}
    if never:
        shown |= {"trader": "never ran here", "state folder": state}
    else:
        shown |= {"trader": f"{payload['broker']}" + (f" (pid {payload['trader_pid']})" if payload["trader_pid"] else "")}
        shown |= {name.replace("_", " "): _short(payload[name]) for name in
                  ("mode", "session", "equity", "day_pnl", "cash", "open_orders", "as_of")}  # fmt: skip
    parts = [facts(shown)]
    if payload["strategies"]:
        names = ("id", "source", "stage", "capital", "equity", "pnl")
        parts.append(table(("strategy", *names[1:]), [[_short(s[n]) for n in names] for s in payload["strategies"]],
                           empty=""))  # fmt: skip
    parts.append("\n".join(f"! {alert['text']}" for alert in payload["alerts"]) or "nothing needs attention")
    return "\n\n".join(parts)


def _alerts(
    rows: "StatusRows", conflicts: "Sequence[ConflictRow]", *, flag: str | None, alive: bool
) -> list[dict[str, str]]:
    """Name what a person should look at, worst first."""
    found: list[tuple[str, str]] = []
    if flag is not None:
        found.append(("flag", f"the HALT flag is raised: {flag} (`robotrader resume --reason ...` lowers it)"))
    for s in rows.states:
        if s.state is not TradingState.ACTIVE:
            scope = " ".join(str(part) for part in (s.strategy, s.instrument) if part) or "trading"
            code = "break" if s.reason.startswith("position break") else s.state.lower()
            found.append((code, f"{scope} is {s.state} since {iso(s.ts)}, by {s.actor}: {s.reason}"))
    for o in rows.open_orders:
        if o.working.unresolved:
            order = o.working.order
            found.append(("unknown_order", f"the outcome of order {order.id} is unknown ({order.side} {order.quantity} "
                          f"{order.instrument}): {o.working.reason}"))  # fmt: skip
    if not alive and rows.run is not None and rows.run.ended is None:
        found.append(("trader_gone", "the trader ended without saying so: start it again, it recovers by itself"))
    for r in reversed(rows.requests):
        if r.taken is None:
            found.append(("request_waits", f"{r.action} asked by {r.actor} at {iso(r.ts)} waits for a trader to take it"))
    kinds = sorted({c.type for c in conflicts})
    found += [("conflict", f"{sum(c.type == kind for c in conflicts)} {kind} came again with other content")
              for kind in kinds]  # fmt: skip
    return [{"code": code, "text": text} for code, text in found]


def positions(
    call: Call, everything: Annotated[bool, typer.Option("--all", help="Also what is flat by now.")] = False
) -> Answer:
    """Show what each strategy holds, at the last prices."""
    with opened(call.state) as reader:
        run = reader.run()
        rows = [row for row in reader.positions() if row.strategy is not None and (everything or row.quantity)]
    found = [_position(row, run) for row in rows]
    columns = ("strategy", "instrument", "quantity", "average_price", "last_price", "market_value", "unrealized",
               "realized")  # fmt: skip
    return Answer({"positions": found}, _listing(columns, found, empty="no open positions"))


def _position(row: "PositionRow", run: "RunRow | None") -> Entry:
    """Value a holding as the dashboard does."""
    from robotrader.web import queries

    (seen,) = queries.positions([row], run)
    return {
        "strategy": seen.strategy, "instrument": seen.instrument, "quantity": seen.quantity,
        "average_price": seen.average_price, "last_price": seen.last_price, "market_value": seen.market_value,
        "unrealized": seen.unrealized_pnl, "realized": seen.realized_pnl, "as_of": iso(row.ts),
    }  # fmt: skip


def orders(
    call: Call,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 50,
    state: Annotated[str | None, typer.Option("--state", help="In this state only; UNKNOWN, or open.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Of this strategy only.")] = None,
) -> Answer:
    """Show orders, newest first."""
    with opened(call.state) as reader:
        rows = _find_orders(reader, state, strategy, limit=limit)
    found = [_order(row) for row in rows]
    columns = ("decided", "id", "strategy", "instrument", "side", "quantity", "type", "price", "state", "filled",
               "average_price", "reason")  # fmt: skip
    return Answer({"orders": found}, _listing(columns, found, empty="no such orders" if state or strategy else "no orders"))


def _find_orders(
    reader: "JournalReader", state: str | None, strategy: str | None, *, limit: int
) -> "list[OrderRow]":
    """Page through the orders until enough of them fit."""
    from robotrader.web.snapshot import OPEN_STATES

    wanted = (state or "").upper()
    if wanted not in {"", "OPEN", UNKNOWN, *OrderState}:
        raise typer.BadParameter(f"expected one of {', '.join([*OrderState, UNKNOWN, 'OPEN'])}", param_hint="--state")
    states = OPEN_STATES if wanted in {"OPEN", UNKNOWN} else [OrderState(wanted)] if wanted else ()
    found: list[OrderRow] = []
    after: int | None = None
    while len(found) < limit:
        page = reader.orders(states=states, limit=_PAGE, after=after)
        found += [row for row in page if strategy in {None, row.working.order.strategy}
                  and wanted in {"", "OPEN", _state(row)}]  # fmt: skip
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return found[:limit]


def _state(row: "OrderRow") -> str:
    return UNKNOWN if row.working.unresolved else row.working.state


def _order(row: "OrderRow") -> Entry:
    working, order = row.working, row.working.order
    price = order.stop_price if order.limit_price is None else order.limit_price
    return {
        "id": order.id, "instrument": order.instrument, "strategy": order.strategy, "side": order.side,
        "quantity": order.quantity, "type": order.type, "price": price, "time_in_force": order.tif,
        "state": _state(row), "last_state": working.state, "filled": working.filled,
        "average_price": row.average_price, "decided": iso(order.ts_event), "updated": iso(row.ts),
        "broker_order_id": working.broker_order_id, "reason": working.reason,
    }  # fmt: skip


def fills(call: Call, limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50) -> Answer:
    """Show executions, newest first."""
    with opened(call.state) as reader:
        rows = reader.fills(limit=limit)
    found = [_fill(row) for row in rows]
    columns = ("time", "id", "order_id", "strategy", "instrument", "side", "quantity", "price", "commission")
    return Answer({"fills": found}, _listing(columns, found, empty="no fills"))


def _fill(row: "FillRow") -> Entry:
    fill = row.fill
    return {
        "id": f"{fill.exec_id}.{fill.revision:02d}", "order_id": fill.order_id, "instrument": fill.instrument,
        "strategy": fill.strategy, "side": fill.side, "quantity": fill.quantity, "price": fill.price,
        "commission": row.commission, "time": iso(fill.ts_event), "received": iso(row.ts),
    }  # fmt: skip


def _listing(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, empty: str) -> str:
    names = [column.replace("_", " ") for column in columns]
    return table(names, [[_short(row[column]) for column in columns] for row in rows], empty=empty)


def _short(value: Any) -> object:
    """Write a decimal without the zeros that only fill its quantum up."""
    from decimal import Decimal

    if not isinstance(value, Decimal):
        return value
    text = format(value, "f")
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def why(
    call: Call,
    what: Annotated[str, typer.Argument(metavar="ORDER_ID|SYMBOL", help="An order, or an instrument's last decision.")],
    at: Annotated[str | None, typer.Option("--at", metavar="T", help="The last decision until then (UTC).")] = None,
) -> Answer:
    """Trace a decision: bars, signal, sizing, plan, every check with its numbers, order, fills, or what stopped it."""
    until = None if at is None else _moment(at)
    with opened(call.state) as reader:
        if what.upper().startswith("RT-"):
            detail = reader.order(OrderId(what.upper()))
            if detail is None:
                latest = [row.working.order.id for row in reader.orders(limit=3)]
                return _nothing(f"there is no order {what}", "the latest are", latest)
            return _answer(what, _order_steps(reader, detail))
        known = _instruments(reader)
        found = [i for i in known if what.upper() in {i, i.rpartition(".")[0]}]
        if not found:
            return _nothing(f"there is no instrument {what}", "there are", known)
        decisions = reader.decisions(instrument=found[0], at=until, limit=1)
        if not decisions:
            when = f" until {iso(until)}" if until is not None else ""
            text = f"no strategy had a view on {found[0]}{when}: nothing was decided"
            return _answer(what, [*_bar_steps(reader, found[0], until), _step("decision", until, text)])
        order_id = decisions[0].order_id
        detail = reader.order(order_id) if order_id else None
        if detail is None:
            return _answer(what, _decision_steps(reader, decisions[0]))
        return _answer(what, _order_steps(reader, detail))


def _moment(text: str) -> int:
    """Read an ISO time, UTC where it names no zone, as ns; a date means all of that day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected an ISO time such as 2013-03-01T21:00:00Z, found {text!r}",
                                 param_hint="--at") from None  # fmt: skip
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    end = moment + (timedelta(days=1) if len(text) == len("2013-03-01") else timedelta(microseconds=1))
    return round(end.timestamp() * 1_000_000) * 1_000 - 1  # what is printed to the ns is found again


def _instruments(reader: "JournalReader") -> list[InstrumentId]:
    run = reader.run()
    configured = [i.id for i in run.started.instruments] if run else []
    return sorted({*configured, *(row.instrument for row in reader.positions())})


def _nothing(sentence: str, there: str, names: Sequence[str]) -> Answer:
    text = f"{sentence}; {there}: {', '.join(names)}" if names else f"{sentence}: the journal holds none yet"
    return Answer({"error": text, "steps": []}, text, FAILED)


def _answer(what: str, steps: Sequence[Entry]) -> Answer:
    lines = [f"{n:>3}  {(s['time'] or ''):<20}  {s['step']:<8}  {s['text']}" for n, s in enumerate(steps, start=1)]
    return Answer({"subject": what, "steps": steps}, "\n".join(lines))


def _step(name: str, ts: int | None, text: str, **numbers: object) -> Entry:
    return {"step": name, "time": iso(ts), "text": text, **numbers}


def _order_steps(reader: "JournalReader", detail: "OrderDetail") -> list[Entry]:
    order = detail.order
    first = _decision_steps(reader, detail.decisions[0]) if detail.decisions else []
    again = [
        _step("again", d.ts_event, f"decided once more: {d.outcome} {d.reason}".rstrip()) for d in detail.decisions[1:]
    ]
    lived = [(s.seq, 0, _step("order", s.ts, _lived(s.state, s.reason, s.filled, unknown=s.unresolved),
                              state=UNKNOWN if s.unresolved else s.state, filled=s.filled))
             for s in detail.states]  # fmt: skip
    lived += [(f.seq, 1, _step("fill", f.fill.ts_event, f"{f.fill.side} {f.fill.quantity} at {_short(f.fill.price)}, "
                               f"commission {'not reported' if f.commission is None else _short(f.commission)}",
                               **_fill(f)))
              for f in detail.fills]  # fmt: skip
    working = order.working
    end = f"{_state(order)}: {working.filled} of {working.order.quantity} filled"
    end += f" at {_short(order.average_price)} on average" if order.average_price is not None else ""
    end += f" ({working.reason})" if working.reason else ""
    return [*first, *again, *(s for *_, s in sorted(lived, key=lambda entry: entry[:2])),
            _step("outcome", order.ts, end, **_order(order))]  # fmt: skip


def _lived(state: OrderState, reason: str, filled: int, *, unknown: bool) -> str:
    parts = [f"{UNKNOWN} (last known: {state})" if unknown else str(state)]
    parts += [f"{filled} filled"] if filled else []
    return ", ".join(parts) + (f": {reason}" if reason else "")


def _decision_steps(reader: "JournalReader", row: "DecisionRow") -> list[Entry]:
    made, detail, at = row.detail.get("decision") or {}, row.detail, row.ts_event
    signal, sizing = made.get("signal") or {}, (made.get("target") or {}).get("sizing") or {}
    inputs = made.get("inputs") or {}
    steps = _bar_steps(reader, row.instrument, at, inputs)
    steps.append(_step("signal", at, f"{row.strategy}: strength {row.strength:g}, before {inputs.get('strength_before')}",
                       **signal))  # fmt: skip
    steps.append(_step("sizing", at, f"target {row.target:+d} units ({_pairs(sizing) or 'no numbers'})",
                       target=row.target, sizing=sizing))  # fmt: skip
    gap = row.target - row.position - row.working
    steps.append(_step("plan", at, f"target {row.target:+d}, held {row.position:+d}, working {row.working:+d}: "
                       + (f"{'BUY' if gap > 0 else 'SELL'} {abs(gap)}" if row.order_id else f"no order, {row.reason}"),
                       position=row.position, working=row.working, order_id=row.order_id))  # fmt: skip
    for check in detail.get("checks") or ():
        numbers, passed = check.get("numbers") or {}, bool(check.get("passed"))
        said = "; ".join(part for part in (check.get("reason"), _pairs(numbers)) if part)
        steps.append(_step("check", at, f"{'pass' if passed else 'FAIL'}  {check.get('check')}" + (f"  ({said})" if said else ""),
                           check=check.get("check"), passed=passed, numbers=numbers, reason=check.get("reason")))  # fmt: skip
    if row.outcome != "hold":
        denied = f"denied: {row.reason}" if row.outcome == "deny" else f"approved, {detail.get('reserved')} units reserved"
        steps.append(_step("verdict", at, f"{denied} (limits {detail.get('limits')})", outcome=row.outcome,
                           limits=detail.get("limits")))  # fmt: skip
    return steps


def _bar_steps(
    reader: "JournalReader", instrument: InstrumentId, until: int | None, inputs: Mapping[str, str] | None = None
) -> list[Entry]:
    """Show the last bars that a decision could see, and say where the newest was restated since."""
    seen = [bar for bar in reader.bars(instrument, limit=1_000_000) if until is None or bar.ts_event <= until]
    steps = [_bar_step(bar) for bar in seen[-_BARS_SHOWN:]]
    close, run = (inputs or {}).get("close"), reader.run()
    terms = next((i for i in (run.started.instruments if run else ()) if i.id == instrument), None)
    if steps and close is not None and terms is not None and str(terms.price(seen[-1].close)) != close:
        steps[-1]["text"] += f"; restated since: the decision saw close {close}"
    if steps:
        steps[-1]["text"] += f"; {len(seen)} bars so far"
    return steps


def _bar_step(bar: "Bar") -> Entry:
    numbers = {name: repr(getattr(bar, name)) for name in ("open", "high", "low", "close", "volume")}
    return _step("bar", bar.ts_event, f"{bar.instrument} {bar.spec}: {_pairs(numbers)}",
                 instrument=bar.instrument, spec=bar.spec, **numbers)  # fmt: skip


def _pairs(numbers: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in numbers.items() if value is not None)
