"""What the journal says: `status`, `positions`, `orders`, `fills`, `why`. Reads only, whether or not a trader runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotrader.cli.command import FAILED, Answer, Call, command, facts, iso, table
from robotrader.model import (
    NANOS_PER_SECOND,
    Action,
    DataError,
    InstrumentId,
    LinkState,
    OrderId,
    OrderState,
    SetLimits,
    StageJudged,
    TradingState,
)

if TYPE_CHECKING:
    from robotrader.ports import (
        ConflictRow,
        DecisionRow,
        FillRow,
        JournalReader,
        OrderDetail,
        OrderRow,
        RequestRow,
        TradingStateRow,
    )
    from robotrader.web.snapshot import StatusRows

Entry = dict[str, Any]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")]

UNKNOWN, OPEN = "UNKNOWN", "OPEN"

_PAGE = 500
_BARS_SHOWN = 3
_ASKED = {
    Action.LOCK: TradingState.LOCKED, Action.HALT: TradingState.HALTED,
    Action.REDUCE: TradingState.REDUCING, Action.RESUME: TradingState.ACTIVE,
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (status, positions, orders, fills, why):
        command(app, function.__name__)(function)


@contextmanager
def sound(state: Path) -> Iterator[None]:
    """Say plainly that the journal of a state folder is broken or locked, whatever the database calls it.

    Raises
    ------
    DataError
        The file is there but cannot be read.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise DataError(f"the journal in {state} cannot be used: {cause}; `robotrader doctor` looks closer") from error


@contextmanager
def opened(state: Path) -> "Iterator[JournalReader]":
    """Give a reader of the journal; one that does not exist reads as empty."""
    from robotrader import bootstrap

    with sound(state):
        yield bootstrap.reader(state)


def flag_reason(state: Path) -> str | None:
    """Return why the flag file halts trading, None when it is not raised; one that cannot be read halts too."""
    try:
        return (state / "HALT").read_text(encoding="utf-8").strip() or "no reason given"
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"the flag file cannot be read: {error}"


def effective_state(
    states: "Sequence[TradingStateRow]", requests: "Sequence[RequestRow]", *, flag: str | None, running: bool
) -> TradingState:
    """Return the global trading state: what the trader has, what it was asked for (newest first), and the flag file.

    A running trader obeys a request when it takes it, so until then the worse of both holds. With none running, what
    was asked last will hold at the next start.
    """
    now = next((s.state for s in states if s.strategy is None and s.instrument is None), TradingState.ACTIVE)
    asked = [r.action for r in requests if r.taken is None and r.strategy is None and r.instrument is None]
    waiting = [_ASKED[action] for action in asked if action in _ASKED]
    found = [waiting[0] if waiting else now]
    found += [now] if running else []
    found += [TradingState.HALTED] if flag is not None else []
    return max(found, key=lambda state: state.severity)


def status(call: Call) -> Answer:
    """Show how things stand: trading state, session, strategies, equity, and what needs attention."""
    from robotrader import bootstrap
    from robotrader.web.formatting import utc
    from robotrader.web.snapshot import MARKET_ZONE, SnapshotReader

    with opened(call.state) as reader:
        rows, books = SnapshotReader(reader).status(), {book.strategy: book for book in reader.books()}
        conflicts, changes = reader.conflicts(limit=_PAGE), reader.commands(SetLimits)
        stages = {judged.strategy: judged.stage for judged in reader.commands(StageJudged)}
    flag, pid = flag_reason(call.state), bootstrap.trader_pid(call.state)
    running = pid is not None and rows.run is not None and rows.run.ended is None
    mark, started = rows.account.mark, rows.run.started if rows.run else None
    as_of = mark.ts if mark else max(rows.bar_times.values(), default=started.ts_init if started else None)
    payload: Entry = {
        "trading_state": effective_state(rows.states, rows.requests, flag=flag, running=running),
        "broker": (rows.link.state if rows.link else "running") if running else "stopped",
        "trader_pid": pid,
        "run_id": started.run_id if started else None,
        "mode": started.mode if started else None,
        "session": utc(as_of).astimezone(MARKET_ZONE).date().isoformat() if as_of else None,
        "equity": mark.equity if mark else None,
        "day_pnl": mark.equity - rows.previous.equity if mark and rows.previous else None,
        "cash": mark.cash if mark else None,
        "open_orders": len(rows.open_orders),
        "as_of": iso(as_of),
    }
    strategies = [
        _strategy(config, books.get(config.id), stages.get(config.id, config.stage))
        for config in (started.strategies if started else ())
    ]
    found = [*_alerts(rows, conflicts, flag=flag, gone=pid is None), *_kept_limits(rows, changes)]
    alerts = [{"code": code, "text": text} for code, text in found]
    text = [
        *((f"no trader ever ran in {call.state}",) if started is None else ()),
        facts(
            {name.replace("_", " "): _short(value) for name, value in payload.items() if started or value is not None}
        ),
        *([_listing(("id", "source", "stage", "capital", "equity", "pnl"), strategies, empty="")] if started else ()),
        "\n".join(f"! {alert['text']}" for alert in alerts) or "nothing needs attention",
    ]
    return Answer({**payload, "strategies": strategies, "alerts": alerts}, "\n\n".join(text))


