"""Journal rows to views: pure functions, no server, no clock, no format."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from robotrader.model import NANOS_PER_SECOND, BarSpec, Instrument, InstrumentId, TradingState
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
    run = rows.run
    started = run.started if run else None
    simulated = simulated or (started is not None and started.mode in SIMULATED_MODES)
    now = clock_ns(rows, simulated=simulated, wall_ns=wall_ns)
    overall = global_state(run, rows.states)
    return views.Status(
        seq=rows.seq,
        run_id=started.run_id if started else None,
        mode=started.mode.upper() if started else None,
        account=masked(started.account) if started else None,
        simulated=simulated,
        data_note=data_note,
        started=utc_or_none(started.ts_init) if started else None,
        ended=utc_or_none(run.ended) if run else None,
        end_reason=run.reason if run else None,
        clock=utc_or_none(now),
        trading_state=overall.state if overall else None,
        since=overall.since if overall else None,
        reason=overall.reason if overall else "",
        actor=overall.actor if overall else "",
        scopes=tuple(_scope(s) for s in rows.states if _scoped(s) and s.state is not TradingState.ACTIVE),
        requests=tuple(request(r) for r in rows.requests if r.taken is None),
        open_orders=len(rows.open_orders),
        unresolved_orders=sum(o.working.unresolved for o in rows.open_orders),
        held=sum(1 for p in rows.positions if p.strategy is not None and p.quantity),
        broker=account(rows.account, rows.previous),
        data=data_ages(_instruments(run), rows.bar_times, rows.bar_specs, now),
    )


def global_state(run: RunRow | None, rows: Sequence[TradingStateRow]) -> views.ScopeState | None:
    """Return the state of the whole trader: ACTIVE since its start where nobody changed it, None without a run."""
    changed = [_scope(row) for row in rows if not _scoped(row)]
    if changed:
        return changed[0]
    if run is None:
        return None
    return views.ScopeState(state=TradingState.ACTIVE, since=utc(run.started.ts_init), reason="", actor="")


def clock_ns(rows: StatusRows, *, simulated: bool, wall_ns: int) -> int | None:
    """Return the runner's time; None while the journal is empty."""
    run, mark = rows.run, rows.account.mark
    seen = [*rows.bar_times.values(), *(o.ts for o in rows.open_orders)]
    seen += [run.started.ts_init] if run else []
    seen += [run.ended] if run and run.ended is not None else []
    seen += [mark.ts] if mark else []
    if not seen:
        return None
    return max(seen) if simulated else max(*seen, wall_ns)


