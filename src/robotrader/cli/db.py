"""The journal as a database: `db migrate`, `db verify`, `db stats`."""

import typer

from robotrader.cli.command import FAILED, OK, Answer, Call, command, facts, table
from robotrader.cli.read import sound
from robotrader.model import DataError

_NO_JOURNAL = "there is no journal yet: nothing to verify"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    db = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The journal as a database.")
    for function in (migrate, verify, stats):
        command(db, function.__name__)(function)
    app.add_typer(db, name="db")


def migrate(call: Call) -> Answer:
    """Create the journal, or bring it to the schema of this version."""
    from robotrader import bootstrap

    with sound(call.state):
        before = bootstrap.stats(call.state).schema
        bootstrap.migrate(call.state)
        schema, journal = bootstrap.stats(call.state).schema, call.state / bootstrap.JOURNAL
    did = {None: "created with", schema: "was already at"}.get(before, f"went from schema {before} to")
    payload = {"ok": True, "schema": schema, "before": before, "journal": journal}
    return Answer(payload, f"{journal} {did} schema {schema}")


def verify(call: Call) -> Answer:
    """Check the file, the hash chain, the append-only guards, and every invariant, replay included."""
    from robotrader import bootstrap

    try:
        with sound(call.state):
            report = None if bootstrap.stats(call.state).schema is None else bootstrap.verify(call.state)
    except DataError as error:
        payload = {"ok": False, "events": 0, "chain_ok": False, "invariants": {}, "file_ok": False, "file": str(error)}
        return Answer(payload, str(error), FAILED)
    if report is None:
        payload = {"ok": True, "events": 0, "chain_ok": True, "invariants": {}, "note": _NO_JOURNAL}
        return Answer(payload, f"{_NO_JOURNAL} ({call.state})")
    shown = {
        "verdict": "ok" if report.ok else "NOT OK",
        "events": report.events,
        "file": report.file or "ok",
        "hash chain": report.chain or "ok",
        "append-only guards": report.triggers or "ok",
        "conflicts kept": report.conflicts,
    }
    rows = [(name, "ok" if i.ok else "BROKEN", i.checked, i.detail) for name, i in report.invariants.items()]
    text = f"{facts(shown)}\n\n{table(('invariant', 'result', 'checked', 'detail'), rows, empty='')}"
    payload = {name: getattr(report, name) for name in report.__struct_fields__}
    return Answer(payload, text, OK if report.ok else FAILED)


def stats(call: Call) -> Answer:
    """Show the rows of every table, the size of the file, and the schema version."""
    from robotrader import bootstrap

    with sound(call.state):
        found = bootstrap.stats(call.state)
    head = facts({"schema": found.schema, "bytes": f"{found.bytes:,}"})
    return Answer(
        {"rows": found.rows, "bytes": found.bytes, "schema": found.schema, "journal": call.state / bootstrap.JOURNAL},
        f"{head}\n\n{table(('table', 'rows'), list(found.rows.items()), empty='')}",
    )
