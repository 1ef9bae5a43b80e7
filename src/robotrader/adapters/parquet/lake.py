"""The lake: bars in Parquet, versioned by when they became known. Uses Polars.

A partition `kind=bars/spec=1d/instrument=AAPL.SMART/year=2016` (the bar's start, UTC) is one file, sorted by start and
knowledge time. A bar that comes with other values is one more version of it; nothing is overwritten.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.adapters.parquet.durable import write_table
from robotrader.data.frame import LAST, BarFrame, Versions
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES, Floats
from robotrader.model import BarSpec, DataError, InstrumentId

_SCHEMA = pl.Schema(
    {"start": pl.Int64, "end": pl.Int64, "known": pl.Int64, "source": pl.String, "hash": pl.UInt64,
     **dict.fromkeys(VALUES, pl.Float64), "extended": pl.Boolean}
)  # fmt: skip


class Written(Struct, frozen=True, kw_only=True):
    """What a write did with the rows: new bars, new versions of bars, and bars known with the same values."""

    new: int = 0
    restated: int = 0
    duplicate: int = 0


class Holding(NamedTuple):
    """One instrument and bar length that the lake has."""

    instrument: InstrumentId
    spec: BarSpec

    def goes_by(self, name: str) -> bool:
        """Tell whether a name is its id or its symbol."""
        return name in {self.instrument, self.instrument.rpartition(".")[0]}


class Content(Struct, frozen=True, kw_only=True):
    """How much there is of one holding; times are starts of bars, ns UTC."""

    instrument: InstrumentId
    spec: BarSpec
    bars: int
    versions: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake at a folder; it need not exist yet."""

    root: Path

    def write(self, versions: Versions) -> Written:
        """Add what is news; every partition is replaced at once and durably, so a crash costs whole partitions only.

        A row is no news when the version in force at its knowledge time has the same values: writing again what a
        crash cut short completes it, writing it twice changes nothing.
        """
        done = Written()
        with self.locked():
            for path, rows in self._partitions(versions):
                done = _sum(done, _merge(path, rows))
        return done

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out, of this process and others; readers need no lock."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def note(self, entry: Mapping[str, object]) -> None:
        """Append one line of JSON to the lake's audit file."""
        with self.locked(), (self.root / "audit.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def scan(
        self,
        instruments: Sequence[InstrumentId],
        spec: BarSpec,
        *,
        start: int = -LAST,
        end: int = LAST,
        as_of: int = LAST,
        more: Iterable[Versions] = (),
    ) -> BarFrame:
        """Return the bars that begin in start <= t < end as they were known at `as_of` (ns UTC), oldest first.

        Of each bar the newest version known by then, wherever it is: in the lake or in `more`, which gives what other
        stores have (the journal's bars). Symbols of the frame are the ids; `row` counts from 1.
        """
        wanted = pl.col("start").is_between(start, end, closed="left") & (pl.col("known") <= as_of)
        others = [v for v in more if v.spec is spec]
        parts = []
        for iid in instruments:
            kept = [read_rows(files)] if (files := self._files(iid, spec, start, end)) else []
            kept += [_table(v, _extended(v), _rows_of(v.frame, iid)) for v in others]
            parts.append(_newest(pl.concat([_SCHEMA.to_frame(), *kept]).filter(wanted)))
        return _to_frame(instruments, parts)

    def holdings(self) -> tuple[Holding, ...]:
        """Name what is there, without a look into the files."""
        folders = sorted(self.root.glob("kind=bars/spec=*/instrument=*"))
        names = [[unquote(part.partition("=")[2]) for part in folder.parts[-2:]] for folder in folders]
        return tuple(Holding(InstrumentId(iid), BarSpec(spec)) for spec, iid in names)

    def pick(self, name: str) -> tuple[Holding, ...]:
        """Return what `lake[:SYMBOL[,SYMBOL...]][@SPEC]` means; `DataError` where one is not there."""
        symbols, _, spec = name.removeprefix("lake").removeprefix(":").partition("@")
        asked = [text.strip() for text in symbols.split(",") if text.strip()]
        there = [h for h in self.holdings() if spec in {"", h.spec}]
        picked = tuple(h for h in there if not asked or any(h.goes_by(text) for text in asked))
        missing = [text for text in asked if not any(h.goes_by(text) for h in picked)]
        if missing or not picked:
            what = f"{spec} bars".strip() + (f" of {', '.join(missing)}" if missing else "")
            raise DataError(f"the lake has no {what}: see `robotrader data list`, import with `robotrader data import`")
        return picked

    def contents(self, holdings: Iterable[Holding]) -> tuple[Content, ...]:
        """Count the bars and versions of holdings."""
        found = []
        for iid, spec in holdings:
            if files := self._files(iid, spec, -LAST, LAST):
                start = read_rows(files, ["start"])["start"]
                found.append(Content(instrument=iid, spec=spec, bars=start.n_unique(), versions=len(start),
                                     first=int(start[0]), last=int(start[-1])))  # fmt: skip
        return tuple(found)

    def _folder(self, iid: InstrumentId, spec: BarSpec) -> Path:
        return self.root / "kind=bars" / f"spec={spec}" / f"instrument={quote(iid, safe='')}"

    def _files(self, iid: InstrumentId, spec: BarSpec, start: int, end: int) -> list[Path]:
        low, high = (int(np.datetime64(t, "ns").astype("datetime64[Y]").astype(int)) + 1970 for t in (start, end))
        found = sorted(self._folder(iid, spec).glob("year=*/bars.parquet"))
        return [f for f in found if low <= int(f.parent.name.removeprefix("year=")) <= high]

    def _partitions(self, versions: Versions) -> Iterator[tuple[Path, pl.DataFrame]]:
        """Yield each partition's file and rows, one after the other: a copy of a large import would not fit twice."""
        frame, extended = versions.frame, _extended(versions)
        year = frame.start.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970
        key = frame.symbol * 10_000 + year
        order = np.argsort(key, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(order) else ():
            iid = instrument_of(frame.symbols[int(frame.symbol[rows[0]])]).id
            yield (
                self._folder(iid, versions.spec) / f"year={year[rows[0]]}" / "bars.parquet",
                _table(versions, extended, rows),
            )


def read_rows(files: Sequence[Path], columns: list[str] | None = None) -> pl.DataFrame:
    """Read Parquet files of a lake; `DataError` names the one that is damaged."""
    try:
        return pl.read_parquet(list(files), columns=columns, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        for file in files[1:] and files:
            read_rows([file], columns)  # raises for the one that is to blame
        raise DataError(f"{files[0]} is damaged: move it away and import again ({error})") from error


def payload_hash(values: Sequence[Floats]) -> NDArray[np.uint64]:
    """Return 64 bits that name each row's values, the same on every machine: words mixed as in splitmix64 (Vigna)."""
    mixed = np.zeros(len(values[0]), np.uint64)
    for column in values:
        mixed ^= (np.ascontiguousarray(column) + 0.0).view(np.uint64)  # -0.0 is 0.0
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 0x9E3779B97F4A7C15)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed


def _extended(v: Versions) -> NDArray[np.bool_]:
    flags = np.zeros(len(v.frame), np.bool_)
    if v.extended is not None:
        flags[v.extended] = True
    return flags


def _table(v: Versions, extended: NDArray[np.bool_], rows: NDArray[np.int64]) -> pl.DataFrame:
    frame = v.frame.take(rows)
    known = np.broadcast_to(np.asarray(v.known, np.int64), len(v.frame))[rows]
    columns = {name: getattr(frame, name) for name in VALUES}
    return pl.DataFrame(
        {"start": frame.start, "end": frame.end, "known": known, "source": v.source,
         "hash": payload_hash(list(columns.values())), **columns, "extended": extended[rows]}, schema=_SCHEMA,
    )  # fmt: skip


def _rows_of(frame: BarFrame, iid: InstrumentId) -> NDArray[np.int64]:
    codes = [code for code, name in enumerate(frame.symbols) if instrument_of(name).id == iid]
    return np.flatnonzero(np.isin(frame.symbol, codes))


def _merge(path: Path, rows: pl.DataFrame) -> Written:
    """Put rows among the versions of a partition; the file changes only if that is news."""
    old = read_rows([path]) if path.exists() else _SCHEMA.to_frame()
    both = pl.concat([old.with_columns(fresh=False), rows.with_columns(fresh=True)])
    both = both.sort("start", "known", "fresh", maintain_order=True)
    again = pl.col("start") == pl.col("start").shift(1)
    said = again & (pl.col("hash") == pl.col("hash").shift(1)) & pl.col("fresh")
    both = both.with_columns(again=again.fill_null(value=False), said=said.fill_null(value=False))
    kept = both.filter(~pl.col("said"))
    restated = kept.filter(pl.col("fresh") & pl.col("again")).height
    new = kept.height - old.height - restated
    if new + restated:
        write_table(kept.drop("fresh", "again", "said"), path)
    return Written(new=new, restated=restated, duplicate=rows.height - new - restated)


def _sum(a: Written, b: Written) -> Written:
    return Written(new=a.new + b.new, restated=a.restated + b.restated, duplicate=a.duplicate + b.duplicate)


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each bar's newest version, by start; partitions come sorted, so mostly there is nothing to do."""
    if not bool((rows["start"].diff() <= 0).any()):
        return rows
    return rows.sort("start", "known", maintain_order=True).unique("start", keep="last", maintain_order=True)


def _to_frame(instruments: Sequence[InstrumentId], parts: list[pl.DataFrame]) -> BarFrame:
    table = pl.concat(parts) if parts else _SCHEMA.to_frame()
    return BarFrame(
        symbols=tuple(instruments), row=np.arange(1, table.height + 1),
        symbol=np.repeat(np.arange(len(parts)), [part.height for part in parts]),
        **{name: table[name].to_numpy() for name in ("start", "end", *VALUES)},
    )  # fmt: skip