def data_ages(
    instruments: Sequence[InstrumentId],
    bar_times: dict[InstrumentId, int],
    specs: dict[InstrumentId, BarSpec],
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
        if ts is not None and now is not None:
            state = "stale" if _is_stale(now - ts, newest[spec] - ts, spec) else "fresh"
        age = None if ts is None or now is None else (now - ts) / NANOS_PER_SECOND
        return views.DataAge(instrument=instrument, state=state, last_bar=utc_or_none(ts), age_s=age, spec=spec)

    return tuple(judge(i) for i in sorted({*instruments, *bar_times}))


def _is_stale(age: int, behind: int, spec: BarSpec | None) -> bool:
    if spec is None:
        return False
    patience = STALE_AFTER_DAILY_BARS if spec is BarSpec.DAY else STALE_AFTER_BARS
    return age > patience * spec.nanos or behind > BEHIND_AFTER_BARS * spec.nanos


def account(row: AccountRow, previous: MarkRow | None) -> views.Account:
    """Describe the account; the day's change is measured from the last mark of an earlier trading day."""
    mark, broker = row.mark, row.broker
    if mark is None:
        return views.Account(**_broker(row))
    return views.Account(
        as_of=utc_or_none(mark.ts),
        equity=mark.equity,
        cash=mark.cash,
        realized_pnl=mark.realized_pnl,
        unrealized_pnl=mark.unrealized_pnl,
        commission=mark.commission,
        gross=mark.gross,
        net=mark.net,
        day_pnl=mark.equity - previous.equity if previous else None,
        day_from=utc_or_none(previous.ts) if previous else None,
        **_broker(row) if broker else {},
    )


def _broker(row: AccountRow) -> dict[str, Any]:
    if row.broker is None:
        return {}
    return {
        "broker_equity": row.broker.net_liquidation,
        "broker_cash": row.broker.cash,
        "broker_reported": utc_or_none(row.reported),
    }


def positions(rows: Sequence[PositionRow], run: RunRow | None) -> tuple[views.Position, ...]:
    """Value each strategy's holding at its last price; the account's own rows are the sums of these."""
    multipliers = {i.id: i.multiplier for i in _run_instruments(run)}
    return tuple(_position(row, multipliers.get(row.instrument)) for row in rows if row.strategy is not None)


def _position(row: PositionRow, multiplier: Decimal | None) -> views.Position:
    last = None if row.last_price is None else Decimal(repr(row.last_price))
    value = None if last is None or multiplier is None else row.quantity * last * multiplier
    cost = None if row.average_price is None or multiplier is None else row.quantity * row.average_price * multiplier
    if row.strategy is None:
        raise ValueError("an account row has no strategy")
    return views.Position(
        strategy=row.strategy,
        instrument=row.instrument,
        quantity=row.quantity,
        average_price=row.average_price,
        last_price=last,
        market_value=value,
        unrealized_pnl=None if value is None or cost is None else value - cost,
        realized_pnl=row.realized_pnl,
        as_of=utc(row.ts),
    )


def order(row: OrderRow) -> views.Order:
    """Describe an order; an unresolved one is UNKNOWN whatever was known before."""
    working = row.working
    terms = working.order
    return views.Order(
        cursor=row.id,
        id=terms.id,
        strategy=terms.strategy,
        instrument=terms.instrument,
        side=terms.side,
        quantity=terms.quantity,
        filled=working.filled,
        type=terms.type,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        average_price=row.average_price,
        state=UNKNOWN if working.unresolved else working.state,
        last_state=working.state,
        reason=working.reason,
        decided=utc(terms.ts_event),
        updated=utc(row.ts),
    )


def fill(row: FillRow) -> views.Fill:
    """Describe an execution."""
    return views.Fill(
        cursor=row.id,
        order_id=row.fill.order_id,
        exec_id=f"{row.fill.exec_id}.{row.fill.revision:02d}",
        strategy=row.fill.strategy,
        instrument=row.fill.instrument,
        side=row.fill.side,
        quantity=row.fill.quantity,
        price=row.fill.price,
        commission=row.commission,
        at=utc(row.fill.ts_event),
    )


def equity(rows: Sequence[MarkRow]) -> tuple[views.EquityPoint, ...]:
    """Return the equity curve."""
    return tuple(views.EquityPoint(at=utc(row.ts), equity=row.equity) for row in rows)


def strategies(run: RunRow | None, books: Sequence[MarkRow]) -> tuple[views.Strategy, ...]:
    """Put each configured strategy beside its book's last mark."""
    marks = {mark.strategy: mark for mark in books}

    def describe(config: Any) -> views.Strategy:
        mark = marks.get(config.id)
        return views.Strategy(
            id=config.id,
            source=config.source,
            stage=config.stage,
            capital=config.capital,
            equity=mark.equity if mark else None,
            cash=mark.cash if mark else None,
            pnl=mark.equity - config.capital if mark else None,
            as_of=utc_or_none(mark.ts) if mark else None,
        )

    return tuple(describe(config) for config in run.started.strategies) if run else ()


def denial(row: DenialRow) -> views.Denial:
    """Describe a refused order: each failed check in words, with the numbers it used."""
    failed = [check for check in row.checks if not check.get("passed", True)]
    return views.Denial(
        order_id=row.order_id,
        strategy=row.strategy,
        instrument=row.instrument,
        side=row.side,
        quantity=row.quantity,
        limits=row.limits,
        reasons=row.reasons,
        detail=tuple(_check(check) for check in failed),
        at=utc(row.ts_event),
    )


def _check(check: dict[str, Any]) -> str:
    name = str(check.get("check", "")).replace("_", " ")
    said = str(check.get("reason") or "")
    numbers = ", ".join(f"{key} {value}" for key, value in dict(check.get("numbers") or {}).items())
    used = f"({numbers})" if said and numbers else numbers
    return ": ".join(part for part in (name, f"{said} {used}".strip()) if part)


def decision(row: DecisionRow) -> views.Decision:
    """Describe a decision."""
    made = row.detail.get("decision") or {}
    return views.Decision(
        strategy=row.strategy,
        instrument=row.instrument,
        outcome=row.outcome,
        reason=row.reason,
        order_id=row.order_id,
        strength=row.strength,
        target=row.target,
        position=row.position,
        working=row.working,
        inputs=made.get("inputs") or {},
        checks=tuple(row.detail.get("checks") or ()),
        at=utc(row.ts_event),
    )


def request(row: RequestRow) -> views.Request:
    """Describe an operator's request."""
    return views.Request(
        id=row.id,
        at=utc(row.ts),
        action=row.action,
        reason=row.reason,
        actor=row.actor,
        taken=row.taken is not None,
        strategy=row.strategy,
        instrument=row.instrument,
    )


def masked(account_id: str) -> str:
    """Keep an account id's last four characters: enough to tell accounts apart, too little to use."""
    return f"···{account_id[-4:]}" if account_id else ""


def _scoped(row: TradingStateRow) -> bool:
    return row.strategy is not None or row.instrument is not None


def _scope(row: TradingStateRow) -> views.ScopeState:
    return views.ScopeState(
        state=row.state,
        since=utc(row.ts),
        reason=row.reason,
        actor=row.actor,
        strategy=row.strategy,
        instrument=row.instrument,
    )


def _run_instruments(run: RunRow | None) -> tuple[Instrument, ...]:
    return run.started.instruments if run else ()


def _instruments(run: RunRow | None) -> tuple[InstrumentId, ...]:
    return tuple(i.id for i in _run_instruments(run))
