"""Rows that the gate set aside, kept beside the lake until somebody releases them. Uses Polars."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from msgspec import Struct

from robotrader.adapters.parquet.durable import write_table
from robotrader.adapters.parquet.lake import Lake, read_rows
from robotrader.data.frame import BarFrame, Versions
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES
from robotrader.data.quality import Quarantined, Rule
from robotrader.model import BarSpec, DataError

_SCHEMA = pl.Schema(
    {"id": pl.String, "import_id": pl.String, "source": pl.String, "row": pl.Int64, "rule": pl.String,
     "detail": pl.String, "instrument": pl.String, "spec": pl.String, "start": pl.Int64, "end": pl.Int64,
     **dict.fromkeys(VALUES, pl.Float64), "known": pl.Int64, "released": pl.Int64}
)  # fmt: skip
_NO_BAR = frozenset({Rule.FIELD, Rule.TYPE, Rule.TIME, Rule.FINITE, Rule.POSITIVE, Rule.VOLUME})
"""Rules whose rows nobody can want in the lake: they are no prices."""


class Released(Struct, frozen=True, kw_only=True):
    """What a release did: rows put into the lake, and rows that are no bars and stay."""

    released: int
    refused: int


def keep(
    lake: Lake, set_aside: Sequence[Quarantined], bars: BarFrame, *, spec: BarSpec, import_id: str, now: int
) -> None:
    """Keep rows that were set aside, each once however often its file is imported.

    `bars` holds, under the same numbers, those of the rows that can be read as bars, on their times.
    """
    where = {int(row): k for k, row in enumerate(bars.row)}
    fresh = pl.DataFrame([_record(q, bars, where.get(q.row), spec) for q in set_aside], schema=_SCHEMA)
    fresh = fresh.with_columns(import_id=pl.lit(import_id), known=pl.lit(now, pl.Int64))
    with lake.locked():
        there = kept(lake)
        fresh = fresh.unique("id", keep="first", maintain_order=True).join(there, on="id", how="anti")
        if len(fresh):
            write_table(pl.concat([there, fresh]), _file(lake))


def kept(lake: Lake) -> pl.DataFrame:
    """Return all rows that were ever set aside; `released` is null or when that was, ns UTC."""
    return read_rows([_file(lake)]) if _file(lake).exists() else _SCHEMA.to_frame()


def release(lake: Lake, key: str, *, now: int, who: str, reason: str) -> Released:
    """Put a row, or all rows of an import, into the lake after all, known from `now` on (ns UTC).

    Raises
    ------
    DataError
        No row that waits has this id, or none of those it names is a bar.
    """
    there = kept(lake)
    named = (pl.col("id") == key) | (pl.col("import_id") == key)
    waiting = there.filter(named & pl.col("released").is_null())
    if waiting.is_empty():
        hint = "was released before" if len(there.filter(named)) else "is not there: see `robotrader data check lake`"
        raise DataError(f"expected the id of a quarantined row or of an import, found {key!r}, which {hint}")
    bars = waiting.filter(~pl.col("rule").is_in([*_NO_BAR]) & pl.col("start").is_not_null())
    if bars.is_empty():
        first = waiting.row(0, named=True)
        raise DataError(f"{key} holds no bar ({first['rule']}): correct {first['source']} and import it again")
    for (spec, source), rows in bars.partition_by("spec", "source", as_dict=True).items():
        lake.write(Versions(frame=_frame(rows), spec=BarSpec(str(spec)), known=now, source=f"{source} (released)"))
    done = pl.when(pl.col("id").is_in(bars["id"].to_list())).then(pl.lit(now)).otherwise(pl.col("released"))
    with lake.locked():
        write_table(kept(lake).with_columns(released=done), _file(lake))
    lake.note({"did": "release", "at": now, "who": who, "why": reason, "id": key, "rows": bars["id"].to_list()})
    return Released(released=len(bars), refused=len(waiting) - len(bars))


def _file(lake: Lake) -> Path:
    return lake.root / "quarantine" / "rows.parquet"


def _record(q: Quarantined, bars: BarFrame, k: int | None, spec: BarSpec) -> dict[str, object]:
    values = {} if k is None else {name: float(getattr(bars, name)[k]) for name in VALUES}
    times = {} if k is None else {"start": int(bars.start[k]), "end": int(bars.end[k])}
    named = None if k is None else instrument_of(bars.symbols[int(bars.symbol[k])]).id
    name = f"{q.source}|{spec}|{q.row}|{q.rule}|{q.detail}".encode()
    return {"id": f"q-{hashlib.sha256(name).hexdigest()[:12]}", "source": q.source, "row": q.row, "rule": q.rule.value,
            "detail": q.detail, "instrument": named, "spec": spec.value, **times, **values}  # fmt: skip


def _frame(rows: pl.DataFrame) -> BarFrame:
    names = rows["instrument"].unique(maintain_order=True)
    return BarFrame(
        symbols=tuple(names.to_list()), row=rows["row"].to_numpy(),
        symbol=np.array([names.to_list().index(name) for name in rows["instrument"]], np.int64),
        **{name: rows[name].to_numpy() for name in ("start", "end", *VALUES)},
    )  # fmt: skip