def _strategy(config: Any, book: Any, stage: Any) -> Entry:
    return {
        "id": config.id, "source": config.source, "stage": stage, "capital": config.capital,
        "equity": book and book.equity, "cash": book and book.cash, "pnl": book and book.equity - config.capital,
    }  # fmt: skip


def _alerts(
    rows: "StatusRows", conflicts: "Sequence[ConflictRow]", *, flag: str | None, gone: bool
) -> Iterator[tuple[str, str]]:
    """Name what a person should look at, worst first."""
    if flag is not None:
        yield "flag", f"the HALT flag is raised: {flag} (`robotrader resume --reason ...` lowers it)"
    for s in (s for s in rows.states if s.state is not TradingState.ACTIVE):
        scope = " ".join(str(part) for part in (s.strategy, s.instrument) if part) or "trading"
        code = "break" if s.reason.startswith("position break") else s.state.lower()
        yield code, f"{scope} is {s.state} since {_moment_text(s.ts)}, by {s.actor}: {s.reason}"
    for o in (o.working for o in rows.open_orders if o.working.unresolved):
        what = f"{o.order.side} {o.order.quantity} {o.order.instrument}"
        yield "unknown_order", f"the outcome of order {o.order.id} ({what}) is unknown: {o.reason}"
    if not gone and rows.link is not None and rows.link.state is not LinkState.READY:
        yield "link", f"the link to the broker is {rows.link.state}: {rows.link.reason}"
    for c in () if gone else rows.conditions:
        yield c.condition, f"trading is {c.state} while {c.detail}, as of {_moment_text(c.ts_event)}"
    last = rows.account.mark.ts if rows.account.mark else 0
    for instrument in sorted(i for i, ts in rows.bar_times.items() if ts < last):
        seen = _moment_text(rows.bar_times[instrument])
        yield "stale_data", f"{instrument} has no bar since {seen}: no entry is decided on a stale price"
    if gone and rows.run is not None and rows.run.ended is None:
        yield "trader_gone", "the trader ended without saying so: start it again, it recovers by itself"
    yield from _waiting(rows, conflicts)


def _kept_limits(rows: "StatusRows", changes: Sequence[SetLimits]) -> Iterator[tuple[str, str]]:
    """Name the limits that the configuration of the last run is looser in, which nobody approved."""
    from robotrader.engine.limits import KEPT

    since = rows.run.started.ts_event if rows.run is not None else 0
    for change in (c for c in changes if c.ts_event >= since and c.reason.startswith(KEPT)):
        yield "limits", f"{change.reason}; `robotrader risk set` changes a limit, with an approver"


def _waiting(rows: "StatusRows", conflicts: "Sequence[ConflictRow]") -> Iterator[tuple[str, str]]:
    for r in (r for r in reversed(rows.requests) if r.taken is None):
        yield "request_waits", f"{r.action} asked by {r.actor} at {_moment_text(r.ts)} waits for a trader to take it"
    for kind in sorted({c.type for c in conflicts}):
        yield "conflict", f"{sum(c.type == kind for c in conflicts)} {kind} came again with other content"


def _moment_text(ts: int) -> str | None:
    return iso(ts - ts % NANOS_PER_SECOND)


def positions(
    call: Call, everything: Annotated[bool, typer.Option("--all", help="Also what is flat by now.")] = False
) -> Answer:
    """Show what each strategy holds, at the last prices."""
    from robotrader.web import queries

    with opened(call.state) as reader:
        run = reader.run()
        rows = [row for row in reader.positions() if row.strategy is not None and (everything or row.quantity)]
    found = [
        {
            "strategy": p.strategy, "instrument": p.instrument, "quantity": p.quantity,
            "average_price": p.average_price, "last_price": p.last_price, "market_value": p.market_value,
            "unrealized": p.unrealized_pnl, "realized": p.realized_pnl, "updated": iso(row.ts),
        }
        for row, p in zip(rows, queries.positions(rows, run), strict=True)
    ]  # fmt: skip
    return Answer({"positions": found}, _listing(tuple(found[0]) if found else (), found, empty="no open positions"))


