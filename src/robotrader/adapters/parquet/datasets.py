"""Datasets by name: the samples, the last seeded set, and files.

NumPy is needed in any case; Polars and the calendar (with pandas) are imported when a dataset needs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import Struct

from robotrader.adapters.calendar import session_table
from robotrader.data.frame import assemble, panel_hash
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import Panel
from robotrader.data.quality import Quarantined
from robotrader.data.seeded import SeedSpec, generate, sessions_needed
from robotrader.model import NANOS_PER_SECOND, BarSpec, ConfigError, DataError

EXCHANGE = ZoneInfo("America/New_York")
SEED_START = date(2015, 1, 2)
SAMPLE_SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_SEED_KEY = "robotrader-seed"

Bars = tuple[Panel, Sequence[Quarantined], str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loaded:
    """A dataset in memory: the clean bars, their sha256, the rows that were set aside, by source and row.

    `note` is what a reader of results must know of the data.
    """

    panel: Panel
    quarantined: tuple[Quarantined, ...]
    data_hash: str
    note: str


class DatasetInfo(Struct, frozen=True, kw_only=True):
    """One dataset that has a name; `bars` is None where only loading would tell."""

    name: str
    symbols: tuple[str, ...]
    spec: BarSpec
    bars: int | None
    note: str


class SeedReport(Struct, frozen=True, kw_only=True):
    """What `write_seed` wrote; `rows` over all symbols."""

    parameters: SeedSpec
    rows: int
    file: Path
    data_hash: str


def load(
    name: str, *, symbol: str | None = None, start: str | None = None, end: str | None = None, state: Path
) -> Loaded:
    """Load a dataset; bad rows are set aside, not fatal.

    Parameters
    ----------
    name : str
        `sample:AAPL|GOOG|IBM|MSFT|all`, `seed`, or the path of a CSV or Parquet file or of a folder of them.
    symbol : str, optional
        Take this symbol only; for a file without symbol column: what its bars are.
    start, end : str, optional
        ISO date of the first and last day at the exchange, both inclusive.
    state : Path
        State folder, where the seeded set is.

    Raises
    ------
    DataError
        There is no such dataset or symbol, or nothing in it is usable.
    ConfigError
        `start` or `end` is no date.
    """
    if name.startswith("sample:"):
        whole, bad, note = _load_sample(name, symbol)
    else:
        whole, bad, note = _load_files(name, symbol, state)
    panel = _between(whole, start, end)
    quarantined = tuple(sorted(bad, key=lambda q: (q.source, q.row)))
    return Loaded(panel=panel, quarantined=quarantined, data_hash=panel_hash(panel), note=note)


def list_datasets(state: Path) -> tuple[DatasetInfo, ...]:
    """Name the datasets that need no path: the samples, and the seeded set if there is one."""
    from robotrader.adapters.parquet.samples import NOTE  # noqa: PLC0415 - as in _load_sample

    sets = [(f"sample:{symbol}", (symbol,)) for symbol in SAMPLE_SYMBOLS]
    found = [
        DatasetInfo(name=key, symbols=symbols, spec=BarSpec.DAY, bars=None, note=NOTE)
        for key, symbols in [*sets, ("sample:all", SAMPLE_SYMBOLS)]
    ]
    if made := _seed_made(state):
        rows = made.bars * len(made.symbols)
        found.append(DatasetInfo(name="seed", symbols=made.symbols, spec=made.spec, bars=rows, note=_seed_note(made)))
    return tuple(found)


def write_seed(parameters: SeedSpec, *, state: Path) -> SeedReport:
    """Generate a seeded set and keep it as the dataset `seed`, in place of the one before."""
    from robotrader.adapters.parquet.tables import write_bars  # noqa: PLC0415 - brings Polars

    days = min(sessions_needed(parameters) * 3 // 2 + 30, 180 * 365)  # 252 sessions a year; up to the year 2195
    sessions = session_table(SEED_START.isoformat(), (SEED_START + timedelta(days=days)).isoformat())
    panel = generate(parameters, sessions)
    file = _seed_file(state)
    write_bars(panel, file, {_SEED_KEY: msgspec.json.encode(parameters).decode()})
    return SeedReport(parameters=parameters, rows=panel.bar_count, file=file, data_hash=panel_hash(panel))


def _load_sample(name: str, symbol: str | None) -> Bars:
    from robotrader.adapters.parquet.samples import NOTE, sample_bars  # noqa: PLC0415 - parses a CSV

    key = name.removeprefix("sample:")
    if key not in {*SAMPLE_SYMBOLS, "all"}:
        raise _unknown(name)
    there = SAMPLE_SYMBOLS if key == "all" else (key,)
    picked = tuple(s for s in there if symbol is None or s == instrument_of(symbol).symbol)
    if not picked:
        raise DataError(f"{name} has no symbol {symbol}; there is: {', '.join(there)}")
    frame, instruments, bad = sample_bars(picked)
    return assemble(frame, instruments, BarSpec.DAY), bad, NOTE


def _load_files(name: str, symbol: str | None, state: Path) -> Bars:
    if name == "seed":
        made = _seed_made(state)
        if made is None:
            raise DataError("there is no seeded set yet: make one with `robotrader data seed --seed N`")
        paths, note = [_seed_file(state)], _seed_note(made)
    else:
        paths, note = _files_of(name), "prices as the files give them"
    from robotrader.adapters.parquet.files import read_files  # noqa: PLC0415 - brings Polars

    frame, spec, bad = read_files(paths, symbol)
    return assemble(frame, tuple(instrument_of(s) for s in frame.symbols), spec), bad, note


def _files_of(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file() and path.name.endswith(_SUFFIXES):
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.name.endswith(_SUFFIXES) and not p.name.startswith("."))
        if found:
            return found
        raise DataError(f"{name} holds no file that ends in {', '.join(_SUFFIXES)}")
    if path.exists():
        raise DataError(f"{name} is no dataset: expected a file that ends in {', '.join(_SUFFIXES)}")
    raise _unknown(name)


def _unknown(name: str) -> DataError:
    samples = ", ".join(f"sample:{s}" for s in (*SAMPLE_SYMBOLS, "all"))
    return DataError(f"there is no dataset {name!r}; expected one of {samples}, seed, or the path of a file or folder")


def _between(panel: Panel, start: str | None, end: str | None) -> Panel:
    """Cut to the rows of a range; both ends inclusive."""
    low, high = 0, len(panel)
    if start is not None:
        low = int(np.searchsorted(panel.opened, _bound(start, "start")))
    if end is not None:
        high = int(np.searchsorted(panel.opened, _bound(end, "end", days=1)))
    if low >= high:
        first, last = (_exchange_date(t) for t in (panel.ts[0], panel.ts[-1]))
        raise DataError(f"no bars from {start or first} to {end or last}: the data runs from {first} to {last}")
    return panel.rows(low, high)


def _exchange_date(ts: int) -> str:
    return datetime.fromtimestamp(int(ts) // NANOS_PER_SECOND, EXCHANGE).date().isoformat()


def _bound(text: str, which: str, *, days: int = 0) -> int:
    """Return the start, at the exchange, of a date or of the day `days` later, ns UTC."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
    except ValueError as error:
        raise ConfigError(f"{which}: expected an ISO date such as 2013-03-01, found {text!r}") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=EXCHANGE).timestamp()) * NANOS_PER_SECOND


def _seed_file(state: Path) -> Path:
    return state / "lake" / "seed" / "bars.parquet"


def _seed_made(state: Path) -> SeedSpec | None:
    """Return what the seeded set was made from, None without one."""
    if not _seed_file(state).exists():
        return None
    from robotrader.adapters.parquet.tables import metadata_of  # noqa: PLC0415 - brings Polars

    try:
        return msgspec.json.decode(metadata_of(_seed_file(state)).get(_SEED_KEY, ""), type=SeedSpec)
    except msgspec.MsgspecError as error:
        raise DataError(f"{_seed_file(state).name} was not made by `robotrader data seed`: make it again") from error


def _seed_note(made: SeedSpec) -> str:
    return f"synthetic: seed {made.seed}, {made.bars} bars of {made.spec} for each of {', '.join(made.symbols)}"
