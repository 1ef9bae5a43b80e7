"""Change the trading state: `halt`, `reduce`, `resume`. A halt needs neither the trader nor the database."""

import getpass
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from robotrader.cli.command import OK, PARTIAL, REFUSED, Answer, Call, command
from robotrader.cli.read import effective_state, flag_reason, opened, sound
from robotrader.model import Action, InstrumentId, OrderId, OrderState, RoboTraderError, StrategyId, TradingState

if TYPE_CHECKING:
    from robotrader.ports import JournalReader

TAKE_TIMEOUT_S = 5.0

_SETTLE_S = 0.5
_POLL_S = 0.02
_CANCELED = frozenset({OrderState.CANCELED, OrderState.VOIDED})

T = TypeVar("T")
Scope = tuple[StrategyId | None, InstrumentId | None]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]
Strategy = Annotated[str | None, typer.Option("--strategy", help="Only this strategy.")]
_ALL: Scope = (None, None)
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (halt, reduce, resume, arm):
        command(app, function.__name__)(function)


def halt(
    call: Call,
    reason: Reason = "operator",
    *,
    symbol: Symbol = None,
    strategy: Strategy = None,
    lock: Annotated[
        bool, typer.Option("--lock", help="Something is wrong with security: two people must lift it.")
    ] = False,
) -> Answer:
    """Stop sending orders and cancel those that add risk; works even if trader and database do not answer."""
    return _ask(call, Action.LOCK if lock else Action.HALT, reason, _scope(call, symbol, strategy))


def reduce(call: Call, reason: Reason = "operator", *, symbol: Symbol = None, strategy: Strategy = None) -> Answer:
    """Let only orders through that reduce a position, and cancel the others; also loosens a halt that far."""
    return _ask(call, Action.REDUCE, reason, _scope(call, symbol, strategy))


def resume(call: Call, reason: Reason, *, symbol: Symbol = None, strategy: Strategy = None) -> Answer:
    """Trade again: lower the HALT flag and ask for ACTIVE, as one of as many people as the limits want."""
    if not reason.strip():
        raise typer.BadParameter("say why it is safe again", param_hint="--reason")
    with opened(call.state) as reader:
        tickets = ", ".join(b.break_id for b in reader.breaks())
        stopped = [s for s in reader.trading_state() if s.state is not TradingState.ACTIVE]
    if tickets:
        text = f"positions differ from the broker's ({tickets}): `robotrader reconcile resolve ID --reason ...` first"
        return Answer({"trading_state": TradingState.HALTED, "error": text}, text, REFUSED)
    about = next(((s.strategy, s.instrument) for s in stopped if (s.strategy, _symbol(s.instrument)) ==
                  (strategy, _symbol(symbol)) and (symbol or strategy)), None)  # fmt: skip
    if (symbol or strategy) and about is None:
        names = ", ".join(str(s.strategy or s.instrument) for s in stopped if s.strategy or s.instrument)
        text = f"{symbol or strategy} is not stopped by itself; what is: {names or 'nothing'}"
        return Answer({"trading_state": None, "error": text}, text, REFUSED)
    return _ask(call, Action.RESUME, reason, about or _ALL)


def arm(call: Call, reason: Reason = "operator") -> Answer:
    """Put the lifecycle's envelope in force for this run: within it, strategies are promoted without being asked."""
    from robotrader import bootstrap

    bootstrap.migrate(call.state)  # without a journal it would be lost
    ack, pid = bootstrap.request(call.state, Action.ARM, reason, operator()), bootstrap.trader_pid(call.state)
    taken = pid is not None and _wait(call.state, Action.ARM, ack.request_id, frozenset())
    waits = "no trader runs: its next start takes the request" if pid is None else "the trader has not taken it yet"
    payload = {"armed": taken, "request_id": ack.request_id, "taken": taken}
    return Answer(payload, "armed, for this run" if taken else waits, OK if taken or pid is None else PARTIAL)


def _symbol(name: str | None) -> str | None:
    return name and name.partition(".")[0]


def _scope(call: Call, symbol: str | None, strategy: str | None) -> Scope:
    """Return strategy and instrument of a scope; one that the last run did not have is a usage error."""
    if symbol is None and strategy is None:
        return _ALL
    with opened(call.state) as reader:
        run = reader.run()
    started = run.started if run else None
    ids = [i.id for i in started.instruments] if started else []
    found = next((i for i in ids if symbol in {i, _symbol(i)}), None)
    known = [c.id for c in started.strategies] if started else []
    if (symbol and found is None) or (strategy and strategy not in known):
        raise typer.BadParameter(f"the last run traded {', '.join([*known, *ids]) or 'nothing'}")
    return StrategyId(strategy) if strategy else None, found


