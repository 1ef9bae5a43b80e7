"""The `robotrader` command."""

import gc
from typing import Annotated

import typer

from robotrader import __version__
from robotrader.cli import (
    control,
    data,
    db,
    demo,
    doctor,
    explore,
    kill,
    process,
    read,
    reconcile,
    report,
    risk,
    settings,
    simulate,
    strategy,
    trials,
)

app = typer.Typer(
    name="robotrader",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Research, run and operate systematic trading strategies on Interactive Brokers.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"robotrader {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


for module in (
    demo, simulate, explore, report, strategy, trials, process, read, control, kill, reconcile, risk, db, data,
    settings, doctor,
):  # fmt: skip
    module.register(app)


def main() -> None:
    """Run the command line.

    Libraries' objects stay to the end: to look through them for cycles again and again, and at the end, takes 0.6 s.
    """
    gc.set_threshold(100_000)
    try:
        app()
    finally:
        gc.freeze()
