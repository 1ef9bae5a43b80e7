"""Change the trading state: `halt`, `reduce`, `resume`. A halt needs neither the trader nor the database."""

import getpass
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robotrader.cli.command import OK, PARTIAL, Answer, Call, command
from robotrader.cli.read import effective_state, flag_reason, opened
from robotrader.model import Action, OrderId, OrderState, RoboTraderError, TradingState

if TYPE_CHECKING:
    from robotrader.ports import JournalReader

TAKE_TIMEOUT_S = 5.0

_SETTLE_S = 0.5
_POLL_S = 0.02
_CANCELED = frozenset({OrderState.CANCELED, OrderState.VOIDED})

Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (halt, reduce, resume):
        command(app, function.__name__)(function)


def halt(call: Call, reason: Reason = "operator") -> Answer:
    """Stop sending orders and cancel those that add risk; works even if trader and database do not answer."""
    return _ask(call, Action.HALT, reason)


def reduce(call: Call, reason: Reason = "operator") -> Answer:
    """Let only orders through that reduce a position, and cancel the others."""
    return _ask(call, Action.REDUCE, reason)


def resume(call: Call, reason: Reason) -> Answer:
    """Trade again: lower the HALT flag and ask for ACTIVE."""
    if not reason.strip():
        raise typer.BadParameter("say why it is safe again", param_hint="--reason")
    return _ask(call, Action.RESUME, reason)


def _ask(call: Call, action: Action, reason: str) -> Answer:
    """Make the request durable, give a running trader time to take it, and tell what came of it."""
    from robotrader import bootstrap

    halting, pid = action is Action.HALT, bootstrap.trader_pid(call.state)
    before = _quietly(lambda: _open_orders(call.state), excused=halting)
    request_id = _submit(call, action, reason)
    taken = pid is not None and _quietly(
        lambda: _wait(call.state, action, request_id, before or frozenset()), excused=halting
    ) is True  # fmt: skip
    found = _quietly(lambda: _outcome(call.state, before, running=pid is not None), excused=halting)
    payload: dict[str, object] = {"trading_state": TradingState.HALTED, "orders_canceled": None, "flat": None}
    payload |= (found or {}) | {"request_id": request_id, "taken": taken}
    text = f"trading is {payload['trading_state']}; {_course(request_id, pid, taken=taken, halting=halting)}"
    if payload["orders_canceled"] is not None:
        text += f"\n{payload['orders_canceled']} orders canceled; {'flat' if payload['flat'] else 'positions are held'}"
    return Answer(payload, text, OK if halting or taken or pid is None else PARTIAL)


def _quietly[T](look: Callable[[], T], *, excused: bool) -> T | None:
    """Return what was found, or None where a halt must not fail because the journal cannot be read."""
    try:
        return look()
    except RoboTraderError:
        if not excused:
            raise
        return None
