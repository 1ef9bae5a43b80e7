"""The journal as a database: `db migrate`, `db verify`, `db stats`."""

import typer

from robotrader.cli.command import FAILED, OK, Answer, Call, command, facts, table

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

    before = bootstrap.stats(call.state).schema
    bootstrap.migrate(call.state)
    schema, journal = bootstrap.stats(call.state).schema, call.state / bootstrap.JOURNAL
    did = {None: "created with", schema: "was already at"}.get(before, f"went from schema {before} to")
    return Answer({"ok": True, "schema": schema, "before": before, "journal": journal}, f"{journal} {did} schema {schema}")


def verify(call: Call) -> Answer:
    """Check the file, the hash chain, the append-only guards, and every invariant, replay included."""
    from sqlalchemy.exc import SQLAlchemyError

    from robotrader import bootstrap

    try:
        if bootstrap.stats(call.state).schema is None:
            payload = {"ok": True, "events": 0, "chain_ok": True, "invariants": {}, "note": _NO_JOURNAL}
            return Answer(payload, f"{_NO_JOURNAL} ({call.state})")
        report = bootstrap.verify(call.state)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error)
        payload = {"ok": False, "events": 0, "chain_ok": False, "invariants": {}, "file_ok": False, "file": said}
        return Answer(payload, f"the journal cannot be read: {said}; restore a backup", FAILED)
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

    found = bootstrap.stats(call.state)
    head = facts({"schema": found.schema, "bytes": f"{found.bytes:,}"})
    return Answer(
        {"rows": found.rows, "bytes": found.bytes, "schema": found.schema, "journal": call.state / bootstrap.JOURNAL},
        f"{head}\n\n{table(('table', 'rows'), list(found.rows.items()), empty='')}",
    )
