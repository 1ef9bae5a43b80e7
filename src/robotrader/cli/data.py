"""Datasets and the lake: `data list`, `data import`, `data check`, `data release`, `data seed`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from robotrader.cli import data_actions, data_archive, data_backfill
from robotrader.cli.command import DATA, OK, PARTIAL, Answer, Call, command, facts, iso, table
from robotrader.cli.control import operator
from robotrader.model import BarSpec

Symbol = Annotated[str | None, typer.Option(help="This symbol only, or what a file without symbol column holds.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Market data sets.")
    command(data, "list")(show)
    command(data, "import")(import_)
    command(data, "check")(check)
    command(data, "release")(release)
    command(data, "seed")(seed)
    command(data, "archive")(data_archive.archive)
    command(data, "backfill")(data_backfill.backfill)
    data_actions.register(data)
    app.add_typer(data, name="data")


def show(call: Call) -> Answer:
    """Name the datasets that need no path; files and folders of CSV or Parquet go by their path."""
    from robotrader import bootstrap

    found = bootstrap.datasets(call.state)
    rows = [(d.name, ",".join(d.symbols), d.spec, d.bars, d.note) for d in found]
    return Answer({"datasets": found}, table(("name", "symbols", "spec", "bars", "what"), rows, empty="no datasets"))


def import_(
    call: Call,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV (.csv, .csv.gz) or Parquet file, or a folder.")],
    *,
    symbol: Symbol = None,
    spec: Annotated[BarSpec | None, typer.Option("--spec", help="Length of a bar; default: their distance.")] = None,
) -> Answer:
    """Import files into the lake; rows that break a rule go into quarantine, and nothing is ever written twice."""
    from robotrader import bootstrap

    paths = bootstrap.data_files(file, call.state)
    progress = call.progress(sum(path.stat().st_size for path in paths), "import")
    done = bootstrap.import_data(paths, call.state, symbol=symbol, spec=spec, who=operator(), progress=progress)
    payload = {name: getattr(done, name) for name in done.__struct_fields__}
    shown = {name: f"{value:,}" for name, value in payload.items() if name.startswith("rows_")}
    notes = {"by_rule": _counts(done.by_rule), "warnings": _counts(done.warnings)}
    notes |= {f"failed: {name}": why for name, why in done.failed.items()}
    hint = f"\nsee them with `robotrader data check lake`; all at once: `robotrader data release {done.import_id}`"
    text = facts({"import": done.import_id, **shown, **{name: note for name, note in notes.items() if note}})
    code = PARTIAL if done.failed else OK if done.usable else DATA
    return Answer(payload, text + (hint if done.rows_quarantined else ""), code)


def check(
    call: Call,
    dataset: Annotated[str, typer.Argument(metavar="[D]", help="Dataset, file or folder; default: the lake.")] = "lake",
    *,
    symbol: Symbol = None,
) -> Answer:
    """Judge every bar of a dataset: what is unfit, what is missing, what deserves a look."""
    from robotrader import bootstrap

    found = bootstrap.check_data(dataset, call.state, symbol=symbol)
    payload = {name: getattr(found, name) for name in found.__struct_fields__}
    payload["gaps"] = [{"symbol": g.symbol, "until": iso(g.until), "detail": g.detail} for g in found.gaps]
    shown = {name: value for name, value in payload.items() if isinstance(value, int)}
    by_rule = {"by rule": _counts(found.by_rule), "warnings": _counts(found.warnings), "gaps": len(found.gaps)}
    rows = [(q.id, q.source, q.row, q.rule, q.detail) for q in found.set_aside]
    listed = table(("id", "source", "row", "rule", "detail"), rows, empty="no row is quarantined")
    return Answer(payload, f"{facts({**shown, **by_rule})}\n\n{listed}")


def release(
    call: Call,
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of a quarantined row (q-...) or of an import (im-...).")],
    *,
    reason: Annotated[str, typer.Option(help="Why these rows are right; kept in the lake's audit file.")] = "",
) -> Answer:
    """Put quarantined rows into the lake after all; what is no price at all stays out."""
    from robotrader import bootstrap

    done = bootstrap.release_data(key, call.state, who=operator(), reason=reason)
    payload = {"id": key, "released": done.released, "refused": done.refused, "reason": reason}
    return Answer(payload, facts(payload))


def _counts(by_rule: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} {count:,}" for rule, count in sorted(by_rule.items()))


def seed(
    call: Call,
    *,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal bars, everywhere.")],
    symbols: Annotated[str, typer.Option("--symbols", metavar="A,B", help="Symbols.")] = "AAA,BBB,CCC",
    spec: Annotated[BarSpec, typer.Option("--spec", help="Length of a bar.")] = BarSpec.DAY,
    bars: Annotated[int, typer.Option("--bars", min=1, help="Bars of each symbol.")] = 2_520,
    splits: Annotated[int, typer.Option("--splits", min=0, help="Stock splits of each symbol.")] = 0,
    jumps: Annotated[int, typer.Option("--jumps", min=0, help="Jumps of each symbol's price.")] = 0,
    gaps: Annotated[int, typer.Option("--gaps", min=0, help="Stretches of missing bars of each symbol.")] = 0,
    bad_ticks: Annotated[int, typer.Option("--bad-ticks", min=0, help="Bars of each symbol that are wrong.")] = 0,
) -> Answer:
    """Generate synthetic bars and keep them as the dataset `seed`, in place of the one before."""
    from robotrader import bootstrap
    from robotrader.data.seeded import SeedSpec

    names = tuple(name.strip().upper() for name in symbols.split(",") if name.strip())
    faults = {"splits": splits, "jumps": jumps, "gaps": gaps, "bad_ticks": bad_ticks}
    made = bootstrap.seed(SeedSpec(seed=seed, symbols=names, spec=spec, bars=bars, **faults), call.state)
    payload = {
        "dataset": "seed", "seed": seed, "symbols": names, "spec": spec, "bars": bars, "rows": made.rows,
        "file": made.file, "data_hash": made.data_hash, "actions": made.actions, **faults,
    }  # fmt: skip
    text = f"seed: {made.rows:,} bars of {spec} for {', '.join(names)}\n{made.file}\nhash {made.data_hash}"
    return Answer(
        payload, text + (f"\nsplits: `robotrader data actions import {made.actions}`" if made.actions else "")
    )
