"""Datasets and calendars."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robotrader.data.frame import LAST, Versions, assemble
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import Panel
from robotrader.model import BarSpec, ConfigError, CorporateAction, InstrumentId, SessionTable, SpecialDay

if TYPE_CHECKING:
    from robotrader.adapters.parquet.actions import ActionsImported
    from robotrader.adapters.parquet.datasets import DatasetInfo, Loaded, SeedReport
    from robotrader.adapters.parquet.imports import Imported
    from robotrader.adapters.parquet.lake import Lake
    from robotrader.adapters.parquet.quarantine import Released
    from robotrader.adapters.parquet.report import Report
    from robotrader.data.seeded import SeedSpec

CALENDAR = ("1990-01-01", "2035-12-31")
"""Sessions that a trader knows: far enough both ways for any sample and any GTC order."""


def load_data(
    name: str,
    *,
    symbol: str | None = None,
    start: str | None = None,
    end: str | None = None,
    as_of: int | None = None,
    state: Path,
) -> "Loaded":
    """Load a dataset (see `adapters.parquet.datasets.load`).

    Raises
    ------
    ConfigError
        Data as of a time was asked for, and the dataset keeps no versions.
    """
    from robotrader.adapters.parquet.datasets import is_lake, load

    if as_of is not None and not is_lake(name):
        raise ConfigError(f"only the lake keeps what was known when: as-of needs lake[:SYMBOL], found {name}")

    def journal(spec: BarSpec) -> Iterable[Versions]:
        return journal_bars(state, spec)

    known = LAST if as_of is None else as_of
    return load(name, symbol=symbol, start=start, end=end, as_of=known, state=state, journal=journal)


def lake(state: Path) -> "Lake":
    """Return the lake of a state folder."""
    from robotrader.adapters.parquet.datasets import LAKE
    from robotrader.adapters.parquet.lake import Lake

    return Lake(state / LAKE)


def scan_bars(
    instruments: Sequence[InstrumentId],
    spec: BarSpec,
    *,
    start: int = -LAST,
    end: int = LAST,
    as_of: int = LAST,
    state: Path,
) -> Panel:
    """Return bars that begin in start <= t < end as they were known at `as_of` (ns UTC), wherever they are kept.

    The journal's bars and the lake's, archived ones included, are one: of each bar the newest version known by then.
    """
    more = journal_bars(state, spec)
    frame = lake(state).scan(instruments, spec, start=start, end=end, as_of=as_of, more=more)
    return assemble(frame, tuple(instrument_of(iid) for iid in instruments), spec)


def journal_bars(state: Path, spec: BarSpec) -> Iterable[Versions]:
    """Yield the bars of the journal, all versions."""
    from robotrader.adapters.sql.bar_history import bar_versions
    from robotrader.adapters.sql.reader import ReadSession
    from robotrader.bootstrap.storage import database

    with database(state) as journal:
        yield from bar_versions(ReadSession(journal), spec, sessions(*CALENDAR))


def archive_bars(state: Path, spec: BarSpec) -> int:
    """Put the journal's bars into the lake, where they are not; return how many versions were written."""
    done = [lake(state).write(versions) for versions in journal_bars(state, spec)]
    return sum(d.new + d.restated for d in done)


def datasets(state: Path) -> "Sequence[DatasetInfo]":
    """Return the datasets that have a name."""
    from robotrader.adapters.parquet.datasets import list_datasets

    return list_datasets(state)


def seed(parameters: "SeedSpec", state: Path) -> "SeedReport":
    """Generate and keep the seeded dataset."""
    from robotrader.adapters.parquet.datasets import write_seed

    return write_seed(parameters, state=state)


def data_files(name: str, state: Path) -> Sequence[Path]:
    """Return the files of bars that a path means."""
    from robotrader.adapters.parquet.datasets import files_of

    return files_of(name, state)


def import_data(
    paths: Sequence[Path],
    state: Path,
    *,
    symbol: str | None,
    spec: BarSpec | None,
    who: str,
    progress: Callable[[int], None],
) -> "Imported":
    """Import files into the lake (see `adapters.parquet.imports.import_files`)."""
    from robotrader.adapters.parquet.imports import import_files

    actions, now = corporate_actions(state), time.time_ns()
    return import_files(
        paths, lake(state), symbol=symbol, spec=spec, actions=actions, now=now, who=who, progress=progress
    )


def check_data(name: str, state: Path, *, symbol: str | None) -> "Report":
    """Judge a dataset by the rules of today."""
    from robotrader.adapters.parquet.report import check_dataset

    return check_dataset(name, symbol=symbol, state=state, actions=corporate_actions(state))


def release_data(key: str, state: Path, *, who: str, reason: str) -> "Released":
    """Put quarantined rows into the lake after all."""
    from robotrader.adapters.parquet.quarantine import release

    return release(lake(state), key, now=time.time_ns(), who=who, reason=reason)


def import_actions(file: Path, state: Path) -> "ActionsImported":
    """Add a file's corporate actions to those of a state folder."""
    from robotrader.adapters.parquet.actions import import_actions as add

    return add(file, state, sessions(*CALENDAR), now=time.time_ns())


def corporate_actions(state: Path) -> Sequence[CorporateAction]:
    """Return the corporate actions of a state folder in their newest versions, oldest first."""
    from robotrader.adapters.parquet.actions import read_actions
    from robotrader.data.adjust import known

    actions = read_actions(state)
    return known(actions, max((a.known_at for a in actions), default=0))


def watched_actions(state: Path) -> Callable[[], Sequence[CorporateAction]]:
    """Return what gives every version of every corporate action of a state folder, read again when they change."""
    from robotrader.adapters.parquet.actions import ActionsFile

    return ActionsFile(state)


def with_actions(
    name: str, panel: Panel, how: str, state: Path, *, as_of: int | None = None
) -> tuple[Panel, Sequence[CorporateAction]]:
    """Return a dataset's prices with corporate actions taken out as asked, and the actions that are left to book.

    Only the lake is known to hold raw prices: those of samples and files stay as they are, and nothing is booked.
    Of the actions those count that were known at `as_of` (ns UTC).
    """
    from robotrader.adapters.parquet.actions import read_actions
    from robotrader.adapters.parquet.datasets import is_lake
    from robotrader.data.adjust import Adjust, adjust, left_to_book, newest

    if how not in set(Adjust):
        raise ConfigError(f"adjust must be one of {', '.join(Adjust)}; found {how!r}")
    versions = read_actions(state) if is_lake(name) else ()
    actions, end = newest(a for a in versions if as_of is None or a.known_at <= as_of), int(panel.ts[-1])
    return adjust(panel, actions, end, Adjust(how)), left_to_book(actions, end, Adjust(how))


def sessions(start: str, end: str, special: tuple[SpecialDay, ...] = ()) -> SessionTable:
    """Return the exchange's sessions between two ISO dates; `special` days are those of the settings."""
    from robotrader.adapters.calendar import session_table

    return session_table(start, end, special=special)
