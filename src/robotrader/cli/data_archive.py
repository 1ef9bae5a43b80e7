"""`data archive`: old rows go from the journal to Parquet."""

from typing import Annotated

import typer

from robotrader.cli.command import Answer, Call, facts
from robotrader.cli.read import sound
from robotrader.cli.settings import load


def archive(
    call: Call, *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would move.")] = False
) -> Answer:
    """Move rows that are older than `[retention]` allows out of the journal, verified before anything is deleted."""
    from robotrader import bootstrap

    with sound(call.state):
        done = bootstrap.archive(call.state, load(call)[0].retention, dry_run=dry_run)
    shown = {
        "rows to move" if dry_run else "rows moved": f"{done.rows:,}",
        "bars to move" if dry_run else "bars moved": f"{done.bars:,}",
        "archived through": done.through,
        "segments": len(done.segments),
        "rows taken out": f"{done.thinned:,}",
    }
    return Answer({"dry_run": dry_run, **{f: getattr(done, f) for f in done.__struct_fields__}}, facts(shown))
