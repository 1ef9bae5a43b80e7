"""CSV and Parquet files as bars. Uses Polars: import this module only where files are read or written."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from robotrader.adapters.parquet.durable import write_table
from robotrader.adapters.parquet.times import exchange_days, is_date, time_form, to_nanos
from robotrader.data.frame import BarFrame, concat
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES, Panel, Times
from robotrader.data.quality import Quarantined, Rule
from robotrader.model import DataError

Progress = Callable[[int], None]
"""Called with how many bytes have been read."""

_BLOCK = 1 << 24  # bytes of text parted at once: enough to be fast, little enough to bound memory
_NAMES = {"ticker": "symbol", "date": "timestamp", "datetime": "timestamp", "time": "timestamp", "vol": "volume"}
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


def read(path: Path, symbol: str | None, progress: Progress | None = None) -> Table:
    """Read one file, a CSV in blocks of lines; rows with missing or wrong fields are set aside.

    `symbol` picks one symbol, or names the bars of a file that has no symbol column; `progress` counts bytes.

    Raises
    ------
    DataError
        The file cannot be read, or its columns are not those of bars.
    """
    form, ended, known = "", False, dict[str, None]()
    parts: list[tuple[BarFrame, list[Quarantined]]] = []
    try:
        for block in _blocks(path, progress):
            raw = _wanted(block, path.name, symbol)
            form, ended = form or time_form(raw["timestamp"]), "end" in raw.columns
            if symbol is not None:
                known |= dict.fromkeys(raw["symbol"].cast(pl.String).drop_nulls().unique(maintain_order=True))
                raw = _pick(raw, symbol)
            parts.append(_part(raw, path.name, form))
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", path=str(path)) from error
    return Table(
        source=path.name, frame=concat([frame for frame, _ in parts]), rejected=[q for _, bad in parts for q in bad],
        dates=is_date(form), ended=ended, symbols=tuple(known),
    )  # fmt: skip


def write_bars(panel: Panel, path: Path, metadata: dict[str, str]) -> None:
    """Write a panel as one Parquet file, at once and durably (see `durable.write_table`)."""
    where = np.nonzero(~np.isnan(panel.close))
    names = np.array([i.symbol for i in panel.instruments])
    stamps = {"timestamp": panel.opened[where[0]], "end": panel.ts[where[0]]}
    table = pl.DataFrame(
        {"symbol": names[where[1]], **stamps, **{name: getattr(panel, name)[where] for name in VALUES}}
    ).with_columns(pl.col(*stamps).cast(pl.Datetime("ns", "UTC")))
    write_table(table, path, metadata)


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
    """Return the columns' names as we call them; those that we do not read get names that cannot clash.

    Stooq writes `<DATE>,<TIME>`: with a date beside it, a time is the clock of that date.
    """
    bare = [name.strip().strip("<>").lower() for name in names]
    known = _NAMES | {"time": "clock"} if "date" in bare else _NAMES
    plain = [known.get(name, name) for name in bare]
    twice = sorted({name for name in plain if name in _WANTED and plain.count(name) > 1})
    if twice:
        raise DataError(f"{source}: expected each column once, found more than one as {','.join(twice)}")
    return [name if name in (*_WANTED, "clock", "end") else f"#{i}" for i, name in enumerate(plain)]


def _blocks(path: Path, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """Yield a file's rows in one or more blocks, each with their numbers and cells."""
    if path.name.endswith(".parquet"):
        raw = pl.read_parquet(path, glob=False)
        raw.columns = _columns(raw.columns, path.name)
        yield raw.select(pl.exclude(r"^#\d+$")).with_row_index("row", offset=1)
        return
    row = 1
    with path.open("rb") as packed:
        file = gzip.GzipFile(fileobj=packed) if path.name.endswith(".gz") else packed
        head = file.readline().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r\n")
        names = _columns(next(csv.reader(io.StringIO(head)), []), path.name)
        while (body := file.read(_BLOCK) + file.readline()) or row == 1:
            lines = _lines(body, row)
            yield _cells(lines, names, quoted=b'"' in body)
            row += len(lines)
            if progress:
                progress(packed.tell())
            if not body:
                return


