"""CSV and Parquet files as bars. Uses Polars: import this module only where files are read or written."""

import csv
import gzip
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from robotrader.adapters.parquet.times import exchange_days, to_nanos
from robotrader.data.frame import BarFrame
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES, Panel, Times
from robotrader.data.quality import Quarantined, Rule
from robotrader.model import DataError

_NAMES = {"ticker": "symbol", "date": "timestamp", "datetime": "timestamp", "time": "timestamp"}
_WANTED = ("symbol", "timestamp", *VALUES)
_NUMBERS = tuple(f"={name}" for name in VALUES)  # the values as numbers, beside the cells as they were


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One file's bars and what could not be read as bars.

    `dates`: times are dates of sessions, `start` is their midnight UTC. `ended`: the file says when each bar ended,
    else `end` repeats `start`. `symbols`: every symbol of the file, if one was asked for.
    """

    source: str
    frame: BarFrame
    rejected: list[Quarantined]
    dates: bool
    ended: bool
    symbols: tuple[str, ...] = ()


def read(path: Path, symbol: str | None) -> Table:
    """Read one file; rows with missing or wrong fields are set aside.

    `symbol` picks one symbol, or names the bars of a file that has no symbol column.

    Raises
    ------
    DataError
        The file cannot be read, or its columns are not those of bars.
    """
    try:
        raw = _read_parquet(path) if path.name.endswith(".parquet") else _read_csv(path)
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", path=str(path)) from error
    if "symbol" not in raw.columns and symbol is not None:
        raw = raw.with_columns(symbol=pl.lit(symbol))
    missing = [name for name in _WANTED if name not in raw.columns]
    if missing:
        hint = "; say which symbol the file holds (--symbol)" if missing == ["symbol"] else ""
        raise DataError(f"{path.name}: expected columns {','.join(_WANTED)}; missing {','.join(missing)}{hint}")
    if symbol is None:
        return _to_table(raw, path.name)
    known = tuple(raw["symbol"].cast(pl.String).drop_nulls().unique(maintain_order=True).to_list())
    asked = pl.col("symbol").is_in([symbol, instrument_of(symbol).symbol])
    picked = raw.filter(asked | pl.col("symbol").is_null()).with_columns(
        symbol=pl.when(pl.col("symbol").is_not_null()).then(pl.lit(symbol))
    )
    return _to_table(picked, path.name, symbols=known)


def write_bars(panel: Panel, path: Path, metadata: dict[str, str]) -> None:
    """Write a panel as one Parquet file, at once and durably: a reader sees the old file or the new one."""
    where = np.nonzero(~np.isnan(panel.close))
    names = np.array([i.symbol for i in panel.instruments])
    stamps = {"timestamp": panel.opened[where[0]], "end": panel.ts[where[0]]}
    table = pl.DataFrame(
        {"symbol": names[where[1]], **stamps, **{name: getattr(panel, name)[where] for name in VALUES}}
    ).with_columns(pl.col(*stamps).cast(pl.Datetime("ns", "UTC")))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            table.write_parquet(file, compression="zstd", metadata=metadata)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def metadata_of(path: Path) -> dict[str, str]:
    """Return what was written beside the bars of a Parquet file; `DataError` where it cannot be read."""
    try:
        return pl.read_parquet_metadata(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", path=str(path)) from error


def session_dates(start: Times) -> Times:
    """Return the dates, as ns at midnight UTC, of daily bars that begin at `start` (ns UTC)."""
    return exchange_days(pl.Series(start)).to_numpy()


def _columns(names: list[str], source: str) -> list[str]:
    """Return the columns' names as we call them; those that we do not read get names that cannot clash."""
    plain = [_NAMES.get(name, name) for name in (name.strip().lower() for name in names)]
    twice = sorted({name for name in plain if name in _WANTED and plain.count(name) > 1})
    if twice:
        raise DataError(f"{source}: expected each column once, found more than one as {','.join(twice)}")
    return [name if name in (*_WANTED, "end") else f"#{i}" for i, name in enumerate(plain)]


