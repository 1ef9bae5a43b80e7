"""Corporate actions: `data actions import`, `data actions list`."""

from pathlib import Path
from typing import Annotated

import typer

from robotrader.cli.command import DATA, OK, Answer, Call, command, facts, iso, table


def register(data: typer.Typer) -> None:
    """Add the commands below `data`."""
    actions = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Splits, dividends and the like.")
    command(actions, "import")(import_)
    command(actions, "list")(show)
    data.add_typer(actions, name="actions")


def import_(
    call: Call, file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, or CSV with gzip (.gz).")]
) -> Answer:
    """Add corporate actions; the same file twice changes nothing, other values become a new version."""
    from robotrader import bootstrap

    done = bootstrap.import_actions(file, call.state)
    counts = {name: getattr(done, name) for name in done.__struct_fields__ if name.startswith("rows_")}
    rows = [(r.row, r.rule, r.detail) for r in done.quarantined]
    text = facts(counts) + ("\n" + table(("row", "rule", "detail"), rows, empty="") if rows else "")
    usable = done.rows_read > done.rows_quarantined
    return Answer(counts | {"quarantined": done.quarantined}, text, OK if usable or not done.rows_read else DATA)


def show(
    call: Call, *, symbol: Annotated[str | None, typer.Option("--symbol", help="This symbol only.")] = None
) -> Answer:
    """Name the corporate actions as they are known now, oldest first."""
    from robotrader import bootstrap

    found = [a for a in bootstrap.corporate_actions(call.state) if symbol in {None, a.symbol}]
    rows = [(a.symbol, a.kind, a.ex_date, f"{a.new}:{a.old}" if a.new != a.old else "", a.cash, a.successor,
             iso(a.known_at), a.source) for a in found]  # fmt: skip
    names = ("symbol", "kind", "ex date", "ratio", "cash", "successor", "known", "source")
    return Answer({"actions": found}, table(names, rows, empty="no corporate actions: `data actions import FILE`"))
