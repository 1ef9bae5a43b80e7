"""Compare with the broker now, and close tickets: `reconcile`, `reconcile resolve`."""

from typing import TYPE_CHECKING, Annotated

import typer

from robotrader.cli.command import FAILED, NOT_RUNNING, OK, PARTIAL, Answer, Call, command, table
from robotrader.cli.control import Reason, operator, poll
from robotrader.cli.read import opened, sound
from robotrader.model import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robotrader.model import BreakOpened
    from robotrader.ports import JournalReader

_COMPARED_S = 60.0
_TAKEN_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "reconcile")(reconcile)


def reconcile(
    call: Call,
    what: Annotated[str, typer.Argument(help="`now`, or `resolve` to close a ticket.")] = "now",
    ticket: Annotated[str, typer.Argument(help="The ticket to resolve, such as B1.")] = "",
    *,
    reason: Reason = "",
) -> Answer:
    """Compare orders, fills and positions with the broker now; `resolve ID --reason R` closes a ticket."""
    if what == "now":
        return _compare(call)
    if what != "resolve" or not ticket or not reason.strip():
        raise typer.BadParameter("expected `reconcile`, or `reconcile resolve ID --reason WHY`")
    return _resolve(call, ticket, reason)


def _compare(call: Call) -> Answer:
    from robotrader import bootstrap

    if bootstrap.trader_pid(call.state) is None:
        payload = {"ok": False, "breaks": [], "error": "no trader runs on this state: start one, it compares at once"}
        return Answer(payload, str(payload["error"]), NOT_RUNNING)
    with sound(call.state):
        ack = bootstrap.request(call.state, Action.RECONCILE, "asked for", operator())
    with opened(call.state) as reader:
        done = poll(lambda: reader.compared() > (_taken(reader, ack.request_id) or reader.head()), _COMPARED_S)
        return _answer(reader.breaks(), code=OK if done else PARTIAL)


def _resolve(call: Call, ticket: str, reason: str) -> Answer:
    """Ask for the ticket to be closed; with no trader running that happens at the next start."""
    from robotrader import bootstrap

    with opened(call.state) as reader:
        found = next((b for b in reader.breaks() if b.break_id == ticket), None)
    if found is None:
        raise typer.BadParameter(f"there is no open ticket {ticket}", param_hint="ID")
    with sound(call.state):
        ack = bootstrap.request(call.state, Action.RESOLVE, reason, operator(), about=found.instrument)
    running = bootstrap.trader_pid(call.state) is not None
    with opened(call.state) as reader:
        done = running and poll(lambda: _taken(reader, ack.request_id) is not None, _TAKEN_S)
        return _answer(reader.breaks(), code=OK if done or not running else PARTIAL)


def _taken(reader: "JournalReader", request_id: str) -> int | None:
    return next((r.taken for r in reader.requests(limit=100) if r.id == request_id), None)


def _answer(breaks: "Sequence[BreakOpened]", *, code: int) -> Answer:
    rows = [{"id": b.break_id, "instrument": b.instrument, "broker": b.broker, "ledger": b.ledger} for b in breaks]
    cells = [tuple(row.values()) for row in rows]
    text = table(("id", "instrument", "broker", "ledger"), cells, empty="broker and books agree")
    return Answer({"ok": not rows and code == OK, "breaks": rows}, text, FAILED if rows and code == OK else code)
