"""Datasets by name: the samples, the last seeded set, and files.

NumPy is needed in any case; Polars and the calendar (with pandas) are imported when a dataset needs them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import Struct

from robotrader.adapters.calendar import session_table
from robotrader.data.frame import LAST, Versions, assemble, panel_hash
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import Panel
from robotrader.data.quality import Quarantined
from robotrader.data.seeded import SeedSpec, actions, generate, sessions_needed
from robotrader.model import NANOS_PER_SECOND, BarSpec, ConfigError, DataError

EXCHANGE = ZoneInfo("America/New_York")
SEED_START = date(2015, 1, 2)
SAMPLE_SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")

LAKE = "lake"
"""Folder of the lake in a state folder."""

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_SEED_KEY = "robotrader-seed"

Bars = tuple[Panel, Sequence[Quarantined], str]
JournalBars = Callable[[BarSpec], Iterable[Versions]]


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
    """What `write_seed` wrote; `rows` over all symbols, `actions` the file of its splits, None without any."""

    parameters: SeedSpec
    rows: int
    file: Path
    data_hash: str
    actions: Path | None


def load(
    name: str,
    *,
    symbol: str | None = None,
    start: str | None = None,
    end: str | None = None,
    as_of: int = LAST,
    state: Path,
    journal: JournalBars = lambda _spec: (),
) -> Loaded:
    """Load a dataset; bad rows are set aside, not fatal.

    Parameters
    ----------
    name : str
        `sample:AAPL|GOOG|IBM|MSFT|all`, `seed`, `lake[:SYMBOL[,SYMBOL...]][@SPEC]`, or the path of a CSV or Parquet
        file or of a folder of them.
    symbol : str, optional
        Take this symbol only; for a file without symbol column: what its bars are.
    start, end : str, optional
        ISO date of the first and last day at the exchange, both inclusive.
    as_of : int
        Bars of the lake as they were known then, ns UTC; default: the newest versions.
    state : Path
        State folder, where the seeded set and the lake are.
    journal : function
        What the journal has of a bar length, for bars of the lake.

    Raises
    ------
    DataError
        There is no such dataset or symbol, or nothing in it is usable.
    ConfigError
        `start` or `end` is no date.
    """
    if name.startswith("sample:"):
        whole, bad, note = _load_sample(name, symbol)
    elif is_lake(name):
        whole, bad, note = _load_lake(name, symbol, state, journal=journal, as_of=as_of)
    else:
        whole, bad, note = _load_files(name, symbol, state)
    panel = _between(whole, start, end)
    quarantined = tuple(sorted(bad, key=lambda q: (q.source, q.row)))
    return Loaded(panel=panel, quarantined=quarantined, data_hash=panel_hash(panel), note=note)


def list_datasets(state: Path) -> tuple[DatasetInfo, ...]:
    """Name the datasets that need no path: the samples, the seeded set if there is one, what the lake has."""
    from robotrader.adapters.parquet.samples import NOTE  # noqa: PLC0415 - as in _load_sample

    sets = [(f"sample:{symbol}", (symbol,)) for symbol in SAMPLE_SYMBOLS]
    found = [
        DatasetInfo(name=key, symbols=symbols, spec=BarSpec.DAY, bars=None, note=NOTE)
        for key, symbols in [*sets, ("sample:all", SAMPLE_SYMBOLS)]
    ]
    if made := _seed_made(state):
        rows = made.bars * len(made.symbols)
        found.append(DatasetInfo(name="seed", symbols=made.symbols, spec=made.spec, bars=rows, note=_seed_note(made)))
    return (*found, *_lake_sets(state))


def _lake_sets(state: Path) -> tuple[DatasetInfo, ...]:
    if not (state / LAKE).exists():
        return ()
    from robotrader.adapters.parquet.lake import Lake  # noqa: PLC0415 - brings Polars

    lake = Lake(state / LAKE)
    return tuple(
        DatasetInfo(name=f"lake:{c.instrument}@{c.spec}", symbols=(c.instrument,), spec=c.spec, bars=c.bars,
                    note=f"lake: {_exchange_date(c.first)} to {_exchange_date(c.last)}, raw prices"
                         + (f", {c.versions - c.bars} restated" if c.versions > c.bars else ""))
        for c in lake.contents(lake.holdings())
    )  # fmt: skip


def write_seed(parameters: SeedSpec, *, state: Path) -> SeedReport:
    """Generate a seeded set and keep it as the dataset `seed`, in place of the one before."""
    from robotrader.adapters.parquet.tables import write_bars  # noqa: PLC0415 - brings Polars

    days = min(sessions_needed(parameters) * 3 // 2 + 30, 180 * 365)  # 252 sessions a year; up to the year 2195
    sessions = session_table(SEED_START.isoformat(), (SEED_START + timedelta(days=days)).isoformat())
    panel = generate(parameters, sessions)
    file = _seed_file(state)
    write_bars(panel, file, {_SEED_KEY: msgspec.json.encode(parameters).decode()})
    splits = [f"{a.symbol},{a.last_cum_day},split,{a.new / a.old}" for a in actions(parameters, sessions)]
    told = file.with_name("actions.csv")
    told.unlink(missing_ok=True)
    if splits:
        told.write_text("\n".join(["symbol,last_cum_day,kind,ratio_or_cash", *splits, ""]), encoding="utf-8")
    return SeedReport(parameters=parameters, rows=panel.bar_count, file=file, data_hash=panel_hash(panel),
                      actions=told if splits else None)  # fmt: skip


def sample_symbols(name: str) -> tuple[str, ...]:
    """Return the symbols of `sample:SYMBOL` or `sample:all`; `DataError` where there is no such sample."""
    key = name.removeprefix("sample:")
    if key not in {*SAMPLE_SYMBOLS, "all"}:
        raise _unknown(name)
    return SAMPLE_SYMBOLS if key == "all" else (key,)


def _load_sample(name: str, symbol: str | None) -> Bars:
    from robotrader.adapters.parquet.samples import NOTE, sample_bars  # noqa: PLC0415 - parses a CSV

    there = sample_symbols(name)
    picked = tuple(s for s in there if symbol is None or s == instrument_of(symbol).symbol)
    if not picked:
        raise DataError(f"{name} has no symbol {symbol}; there is: {', '.join(there)}")
    frame, instruments = sample_bars(picked)
    return assemble(frame, instruments, BarSpec.DAY), (), NOTE


def is_lake(name: str) -> bool:
    """Tell whether a dataset's name means bars of the lake."""
    return name.partition("@")[0].partition(":")[0] == "lake"


