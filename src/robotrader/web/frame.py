"""What frames the page: mode, trading state, open requests, clock, and the commands for the console."""

import shlex
from pathlib import Path

from robotrader.model import LinkState, TradingState
from robotrader.web import queries, views
from robotrader.web.formatting import NOT_AVAILABLE, duration, moment
from robotrader.web.layout import Cell

MEANING = {
    TradingState.ACTIVE: "Orders may be sent.",
    TradingState.REDUCING: "Only orders that bring a position closer to zero are sent.",
    TradingState.HALTED: "No new order is sent.",
    TradingState.LOCKED: "No new order is sent until the trader is unlocked.",
}
NO_REASON = "no reason given"
_BLOCKED = "the instrument is blocked until the broker's answer is known"


def frame(status: views.Status, *, day: Cell, state_dir: Path) -> dict[str, str | Cell]:
    """Write out mode, trading state, pending requests and clock."""
    state = status.trading_state
    blocked = state not in {None, TradingState.ACTIVE}
    orders, unresolved = _count(status.open_orders, "open order"), status.unresolved_orders
    return {
        "mode": status.mode or NOT_AVAILABLE,
        "account": status.account or "",
        "simulated": "SIMULATOR" if status.simulated else "",
        "broker": _broker_report(status),
        "clock": f"{moment(status.clock)} UTC" if status.clock else NOT_AVAILABLE,
        "run": _run(status),
        "running": "" if status.started is None or status.ended else "yes",
        "state": state or NOT_AVAILABLE,
        "meaning": _meaning(status),
        "detail": _state_detail(status) if blocked else "",
        "resume": resume_command(state_dir) if blocked else "",
        "may_reduce": "" if queries.is_halted(status) else "yes",
        "pending": "; ".join(_pending(r, status) for r in status.requests),
        "scopes": "; ".join(_scope(s) for s in status.scopes),
        "unresolved": f"{_count(unresolved, 'order')} of UNKNOWN outcome: {_BLOCKED}" if unresolved else "",
        "note": status.data_note,
        "load": f"{orders}, {_count(status.held, 'position')}" if state else "",
        "open_orders": f"{status.open_orders}" if state else NOT_AVAILABLE,
        "held": f"{status.held}" if state else NOT_AVAILABLE,
        "day": day,
    }


def resume_command(state_dir: Path) -> str:
    """Return the exact command that lets orders out again: from the console, with a reason."""
    return f'{stop_command("resume", state_dir)} --reason "WHY IT IS SAFE"'


def stop_command(action: str, state_dir: Path) -> str:
    """Return the command that halts or reduces without this page."""
    return f"robotrader {action} --state {shlex.quote(str(state_dir))}"


def _broker_report(status: views.Status) -> str:
    reported = status.broker.broker_reported
    if status.ended is None and status.link not in {None, LinkState.READY}:
        return f"link {status.link}: {status.link_reason}"
    if reported is None or status.clock is None:
        return "no broker report yet"
    return f"broker reported {duration((status.clock - reported).total_seconds())} ago"


def _meaning(status: views.Status) -> str:
    if status.trading_state is None:
        return "No trader has run on this journal yet. Start one: robotrader demo"
    if status.ended is not None:
        return f"No trader is running, nothing is sent. It ended {_end(status)}."
    return MEANING[status.trading_state]


def _run(status: views.Status) -> str:
    if status.started is None:
        return "no trader has run"
    return f"trader started {moment(status.started)}" if status.ended is None else f"trader ended {_end(status)}"


def _end(status: views.Status) -> str:
    return f"{moment(status.ended)}: {status.end_reason or NO_REASON}"


def _state_detail(status: views.Status) -> str:
    by = f" by {status.actor}" if status.actor else ""
    return f"Since {moment(status.since)}{by}: {status.reason or NO_REASON}"


def _pending(request: views.Request, status: views.Status) -> str:
    waits = "no trader is running, it takes effect at the next start" if status.ended else "the trader has not taken it"
    return f"{request.action.upper()} requested by {request.actor} ({request.reason}): {waits}"


def _scope(scope: views.ScopeState) -> str:
    name = " ".join(part for part in (scope.strategy, scope.instrument) if part)
    return f"{name} is {scope.state}: {scope.reason or NO_REASON}"


def _count(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