def _ask(call: Call, action: Action, reason: str, scope: Scope) -> Answer:
    """Make the request durable, give a running trader time to take it, and tell what came of it."""
    from robotrader import bootstrap

    halting, pid = action in {Action.HALT, Action.LOCK}, bootstrap.trader_pid(call.state)
    before = _quietly(lambda: _open_orders(call.state), excused=halting)
    request_id = _submit(call, action, reason, scope)
    taken = pid is not None and _quietly(
        lambda: _wait(call.state, action, request_id, before or frozenset()), excused=halting
    ) is True  # fmt: skip
    found = _quietly(lambda: _outcome(call.state, before, running=pid is not None), excused=halting)
    payload: dict[str, object] = {"trading_state": TradingState.HALTED, "orders_canceled": None, "flat": None}
    payload |= (found or {}) | {"request_id": request_id, "taken": taken}
    text = f"trading is {payload['trading_state']}; {_course(request_id, pid, taken=taken, halting=halting)}"
    if payload["orders_canceled"] is not None:
        text += (
            f"\norders canceled: {payload['orders_canceled']}; {'flat' if payload['flat'] else 'positions are held'}"
        )
    if taken and action is Action.RESUME and scope == _ALL and payload["trading_state"] is not TradingState.ACTIVE:
        text += "\nanother person must ask for it too, within a quarter of an hour"
        return Answer(payload, text, PARTIAL)
    return Answer(payload, text, OK if halting or taken or pid is None else PARTIAL)


def _quietly(look: Callable[[], T], *, excused: bool) -> T | None:
    """Return what was found, or None where a halt must not fail because the journal cannot be read."""
    try:
        return look()
    except RoboTraderError:
        if not excused:
            raise
        return None


def _submit(call: Call, action: Action, reason: str, scope: Scope) -> str | None:
    """Write the request down and return its id; None when only the flag file could be written."""
    from robotrader import bootstrap

    try:
        with sound(call.state):
            if action is Action.REDUCE:
                bootstrap.migrate(call.state)  # unlike the others it has no flag: without a journal it would be lost
            ack = bootstrap.request(
                call.state, action, reason, operator(), console=True, strategy=scope[0], about=scope[1]
            )
    except RoboTraderError as error:
        if action not in {Action.HALT, Action.LOCK} or flag_reason(call.state) is None:
            raise
        call.note(f"the journal did not take the request, the flag file alone holds: {error}")
        return None
    if ack.flagged and not ack.recorded and bootstrap.has_journal(call.state):
        call.note("the journal is locked or out of reach and did not take the request, the flag file alone holds")
    return ack.request_id if ack.recorded else None


def operator() -> str:
    """Return who asks: the user of this console."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid {os.getuid()}"


def _open_orders(state: Path) -> frozenset[OrderId]:
    from robotrader.web.snapshot import OPEN_STATES

    with opened(state) as reader:
        return frozenset(row.working.order.id for row in reader.orders(states=OPEN_STATES, limit=10_000))


def _wait(state: Path, action: Action, request_id: str | None, before: frozenset[OrderId]) -> bool:
    """Wait until the trader took the request and its cancels came to an end; False when it did not take it."""
    with opened(state) as reader:
        taken = poll(lambda: _is_taken(reader, action, request_id), TAKE_TIMEOUT_S)
        if taken and before:
            poll(lambda: not before & _open_orders(state), _SETTLE_S)
            poll(lambda: not reader.orders(states=[OrderState.PENDING_CANCEL], limit=1), TAKE_TIMEOUT_S)
    return taken


def _is_taken(reader: "JournalReader", action: Action, request_id: str | None) -> bool:
    """Tell whether the trader has the request, or took the flag file for one."""
    if request_id is not None and any(r.id == request_id and r.taken for r in reader.requests(limit=100)):
        return True
    halted = effective_state(reader.trading_state(), (), flag=None, running=True).severity
    return action is Action.HALT and halted >= TradingState.HALTED.severity


def poll(done: Callable[[], bool], timeout_s: float) -> bool:
    """Ask again and again until `done`, at most so long."""
    pause, end = threading.Event(), time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= end:
            return False
        pause.wait(_POLL_S)
    return True


def _outcome(state: Path, before: frozenset[OrderId] | None, *, running: bool) -> dict[str, object]:
    """Say how things stand now; `orders_canceled` is None while some of them are still open."""
    with opened(state) as reader:
        now = effective_state(
            reader.trading_state(), reader.requests(limit=100), flag=flag_reason(state), running=running
        )
        still_open = _open_orders(state)
        details = [reader.order(order_id) for order_id in before or ()]
        canceled = sum(d is not None and d.order.working.state in _CANCELED for d in details)
        waits = reader.orders(states=[OrderState.PENDING_CANCEL], limit=1) if running else still_open
        return {
            "trading_state": now,
            "orders_canceled": None if before is None or waits else canceled,
            "flat": not any(row.quantity for row in reader.positions()),
        }


def _course(request_id: str | None, pid: int | None, *, taken: bool, halting: bool) -> str:
    """Say in words how far the request has come."""
    if taken:
        return f"the trader (pid {pid}) took the request"
    if pid is not None:
        held = "while the flag file is there it sends nothing" if halting else "it takes the request as soon as it can"
        return f"the trader (pid {pid}) did not take the request within {TAKE_TIMEOUT_S:g} s: {held}"
    if request_id is not None:
        return "no trader runs: the request will be taken at the next start"
    return "no trader runs, and there is no journal that a request could wait in: the flag file is what counts"