def _lines(body: bytes, first: int) -> pl.DataFrame:
    if not body.strip():
        return pl.DataFrame(schema={"row": pl.UInt32, "line": pl.String})
    return pl.read_csv(
        body, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String},
        encoding="utf8-lossy", row_index_name="row", row_index_offset=first, truncate_ragged_lines=True,
    )  # fmt: skip


def _cells(lines: pl.DataFrame, names: list[str], *, quoted: bool) -> pl.DataFrame:
    """Part whole lines here: a torn row takes no neighbour along, and rows keep their numbers."""
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    if quoted:
        lines = lines.with_columns(pl.col("line").str.replace_all('"', "", literal=True))
    cells = pl.col("line").str.splitn(",", len(names) + 1).struct.rename_fields([*names, "surplus"])
    return lines.select("row", cells.struct.unnest()).select(pl.exclude(r"^#\d+$", "end"))


def _wanted(raw: pl.DataFrame, source: str, symbol: str | None) -> pl.DataFrame:
    """Return a block with all columns of bars, or raise `DataError`."""
    if "clock" in raw.columns:
        raw = raw.with_columns(
            pl.concat_str("timestamp", "clock", separator="T").alias("timestamp"),
            *([pl.col("symbol").str.strip_suffix(".US")] if "symbol" in raw.columns else []),
        ).drop("clock")
    if "symbol" not in raw.columns and symbol is not None:
        raw = raw.with_columns(symbol=pl.lit(symbol))
    missing = [name for name in _WANTED if name not in raw.columns]
    if missing:
        hint = "; say which symbol the file holds (--symbol)" if missing == ["symbol"] else ""
        raise DataError(f"{source}: expected columns {','.join(_WANTED)}; missing {','.join(missing)}{hint}")
    return raw


def _pick(raw: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """Keep the rows of one symbol, under the name it was asked for, and those that name none."""
    named = pl.col("symbol").is_not_null()
    asked = pl.col("symbol").is_in([symbol, instrument_of(symbol).symbol])
    return raw.filter(asked | ~named).with_columns(symbol=pl.when(named).then(pl.lit(symbol)))


def _part(raw: pl.DataFrame, source: str, form: str) -> tuple[BarFrame, list[Quarantined]]:
    """Turn a block into bars and the rows that cannot be read as bars."""
    text = [name for name in VALUES if raw.schema[name] == pl.String]
    start = to_nanos(raw["timestamp"], form)
    try:
        cast = raw.with_columns(pl.col(text).str.strip_chars(), pl.col("symbol").cast(pl.String).str.strip_chars())
        cast = cast.with_columns(
            start, *(pl.col(v).cast(pl.Float64, strict=False).alias(n) for v, n in zip(VALUES, _NUMBERS, strict=True))
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{source}: the columns do not hold bars: {error}") from error
    surplus = [pl.col("surplus").is_not_null()] if "surplus" in raw.columns else []
    unusable = pl.any_horizontal(
        pl.col("symbol").fill_null("") == "", *surplus, *(pl.col(name).is_null() for name in ("start", *_NUMBERS))
    )
    bad = cast.filter(unusable)
    good = cast if bad.is_empty() else cast.filter(~unusable)
    return _to_frame(good), [_reject(row, source) for row in bad.iter_rows(named=True)]


def _to_frame(good: pl.DataFrame) -> BarFrame:
    symbol = good["symbol"]
    names = symbol.unique(maintain_order=True)
    start = good["start"].to_numpy()
    return BarFrame(
        symbols=tuple(names.to_list()),
        row=good["row"].to_numpy().astype(np.int64),
        symbol=symbol.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64),
        start=start,
        end=to_nanos(good["end"], time_form(good["end"])).to_numpy() if "end" in good.columns else start,
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
