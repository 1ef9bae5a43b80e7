"""Backups of a journal, and moving old rows out of it."""

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from robotrader.adapters import halt_file
from robotrader.adapters.process_files import single_writer, trader_pid
from robotrader.bootstrap.data import CALENDAR, archive_bars, sessions
from robotrader.bootstrap.storage import JOURNAL, database
from robotrader.data.retention import RetentionPolicy
from robotrader.model import Action, BarSpec, ConfigError, InvariantViolation

if TYPE_CHECKING:
    from robotrader.adapters.sql.archive import Archived
    from robotrader.adapters.sql.backup import Manifest, Restored

LOW_DISK = 2_000_000_000
"""Free bytes below which maintenance complains, or twice the journal if that is more."""

_TRIES = 5


class BackupReport(Struct, frozen=True, kw_only=True):
    """A backup, and the older ones that rotation removed."""

    file: Path
    manifest: "Manifest"
    removed: tuple[str, ...] = ()


class MaintenanceReport(Struct, frozen=True, kw_only=True):
    """What a night's maintenance did; `problems` want a person. `archived` is None where the market was open."""

    backup: BackupReport
    archived: "Archived | None"
    free_bytes: int
    problems: tuple[str, ...]


def back_up(state: Path, target: str, policy: RetentionPolicy) -> BackupReport:
    """Copy the journal to a file, or into a folder, where the policy then removes older copies.

    The trial ledger goes beside it, one copy: it only ever grows.
    """
    from robotrader.adapters.sql import backup
    from robotrader.adapters.sql.trials import LEDGER

    now = time.time_ns()
    folder = Path(target) if Path(target).is_dir() or target.endswith(os.sep) else None
    file = Path(target) if folder is None else backup.named(folder, now)
    with database(state) as journal:
        if not journal.exists():
            raise ConfigError(f"there is no journal in {state}: nothing to back up")
        manifest = backup.back_up(journal, file, taken=now)
    backup.copy_trials(state / LEDGER, file.parent / LEDGER)
    return BackupReport(file=file, manifest=manifest, removed=() if folder is None else backup.rotate(folder, policy))


def restore(state: Path, file: Path) -> "Restored":
    """Put a backup in the journal's place and leave trading halted, in the journal and by the flag file.

    A state folder without a trial ledger gets the copy beside the backup.

    Raises
    ------
    ConfigError
        A trader runs, or the journal is not in a file.
    DataError
        The file is no whole backup; nothing has changed.
    """
    from robotrader.adapters.sql import backup
    from robotrader.adapters.sql.trials import LEDGER
    from robotrader.ports import RequestRow

    if database(state).path is None:
        raise ConfigError("only a journal in a file can be restored: use PostgreSQL's own tools, then halt")
    now = time.time_ns()
    reason = f"restored from {file.name}: the broker may have moved on; compare, then resume"
    halt = RequestRow(
        id=f"restore-{now}-{os.getpid()}", ts=now, action=Action.HALT, reason=reason, actor="restore", instrument=None
    )
    with single_writer(state):
        restored = backup.restore(file, state / JOURNAL, halt=halt, aside=state / "replaced" / str(now))
        halt_file.raise_flag(state, reason)
        if not (state / LEDGER).exists():
            backup.copy_trials(file.parent / LEDGER, state / LEDGER)
    return restored


def archive(state: Path, policy: RetentionPolicy, *, dry_run: bool = False) -> "Archived":
    """Move what the policy says out of the journal, bars first; `dry_run` only counts.

    Raises
    ------
    InvariantViolation
        What was written does not read back as it was; it is still in the journal.
    """
    from robotrader.adapters.sql import archive as job

    with database(state) as journal:
        if journal.path is None:
            raise ConfigError("only a journal in a file is archived: PostgreSQL keeps its rows")
        if not journal.exists():
            raise ConfigError(f"there is no journal in {state}: nothing to archive")
        due = job.bars_due(journal, policy.intraday_days)
        if dry_run:
            return structs.replace(job.plan(journal, policy.journal_days), bars=sum(d.rows for d in due))
        moved = 0
        for bars in due:
            # written until nothing is news: each time it reads back what is there, and a trader may add bars meanwhile
            if all(archive_bars(state, BarSpec(bars.spec)) for _ in range(_TRIES)):
                raise InvariantViolation(f"the lake does not give back the {bars.spec} bars that were written to it")
            moved += job.drop_bars(journal, bars)
        return structs.replace(job.archive(journal, journal.path, policy.journal_days), bars=moved)


def maintain(state: Path, policy: RetentionPolicy) -> MaintenanceReport:
    """Back up, archive, and look at the disk; what the market needs waits for it to close."""
    made = back_up(state, f"{policy.backups or state / 'backups'}{os.sep}", policy)
    busy = trader_pid(state) is not None and sessions(*CALENDAR).is_open(time.time_ns())
    archived = None if busy else archive(state, policy)
    free, wanted = shutil.disk_usage(state).free, max(LOW_DISK, 2 * (state / JOURNAL).stat().st_size)
    problems = [f"{free:,} bytes are free, expected {wanted:,}: free some space"] if free < wanted else []
    problems += ["a trader runs and the market is open: nothing was archived, run this at night"] if busy else []
    return MaintenanceReport(backup=made, archived=archived, free_bytes=free, problems=tuple(problems))
