"""The gate's limits: `risk limits`, `risk set`, and `risk check` of orders in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from robotrader.cli.command import OK, PARTIAL, REFUSED, Answer, Call, command, table
from robotrader.cli.control import TAKE_TIMEOUT_S, operator, poll
from robotrader.cli.read import opened
from robotrader.cli.settings import load
from robotrader.model import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robotrader.model import CheckResult

_Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="research, paper or live; default: as configured.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    risk = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The limits, and what they would refuse.")
    for name, function in (("limits", limits), ("check", check), ("set", set_limits)):
        command(risk, name)(function)
    app.add_typer(risk, name="risk")


def limits(call: Call, profile: _Profile = None) -> Answer:
    """Show all 26 checks: limits, where they come from, and what the last order used of them."""
    from robotrader import bootstrap

    settings, origins = load(call)
    with opened(call.state) as reader:
        rows = bootstrap.limits_in_use(settings, origins, reader, profile)
    shown = [(r.row, r.check, r.limit, r.used, r.origin) for r in rows]
    text = table(("row", "check", "limit", "used", "origin"), shown, empty="no checks")
    return Answer({"profile": profile or settings.limits.profile, "limits": [r._asdict() for r in rows]}, text)


def check(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Orders, as YAML or JSON.")],
    profile: _Profile = None,
) -> Answer:
    """Say which orders of a file would pass, and which check refuses the others; nothing is sent."""
    from robotrader import bootstrap
    from robotrader.risk.limits import profile as named

    found = bootstrap.check_orders(file, load(call)[0].limits if profile is None else named(profile))
    payload = {
        "ok": all(result.passed for _, results in found for result in results),
        "checks": [
            {"order": name, "check": r.check, "passed": r.passed, "reason_code": None if r.passed else r.check,
             "reason": r.reason, "numbers": r.numbers}
            for name, results in found for r in results
        ],
    }  # fmt: skip
    rows = [(name, *_outcome(results)) for name, results in found]
    text = table(("order", "result", "reason code", "reason"), rows, empty="no orders")
    return Answer(payload, text, OK if payload["ok"] else REFUSED)


def set_limits(
    call: Call,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="`none` switches a limit off.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    *,
    approver: Annotated[
        str | None, typer.Option("--approver", help="Who approved it: a looser limit needs one.")
    ] = None,
) -> Answer:
    """Change limits of the trader: a tighter one is in force at once, a looser one takes an approver."""
    from robotrader import bootstrap
    from robotrader.risk.limits import loosened, parse_limit

    values = dict(parse_limit(change) for change in changes)
    with opened(call.state) as reader:
        before = bootstrap.limits_in_force(load(call)[0], reader)[0]
    looser = loosened(before, structs.replace(before, **values))
    if looser and not approver:
        text = f"{', '.join(looser)} would become looser: that takes --approver"
        return Answer({"changed": [], "looser": looser, "error": text}, text, REFUSED)
    bootstrap.migrate(call.state)  # without a journal the change would be lost
    asked = [
        bootstrap.request(call.state, Action.LIMIT, reason, operator(), limit=(change, approver)) for change in changes
    ]
    pid = bootstrap.trader_pid(call.state)
    with opened(call.state) as reader:
        waiting = {ack.request_id for ack in asked}
        if pid is not None:
            poll(lambda: not any(r.id in waiting and not r.taken for r in reader.requests(limit=500)), TAKE_TIMEOUT_S)
        now = bootstrap.limits_in_force(load(call)[0], reader)[0]
    changed = [name for name, value in values.items() if pid is not None and getattr(now, name) == value]
    payload = {"changed": changed, "looser": looser, "limits": now.profile, "taken": pid is not None}
    if pid is None:
        return Answer(payload, "no trader runs: the change will be taken at the next start")
    if len(changed) < len(values):
        text = "not in force yet: another person must ask for the same, within a quarter of an hour"
        return Answer(payload, text, PARTIAL)
    return Answer(payload, f"in force: {', '.join(changes)} ({now.profile})")


def _outcome(results: "Sequence[CheckResult]") -> tuple[str, str, str]:
    failed = [r for r in results if not r.passed]
    codes = ", ".join(r.check for r in failed)
    return "denied" if failed else "approved", codes, "; ".join(r.reason for r in failed)
