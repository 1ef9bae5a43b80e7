"""Journal rows to views: pure functions, no server, no clock, no format."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from robotrader.model import NANOS_PER_SECOND, Action, BarSpec, InstrumentId, TradingState
from robotrader.ports import (
    AccountRow,
    DecisionRow,
    DenialRow,
    FillRow,
    MarkRow,
    OrderRow,
    PositionRow,
    RequestRow,
    RunRow,
    TradingStateRow,
)
from robotrader.web import views
from robotrader.web.formatting import utc, utc_or_none
from robotrader.web.snapshot import StatusRows

UNKNOWN = "UNKNOWN"
STALE_AFTER_BARS = 3
STALE_AFTER_DAILY_BARS = 5  # the longest closure of the exchange is four days
BEHIND_AFTER_BARS = 1.5
SIMULATED_MODES = frozenset({"demo", "backtest", "replay"})


def status(rows: StatusRows, *, simulated: bool, data_note: str, wall_ns: int) -> views.Status:
    """Describe the trader; on a simulated clock the journal's last time is now, else the wall clock is."""
    started = rows.run.started if rows.run else None
    simulated = simulated or (started is not None and started.mode in SIMULATED_MODES)
    now = clock_ns(rows, None if simulated else wall_ns)
    overall = global_state(rows.run, rows.states)
    instruments = [i.id for i in started.instruments] if started else []
    return views.Status.of(
        overall,
        **_run(rows.run),
        seq=rows.seq,
        simulated=simulated,
        data_note=data_note,
        clock=utc_or_none(now),
        trading_state=overall.state if overall else None,
        link=rows.link.state if rows.link else None,
        link_reason=rows.link.reason if rows.link else "",
        scopes=tuple(scope(s) for s in rows.states if _is_scoped(s) and s.state is not TradingState.ACTIVE),
        requests=tuple(request(r) for r in rows.requests if r.taken is None),
        open_orders=len(rows.open_orders),
        unresolved_orders=sum(o.working.unresolved for o in rows.open_orders),
        held=sum(1 for p in rows.positions if p.strategy is not None and p.quantity),
        broker=account(rows.account, rows.previous),
        data=data_ages(instruments, rows.bar_times, rows.bar_specs, now),
    )


def _run(run: RunRow | None) -> dict[str, Any]:
    if run is None:
        return {}
    started = run.started
    return {
        "run_id": started.run_id, "mode": started.mode.upper(), "account": masked(started.account),
        "started": utc(started.ts_init), "ended": utc_or_none(run.ended), "end_reason": run.reason,
    }  # fmt: skip


def global_state(run: RunRow | None, rows: Sequence[TradingStateRow]) -> views.ScopeState | None:
    """Return the state of the whole trader: ACTIVE since its start where nobody changed it, None without a run."""
    changed = [scope(row) for row in rows if not _is_scoped(row)]
    if changed or run is None:
        return changed[0] if changed else None
    return views.ScopeState(state=TradingState.ACTIVE, since=utc(run.started.ts_init), reason="", actor="")


_STATES = frozenset({Action.HALT, Action.REDUCE, Action.RESUME})  # the others leave the trading state alone


def is_halted(status: views.Status) -> bool:
    """Tell whether all trading is halted, or will be once the trader takes what it was asked last."""
    asked = [r.action for r in status.requests if r.strategy is None and r.instrument is None and r.action in _STATES]
    return status.trading_state in {TradingState.HALTED, TradingState.LOCKED} or asked[:1] == [Action.HALT]


def clock_ns(rows: StatusRows, wall_ns: int | None) -> int | None:
    """Return the runner's time, not before `wall_ns` where its clock is the system's; None for an empty journal."""
    run, mark = rows.run, rows.account.mark
    seen = [*rows.bar_times.values(), *(o.ts for o in rows.open_orders)]
    seen += [run.started.ts_init, run.ended or 0] if run else []
    seen += [mark.ts] if mark else []
    return max(*seen, wall_ns or 0) if seen else None


def data_ages(
    instruments: Sequence[InstrumentId],
    bar_times: Mapping[InstrumentId, int],
    specs: Mapping[InstrumentId, BarSpec],
    now: int | None,
) -> tuple[views.DataAge, ...]:
    """Judge each instrument's last bar; stale is too old, or behind another instrument of the same bar length."""
    newest: dict[BarSpec | None, int] = {}
    for instrument, ts in bar_times.items():
        spec = specs.get(instrument)
        newest[spec] = max(ts, newest.get(spec, 0))

    def judge(instrument: InstrumentId) -> views.DataAge:
        ts, spec = bar_times.get(instrument), specs.get(instrument)
        state: Literal["fresh", "stale", "missing"] = "missing"
        age = None
        if ts is not None and now is not None:
            state = "stale" if _is_stale(now - ts, newest[spec] - ts, spec) else "fresh"
            age = (now - ts) / NANOS_PER_SECOND
        return views.DataAge(instrument=instrument, state=state, last_bar=utc_or_none(ts), age_s=age, spec=spec)

    return tuple(judge(i) for i in sorted({*instruments, *bar_times}))