def _load_lake(name: str, symbol: str | None, state: Path, *, journal: JournalBars, as_of: int) -> Bars:
    from robotrader.adapters.parquet.lake import Lake  # noqa: PLC0415 - brings Polars

    lake = Lake(state / LAKE)
    picked = [h for h in lake.pick(name) if symbol is None or h.goes_by(symbol)]
    specs = sorted({h.spec for h in picked})
    if len(specs) != 1:
        found = f"bars of {', '.join(specs)}: say which, as in {name}@{specs[0]}" if specs else f"no bars of {symbol}"
        raise DataError(f"{name} has {found}")
    frame = lake.scan([h.instrument for h in picked], specs[0], as_of=as_of, more=journal(specs[0]))
    if not len(frame):
        raise DataError(f"{name} had no bars at that time: they became known later")
    return assemble(frame, tuple(instrument_of(s) for s in frame.symbols), specs[0]), (), "raw prices of the lake"


def _load_files(name: str, symbol: str | None, state: Path) -> Bars:
    from robotrader.adapters.parquet.files import read_files  # noqa: PLC0415 - brings Polars

    made = _seed_made(state) if name == "seed" else None
    note = _seed_note(made) if made else "prices as the files give them"
    frame, spec, bad = read_files(files_of(name, state), symbol)
    return assemble(frame, tuple(instrument_of(s) for s in frame.symbols), spec), bad, note


def files_of(name: str, state: Path) -> list[Path]:
    """Return the files of bars that `seed` or a path means; `DataError` for none."""
    if name == "seed":
        if not _seed_file(state).exists():
            raise DataError("there is no seeded set yet: make one with `robotrader data seed --seed N`")
        return [_seed_file(state)]
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
    named = f"{samples}, seed, lake, lake:SYMBOL"
    return DataError(f"there is no dataset {name!r}; expected one of {named}, or the path of a file or folder")


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
    return state / LAKE / "seed" / "bars.parquet"


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