def _read_parquet(path: Path) -> pl.DataFrame:
    raw = pl.read_parquet(path, glob=False)
    raw.columns = _columns(raw.columns, path.name)
    return raw.select(pl.exclude(r"^#\d+$")).with_row_index("row", offset=1)


def _read_csv(path: Path) -> pl.DataFrame:
    """Read whole lines and part them here: a torn row takes no neighbour along, and rows keep their numbers."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    head, _, body = content.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    names = _columns(next(csv.reader(io.StringIO(head.decode("utf-8", "replace").rstrip("\r"))), []), path.name)
    if not body.strip():
        return pl.DataFrame(schema={"row": pl.UInt32, **dict.fromkeys(names, pl.String)})
    lines = pl.read_csv(
        body, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String},
        encoding="utf8-lossy", row_index_name="row", row_index_offset=1, truncate_ragged_lines=True,
    )  # fmt: skip
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    if b'"' in body:
        lines = lines.with_columns(pl.col("line").str.replace_all('"', "", literal=True))
    cells = pl.col("line").str.splitn(",", len(names) + 1).struct.rename_fields([*names, "surplus"])
    return lines.select("row", cells.struct.unnest()).select(pl.exclude(r"^#\d+$", "end"))


def _to_table(raw: pl.DataFrame, source: str, symbols: tuple[str, ...] = ()) -> Table:
    text = [name for name in VALUES if raw.schema[name] == pl.String]
    start, dates = to_nanos(raw["timestamp"])
    try:
        cast = raw.with_columns(pl.col(text).str.strip_chars()).with_columns(
            start, *(pl.col(v).cast(pl.Float64, strict=False).alias(n) for v, n in zip(VALUES, _NUMBERS, strict=True))
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{source}: the columns do not hold bars: {error}") from error
    surplus = [pl.col("surplus").is_not_null()] if "surplus" in raw.columns else []
    empty = pl.col("symbol").cast(pl.String).fill_null("").str.strip_chars() == ""
    unusable = pl.any_horizontal(empty, *surplus, *(pl.col(name).is_null() for name in ("start", *_NUMBERS)))
    bad = cast.filter(unusable)
    good = cast if bad.is_empty() else cast.filter(~unusable)
    return Table(
        source=source, frame=_to_frame(good), rejected=[_reject(row, source) for row in bad.iter_rows(named=True)],
        dates=dates, ended="end" in raw.columns, symbols=symbols,
    )  # fmt: skip


def _to_frame(good: pl.DataFrame) -> BarFrame:
    symbol = good["symbol"].cast(pl.String).str.strip_chars()
    names = symbol.unique(maintain_order=True)
    start = good["start"].to_numpy()
    return BarFrame(
        symbols=tuple(names.to_list()),
        row=good["row"].to_numpy().astype(np.int64),
        symbol=symbol.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64),
        start=start,
        end=to_nanos(good["end"])[0].to_numpy() if "end" in good.columns else start,
        **{name: good[f"={name}"].to_numpy() for name in VALUES},
    )


def _reject(row: dict[str, Any], source: str) -> Quarantined:
    """Say what is wrong with a row that cannot be read as a bar."""
    empty = [name for name in _WANTED if row[name] is None or str(row[name]).strip() == ""]
    if row.get("surplus") is not None:
        rule, detail = Rule.FIELD, f"expected no field after the last column, found {row['surplus']!r}"
    elif empty:
        rule, detail = Rule.FIELD, f"expected a value in every column, found none for {', '.join(empty)}"
    elif row["start"] is None:
        rule, detail = Rule.TIME, f"expected a time as in the other rows, found {str(row['timestamp'])!r}"
    else:
        name = next(v for v, n in zip(VALUES, _NUMBERS, strict=True) if row[n] is None)
        rule, detail = Rule.TYPE, f"expected a number for {name}, found {row[name]!r}"
    return Quarantined(int(row["row"]), rule, detail, source)