def _is_stale(age: int, behind: int, spec: BarSpec | None) -> bool:
    if spec is None:
        return False
    patience = STALE_AFTER_DAILY_BARS if spec is BarSpec.DAY else STALE_AFTER_BARS
    return age > patience * spec.nanos or behind > BEHIND_AFTER_BARS * spec.nanos


def account(row: AccountRow, previous: MarkRow | None) -> views.Account:
    """Describe the account; the day's change is measured from the last mark of an earlier trading day."""
    mark, broker, computed = row.mark, row.broker, dict[str, Any]()
    if mark:
        computed["as_of"] = utc(mark.ts)
    if mark and previous:
        computed |= {"day_pnl": mark.equity - previous.equity, "day_from": utc(previous.ts)}
    if broker:
        computed |= {"broker_equity": broker.net_liquidation, "broker_cash": broker.cash}
        computed["broker_reported"] = utc_or_none(row.reported)
    return views.Account.of(mark, **computed)


def positions(rows: Sequence[PositionRow], run: RunRow | None) -> tuple[views.Position, ...]:
    """Value each strategy's holding at its last price; the account's own rows are the sums of these."""
    multipliers = {i.id: i.multiplier for i in run.started.instruments} if run else {}
    return tuple(_position(row, multipliers.get(row.instrument)) for row in rows if row.strategy is not None)


def _position(row: PositionRow, multiplier: Decimal | None) -> views.Position:
    last = None if row.last_price is None else Decimal(repr(row.last_price))
    value = None if last is None or multiplier is None else row.quantity * last * multiplier
    cost = None if row.average_price is None or multiplier is None else row.quantity * row.average_price * multiplier
    gain = None if value is None or cost is None else value - cost
    return views.Position.of(row, last_price=last, market_value=value, unrealized_pnl=gain, as_of=utc(row.ts))


def order(row: OrderRow) -> views.Order:
    """Describe an order; an unresolved one is UNKNOWN whatever was known before."""
    working, terms = row.working, row.working.order
    state = UNKNOWN if working.unresolved else working.state
    times = {"decided": utc(terms.ts_event), "updated": utc(row.ts)}
    return views.Order.of(terms, working, row, cursor=row.id, state=state, last_state=working.state, **times)


def fill(row: FillRow) -> views.Fill:
    """Describe an execution."""
    exec_id = f"{row.fill.exec_id}.{row.fill.revision:02d}"
    return views.Fill.of(row.fill, row, cursor=row.id, exec_id=exec_id, at=utc(row.fill.ts_event))


def equity(rows: Sequence[MarkRow]) -> tuple[views.EquityPoint, ...]:
    """Return the equity curve."""
    return tuple(views.EquityPoint(at=utc(row.ts), equity=row.equity) for row in rows)


def strategies(run: RunRow | None, books: Sequence[MarkRow]) -> tuple[views.Strategy, ...]:
    """Put each configured strategy beside its book's last mark."""
    marks = {mark.strategy: mark for mark in books}

    def describe(config: Any) -> views.Strategy:
        mark = marks.get(config.id)
        values = {"pnl": mark.equity - config.capital, "as_of": utc(mark.ts)} if mark else {}
        return views.Strategy.of(config, mark, **values)

    return tuple(describe(config) for config in run.started.strategies) if run else ()


def denial(row: DenialRow) -> views.Denial:
    """Describe a refused order: each failed check in words, with the numbers it used."""
    failed = tuple(_check(check) for check in row.checks if not check.get("passed", True))
    return views.Denial.of(row, detail=failed, at=utc(row.ts_event))


def _check(check: dict[str, Any]) -> str:
    name = str(check.get("check", "")).replace("_", " ")
    said = str(check.get("reason") or "")
    numbers = ", ".join(f"{key} {value}" for key, value in dict(check.get("numbers") or {}).items())
    used = f"({numbers})" if said and numbers else numbers
    return ": ".join(part for part in (name, f"{said} {used}".strip()) if part)


def decision(row: DecisionRow) -> views.Decision:
    """Describe a decision."""
    made, checks = row.detail.get("decision") or {}, tuple(row.detail.get("checks") or ())
    return views.Decision.of(row, inputs=made.get("inputs") or {}, checks=checks, at=utc(row.ts_event))


def request(row: RequestRow) -> views.Request:
    """Describe an operator's request."""
    return views.Request.of(row, at=utc(row.ts), taken=row.taken is not None)


def scope(row: TradingStateRow) -> views.ScopeState:
    """Describe the trading state of one scope."""
    return views.ScopeState.of(row, since=utc(row.ts))


def masked(account_id: str) -> str:
    """Keep an account id's last four characters: enough to tell accounts apart, too little to use."""
    return f"···{account_id[-4:]}" if account_id else ""


def _is_scoped(row: TradingStateRow) -> bool:
    return row.strategy is not None or row.instrument is not None
