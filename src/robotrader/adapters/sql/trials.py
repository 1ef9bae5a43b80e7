"""The trial ledger: a SQLite file of its own that forgets nothing.

The standard library's driver, not SQLAlchemy: every backtest comes by here, and its whole process may take 1.5 s.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import astuple

from robotrader.data.panel import Floats, Times
from robotrader.model import ConfigError, DataError
from robotrader.research.significance import Moments, moments
from robotrader.research.trials import Evidence, Likeness, Outcome, Trial, TrialSpec

LEDGER = "trials.sqlite"
BUSY_TIMEOUT_S = 30.0

_TRIALS = """
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, ts INTEGER NOT NULL, strategy TEXT NOT NULL, parent TEXT, spec TEXT NOT NULL) STRICT;
CREATE INDEX trials_of_strategy ON trials (strategy);
CREATE TABLE results (
  number INTEGER PRIMARY KEY REFERENCES trials, returns_hash TEXT NOT NULL, sharpe REAL, skew REAL, kurtosis REAL,
  count INTEGER NOT NULL, days BLOB NOT NULL, returns BLOB NOT NULL) STRICT;
CREATE TABLE likeness (
  strategy TEXT PRIMARY KEY, count INTEGER NOT NULL, z_sum REAL NOT NULL, z_squares REAL NOT NULL,
  origin INTEGER NOT NULL, total BLOB NOT NULL) STRICT;
"""
_EVIDENCE = """
CREATE TABLE evidence (
  number INTEGER PRIMARY KEY, ts INTEGER NOT NULL, strategy TEXT NOT NULL, evidence TEXT NOT NULL) STRICT;
