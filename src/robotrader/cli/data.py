"""Datasets: `data list`, `data seed`."""

from typing import Annotated

import typer

from robotrader.cli.command import Answer, Call, command, table
from robotrader.model import BarSpec


def register(app: typer.Typer) -> None:
    """Add the commands."""
    data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Market data sets.")
    command(data, "list")(show)
    command(data, "seed")(seed)
    app.add_typer(data, name="data")


def show(call: Call) -> Answer:
    """Name the datasets that need no path; files and folders of CSV or Parquet go by their path."""
    from robotrader import bootstrap

    found = bootstrap.datasets(call.state)
    rows = [(d.name, ",".join(d.symbols), d.spec, d.bars, d.note) for d in found]
    return Answer({"datasets": found}, table(("name", "symbols", "spec", "bars", "what"), rows, empty="no datasets"))


def seed(
    call: Call,
    *,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal bars, everywhere.")],
    symbols: Annotated[str, typer.Option("--symbols", metavar="A,B", help="Symbols.")] = "AAA,BBB,CCC",
    spec: Annotated[BarSpec, typer.Option("--spec", help="Length of a bar.")] = BarSpec.DAY,
    bars: Annotated[int, typer.Option("--bars", min=1, help="Bars of each symbol.")] = 2_520,
) -> Answer:
    """Generate synthetic bars and keep them as the dataset `seed`, in place of the one before."""
    from robotrader import bootstrap
    from robotrader.data.seeded import SeedSpec

    names = tuple(name.strip().upper() for name in symbols.split(",") if name.strip())
    made = bootstrap.seed(SeedSpec(seed=seed, symbols=names, spec=spec, bars=bars), call.state)
    payload = {
        "dataset": "seed", "seed": seed, "symbols": names, "spec": spec, "bars": bars, "rows": made.rows,
        "file": made.file, "data_hash": made.data_hash,
    }  # fmt: skip
    text = f"seed: {made.rows:,} bars of {spec} for {', '.join(names)}\n{made.file}\nhash {made.data_hash}"
    return Answer(payload, text)