def orders(
    call: Call,
    limit: Limit = 50,
    wanted: Annotated[
        str, typer.Option("--status", metavar="STATE", help="In this state only, UNKNOWN, or OPEN.")
    ] = "",
    strategy: Annotated[str | None, typer.Option("--strategy", help="Of this strategy only.")] = None,
) -> Answer:
    """Show orders, newest first."""
    wanted = wanted.upper()
    if wanted not in {"", OPEN, UNKNOWN, *OrderState}:
        raise typer.BadParameter(f"expected one of {', '.join([*OrderState, UNKNOWN, OPEN])}", param_hint="--status")
    with opened(call.state) as reader:
        found = [_order(row) for row in _find_orders(reader, wanted, strategy, limit=limit)]
    columns = ("decided", "id", "strategy", "instrument", "side", "quantity", "type", "price", "state", "filled",
               "average_price", "reason")  # fmt: skip
    return Answer({"orders": found}, _listing(columns, found, empty="no such orders" if wanted else "no orders"))


def _find_orders(reader: "JournalReader", wanted: str, strategy: str | None, *, limit: int) -> "list[OrderRow]":
    """Page through the orders until enough of them fit."""
    from robotrader.web.snapshot import OPEN_STATES

    states = OPEN_STATES if wanted in {OPEN, UNKNOWN} else [OrderState(wanted)] if wanted else ()
    found: list[OrderRow] = []
    after: int | None = None
    while len(found) < limit:
        page = reader.orders(states=states, limit=_PAGE, after=after)
        found += [row for row in page if strategy in {None, row.working.order.strategy}
                  and wanted in {"", OPEN, _state(row)}]  # fmt: skip
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return found[:limit]


def _state(row: "OrderRow") -> str:
    return UNKNOWN if row.working.unresolved else row.working.state


def _order(row: "OrderRow") -> Entry:
    working, order = row.working, row.working.order
    return {
        "id": order.id, "instrument": order.instrument, "strategy": order.strategy, "side": order.side,
        "quantity": order.quantity, "type": order.type, "time_in_force": order.tif,
        "price": order.stop_price if order.limit_price is None else order.limit_price,
        "state": _state(row), "last_state": working.state, "filled": working.filled,
        "average_price": row.average_price, "decided": iso(order.ts_event), "updated": iso(row.ts),
        "broker_order_id": working.broker_order_id, "reason": working.reason,
    }  # fmt: skip


def fills(call: Call, limit: Limit = 50) -> Answer:
    """Show executions, newest first."""
    with opened(call.state) as reader:
        found = [_fill(row) for row in reader.fills(limit=limit)]
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


def _short(value: Any) -> Any:
    """Write a decimal for people, with two to four decimals; leave all else as it is."""
    if not isinstance(value, Decimal):
        return value
    whole, _, part = f"{value:.4f}".partition(".")
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
                return _nothing(f"there is no order {what}", [row.working.order.id for row in reader.orders(limit=3)])
            return _answer(what, _order_steps(reader, detail))
        known = _instruments(reader)
        instrument = next((i for i in known if what.upper() in {i, i.rpartition(".")[0]}), None)
        if instrument is None:
            return _nothing(f"there is no instrument {what}", known)
        return _answer(what, _instrument_steps(reader, instrument, until))