CREATE INDEX evidence_of_strategy ON evidence (strategy);
"""
# The one about INSERT stops REPLACE, which else deletes past the others.
_TRIGGERS = """
CREATE TRIGGER {0}_no_update BEFORE UPDATE ON {0} {1};
CREATE TRIGGER {0}_no_delete BEFORE DELETE ON {0} {1};
CREATE TRIGGER {0}_no_replace BEFORE INSERT ON {0} WHEN EXISTS (SELECT 1 FROM {0} WHERE number = NEW.number) {1}
"""
_REFUSAL = "BEGIN SELECT RAISE(ABORT, '{0} of the trial ledger are kept for ever'); END"
_VERSIONS = ((_TRIALS, ("trials", "results")), (_EVIDENCE, ("evidence",)))
"""What each version of the schema added, and the tables that are kept for ever."""
SCHEMA_VERSION = len(_VERSIONS)


class TrialLedger:
    """The ledger in a file, or in memory (`path` None); `now` gives ns UTC.

    Several processes may write at once.

    Raises
    ------
    ConfigError
        The file cannot be written.
    DataError
        It is no trial ledger, or was made by a newer version.
    """

    def __init__(self, path: Path | None, now: Callable[[], int]) -> None:
        self._place, self._now = str(path or ":memory:"), now
        with self._told():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._place, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def begin(self, specs: Sequence[TrialSpec]) -> list[int]:
        """Count trials that are about to run, all or none, and return their numbers."""
        insert = "INSERT INTO trials (ts, strategy, parent, spec) VALUES (?, ?, ?, ?) RETURNING number"
        with self._transaction() as execute:
            ts = self._now()
            rows = [(ts, s.config.id, s.parent, msgspec.json.encode(s).decode()) for s in specs]
            return [execute(insert, row).fetchone()[0] for row in rows]

    def finish(self, days: Times, returns: Mapping[int, Floats]) -> None:
        """Add the outcome of trials by number: daily returns, one a day of `days` (days since 1970, ascending).

        Raises
        ------
        DataError
            A trial was not begun or has an outcome already; nothing is added then.
        """
        with self._transaction() as execute:
            families: dict[str, Likeness] = {}
            axis = np.diff(days, prepend=0).astype("<i4").tobytes()
            packed = zlib.compress(axis, 1)
            for number, series in returns.items():
                row = execute("SELECT strategy FROM trials WHERE number = ?", (number,)).fetchone()
                if row is None:
                    raise DataError(f"trial {number} was not begun: every run is counted before it runs")
                raw = series.astype("<f4").tobytes()
                digest = hashlib.sha256(axis + raw).hexdigest()
                found = astuple(m) if (m := moments(series)) else (None, None, None, len(series))
                values = (number, digest, *found, packed, zlib.compress(raw, 1))
                execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                families[row[0]] = (families.get(row[0]) or self._likeness(row[0])).with_returns(days, series)
            for strategy, alike in families.items():
                values = (strategy, alike.count, alike.z_sum, alike.z_squares, alike.origin, alike.total.tobytes())
                execute("INSERT OR REPLACE INTO likeness VALUES (?, ?, ?, ?, ?, ?)", values)

    def trials(self, strategy: str | None = None) -> list[Trial]:
        """Return the trials of a strategy, or all, in order."""
        query = """SELECT trials.number, ts, spec, returns_hash, sharpe, skew, kurtosis, count
            FROM trials LEFT JOIN results USING (number) WHERE ?1 IS NULL OR strategy = ?1 ORDER BY trials.number"""
        with self._told():
            return [_trial(row) for row in self._db.execute(query, (strategy,))]

    def family(self, strategy: str) -> tuple[int, Likeness]:
        """Return how many trials a strategy has had, and what the finished ones have in common."""
        with self._told():
            (count,) = self._db.execute("SELECT count(*) FROM trials WHERE strategy = ?", (strategy,)).fetchone()
            return count, self._likeness(strategy)

    def returns(self, number: int) -> tuple[Times, Floats]:
        """Return the days and daily returns of a finished trial, to seven digits.

        Raises
        ------
        DataError
            It has no outcome.
        """
        with self._told():
            row = self._db.execute("SELECT days, returns FROM results WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise DataError(f"trial {number} has no outcome")
        steps, returns = (zlib.decompress(blob) for blob in row)
        return np.cumsum(np.frombuffer(steps, "<i4"), dtype=np.int64), np.frombuffer(returns, "<f4").astype(np.float64)

    def keep(self, evidence: Evidence) -> None:
        """Keep what a check or a walk-forward found."""
        insert = "INSERT INTO evidence (ts, strategy, evidence) VALUES (?, ?, ?)"
        with self._transaction() as execute:
            execute(insert, (self._now(), evidence.strategy, msgspec.json.encode(evidence).decode()))

    def kept(self, strategy: str) -> list[tuple[int, Evidence]]:
        """Return when something was found about a strategy, and what; the newest first."""
        query = "SELECT ts, evidence FROM evidence WHERE strategy = ? ORDER BY number DESC"
        with self._told():
            rows = self._db.execute(query, (strategy,)).fetchall()
        return [(ts, msgspec.json.decode(text, type=Evidence)) for ts, text in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _likeness(self, strategy: str) -> Likeness:
        query = "SELECT count, z_sum, z_squares, origin, total FROM likeness WHERE strategy = ?"
        row = self._db.execute(query, (strategy,)).fetchone() or (0, 0.0, 0.0, 0, b"")
        count, z_sum, z_squares, origin, total = row
        return Likeness(
            count=count, z_sum=z_sum, z_squares=z_squares, origin=origin, total=np.frombuffer(total, np.float64)
        )

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        with self._transaction() as execute:
            (found,) = execute("PRAGMA user_version").fetchone()
            if found > SCHEMA_VERSION:
                raise DataError(f"{self._place} was made by a newer version of RoboTrader: use that")
            for schema, kept in _VERSIONS[found:]:
                triggers = (_TRIGGERS.format(table, _REFUSAL.format(table)) for table in kept)
                for statement in filter(str.strip, ";\n".join([schema, *triggers]).split(";\n")):
                    execute(statement)
            execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db.execute
            except BaseException:
                if self._db.in_transaction:  # SQLite itself ends it when the disk is full
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            raise ConfigError(
                f"every backtest is counted in {self._place}, which cannot be used: {error}; "
                "give a state folder that can be written with --state"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self._place} cannot be used as the trial ledger: {error}") from error


def _trial(row: tuple[Any, ...]) -> Trial:
    number, ts, spec, digest, sharpe, skew, kurtosis, count = row
    found = None if sharpe is None else Moments(sharpe=sharpe, skew=skew, kurtosis=kurtosis, count=count)
    outcome = Outcome(returns_hash=digest, moments=found) if digest else None
    return Trial(number=number, ts=ts, spec=msgspec.json.decode(spec, type=TrialSpec), outcome=outcome)
