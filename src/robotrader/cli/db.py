"""The journal as a database: its schema, its soundness, its size, its backups."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robotrader.cli.command import FAILED, OK, PARTIAL, Answer, Call, command, facts, iso, table
from robotrader.cli.read import sound
from robotrader.cli.settings import load
from robotrader.model import DataError

if TYPE_CHECKING:
    from robotrader.bootstrap import BackupReport

_NO_JOURNAL = "there is no journal yet: nothing to verify"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    db = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The journal as a database.")
    for function in (migrate, verify, stats, backup, restore, maintain):
        command(db, function.__name__)(function)
    app.add_typer(db, name="db")


def migrate(call: Call) -> Answer:
    """Create the journal, or bring it to the schema of this version."""
    from robotrader import bootstrap

    with sound(call.state):
        before = bootstrap.stats(call.state).schema
        bootstrap.migrate(call.state, load(call)[0].journal.url)
        schema, journal = bootstrap.stats(call.state).schema, bootstrap.journal_place(call.state)
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
        found, place = bootstrap.stats(call.state), bootstrap.journal_place(call.state)
    head = facts({"schema": found.schema, "bytes": f"{found.bytes:,}"})
    return Answer(
        {"rows": found.rows, "bytes": found.bytes, "schema": found.schema, "journal": place},
        f"{head}\n\n{table(('table', 'rows'), list(found.rows.items()), empty='')}",
    )


def backup(
    call: Call, file: Annotated[str, typer.Argument(metavar="FILE", help="A file, or a folder of rotated backups.")]
) -> Answer:
    """Copy the journal while a trader writes it; the copy is verified before it gets its name."""
    from robotrader import bootstrap

    with sound(call.state):
        made = bootstrap.back_up(call.state, file, load(call)[0].retention)
    return Answer(_backup(made), f"{made.file}: {made.manifest.seq} rows of the chain, verified")


def _backup(made: "BackupReport") -> dict[str, object]:
    found = made.manifest
    return {
        "ok": True, "file": made.file, "seq": found.seq, "sha256": found.sha256, "schema": found.schema,
        "rows": found.rows, "taken": iso(found.taken), "removed": made.removed,
    }  # fmt: skip


def restore(call: Call, file: Annotated[Path, typer.Argument(metavar="FILE", help="What `db backup` made.")]) -> Answer:
    """Put a backup in the journal's place; trading is HALTED afterwards, the journal before it is kept."""
    from robotrader import bootstrap

    with sound(call.state):
        done = bootstrap.restore(call.state, file)
    payload = {"ok": True, "trading_state": "HALTED", **{name: getattr(done, name) for name in done.__struct_fields__}}
    shown = {
        "restored": f"{done.seq} rows of the chain, from {file}",
        "the journal before it": done.replaced or "there was none",
        "trading state": "HALTED: start the trader, compare with the broker, then `robotrader resume`",
    }
    return Answer(payload, facts(shown))


def maintain(call: Call) -> Answer:
    """Do what each night wants: back up and rotate, archive, look at the disk."""
    from robotrader import bootstrap

    with sound(call.state):
        done = bootstrap.maintain(call.state, load(call)[0].retention)
    archived = "not while the market is open" if done.archived is None else f"{done.archived.rows:,} rows"
    shown = {"backup": done.backup.file, "backups removed": len(done.backup.removed), "archived": archived,
             "bytes free": f"{done.free_bytes:,}", "problems": "; ".join(done.problems) or "none"}  # fmt: skip
    payload = {
        "ok": not done.problems, "backup": _backup(done.backup), "archived": done.archived,
        "free_bytes": done.free_bytes, "problems": done.problems,
    }  # fmt: skip
    return Answer(payload, facts(shown), PARTIAL if done.problems else OK)