def _moment(text: str) -> int:
    """Read an ISO time, UTC where it names no zone, as ns; a date means all of that day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected an ISO time such as 2013-03-01T21:00:00Z, found {text!r}",
                                 param_hint="--at") from None  # fmt: skip
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    end = moment + (timedelta(days=1) if len(text) == len("2013-03-01") else timedelta(microseconds=1))
    return round(end.timestamp() * 1_000_000) * 1_000 - 1  # a time as we print it, to the ns, is met


def _instruments(reader: "JournalReader") -> list[InstrumentId]:
    run = reader.run()
    return sorted(
        {*(i.id for i in (run.started.instruments if run else ())), *(p.instrument for p in reader.positions())}
    )


def _nothing(sentence: str, there: Sequence[str]) -> Answer:
    text = f"{sentence}; there is {', '.join(there)}" if there else f"{sentence}: the journal holds none yet"
    return Answer({"error": text, "steps": []}, text, FAILED)


def _answer(what: str, steps: Sequence[Entry]) -> Answer:
    lines = [f"{n:>3}  {(s['time'] or ''):<20}  {s['step']:<8}  {s['text']}" for n, s in enumerate(steps, start=1)]
    return Answer({"subject": what, "steps": steps}, "\n".join(lines))


def _step(name: str, ts: int | None, text: str, **numbers: object) -> Entry:
    return {"step": name, "time": iso(ts), "text": text, **numbers}


def _instrument_steps(reader: "JournalReader", instrument: InstrumentId, until: int | None) -> list[Entry]:
    found = reader.decisions(instrument=instrument, at=until, limit=1)
    if not found:
        text = f"no strategy came to a decision on {instrument}" + " until then" * bool(until)
        return [*_bar_steps(reader, instrument, until), _step("decision", until, text)]
    detail = reader.order(found[0].order_id) if found[0].order_id else None
    return _decision_steps(reader, found[0]) if detail is None else _order_steps(reader, detail)


def _order_steps(reader: "JournalReader", detail: "OrderDetail") -> list[Entry]:
    """Trace an order: its decision, then its states and fills as they came, then where it stands."""
    order, working = detail.order, detail.order.working
    steps = _decision_steps(reader, detail.decisions[0]) if detail.decisions else []
    steps += [_step("again", d.ts_event, f"decided anew: {d.outcome} {d.reason}") for d in detail.decisions[1:]]
    lived = [(f.seq, _step("fill", f.fill.ts_event, f"{f.fill.side} {f.fill.quantity} at {_short(f.fill.price)}, "
                           f"commission {_short(f.commission) or 'not reported'}", **_fill(f)))
             for f in detail.fills]  # fmt: skip
    for s in detail.states:
        state = f"{UNKNOWN} (last known: {s.state})" if s.unresolved else str(s.state)
        said = f", {s.filled} filled" * bool(s.filled) + f": {s.reason}" * bool(s.reason)
        lived.append((s.seq, _step("order", s.ts, state + said, state=s.state, unresolved=s.unresolved)))
    steps += [step for _, step in sorted(lived, key=lambda entry: entry[0])]
    end = f"{_state(order)}: {working.filled} of {working.order.quantity} filled"
    end += f" at {_short(order.average_price)} on average" if order.average_price is not None else ""
    return [*steps, _step("outcome", order.ts, end + f" ({working.reason})" * bool(working.reason), **_order(order))]


def _decision_steps(reader: "JournalReader", row: "DecisionRow") -> list[Entry]:
    """Trace a decision from the bars it saw to the verdict on its order."""
    detail, at = row.detail, row.ts_event
    made = detail.get("decision") or {}
    inputs, sizing = made.get("inputs") or {}, (made.get("target") or {}).get("sizing") or {}
    gap = row.target - row.position - row.working
    order = f"{'BUY' if gap > 0 else 'SELL'} {abs(gap)}" if row.order_id else f"no order, {row.reason}"
    steps = [
        *_bar_steps(reader, row.instrument, at),
        _step("signal", at, f"{row.strategy}: strength {row.strength:g} ({_pairs(inputs)})", strategy=row.strategy,
              strength=row.strength, inputs=inputs),
        _step("sizing", at, f"target {row.target:+d} units ({_pairs(sizing)})", target=row.target, sizing=sizing),
        _step("plan", at, f"target {row.target:+d}, held {row.position:+d}, working {row.working:+d}: {order}",
              position=row.position, working=row.working, order_id=row.order_id),
    ]  # fmt: skip
    for c in detail.get("checks") or ():
        said = "; ".join(part for part in (c.get("reason"), _pairs(c.get("numbers") or {})) if part)
        text = f"{'pass' if c['passed'] else 'FAIL'}  {c['check']}" + f"  ({said})" * bool(said)
        steps.append(_step("check", at, text, **c))
    if row.outcome != "hold":
        said = (
            f"denied: {row.reason}" if row.outcome == "deny" else f"approved, {detail.get('reserved')} units reserved"
        )
        steps.append(_step("verdict", at, f"{said} (limits: {detail.get('limits')})", outcome=row.outcome))
    return steps


def _bar_steps(reader: "JournalReader", instrument: InstrumentId, until: int | None) -> list[Entry]:
    """Show the last bars that a decision at `until` could see."""
    seen = [bar for bar in reader.bars(instrument, limit=1_000_000) if until is None or bar.ts_event <= until]
    steps = []
    for bar in seen[-_BARS_SHOWN:]:
        prices = {name: Decimal(repr(getattr(bar, name))) for name in ("open", "high", "low", "close")}
        text = f"{instrument} {bar.spec}: {_pairs(prices)}, volume {bar.volume:.0f}"
        steps.append(_step("bar", bar.ts_event, text, spec=bar.spec, **prices, volume=bar.volume))
    return steps


def _pairs(numbers: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in numbers.items() if value not in {None, "None"})
