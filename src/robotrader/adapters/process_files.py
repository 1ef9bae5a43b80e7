"""What the processes of one state folder tell each other by files: pid, port, and who may write."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robotrader.model import ConfigError

FOLDER = "run"
LEASE = "trader.lease"


@contextmanager
def single_writer(state: Path) -> Iterator[None]:
    """Hold the trader's lock of a state folder, and its pid file, for as long as the block runs.

    Raises
    ------
    ConfigError
        Another trader holds it.
    """
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    pid_file = folder / "trader.pid"
    with (folder / "trader.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"a trader (pid {_number(pid_file)}) already runs on {state}: stop it first") from None
        _write(pid_file, str(os.getpid()))
        try:
            yield
        finally:
            pid_file.unlink(missing_ok=True)


def trader_pid(state: Path) -> int | None:
    """Return the pid of the live trader of a state folder, None when there is none: then its lock is free."""
    folder = state / FOLDER
    try:
        with (folder / "trader.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number(folder / "trader.pid")
    except OSError:
        return None
    return None


def renew_lease(state: Path, until: int) -> None:
    """Say that the trader is well, and until when that may be believed (ns UTC, the system's clock)."""
    _write(state / FOLDER / LEASE, str(until))


def read_lease(state: Path) -> int | None:
    """Return until when the trader may be believed to be well, None where none began or the last ended in order."""
    return _number(state / FOLDER / LEASE)


def end_lease(state: Path) -> None:
    """Say that the trader ended in order: nobody need act for it."""
    (state / FOLDER / LEASE).unlink(missing_ok=True)


def write_port(state: Path, name: str, port: int) -> None:
    """Tell where a process of this state folder listens."""
    (state / FOLDER).mkdir(parents=True, exist_ok=True)
    _write(state / FOLDER / f"{name}.port", str(port))


def read_port(state: Path, name: str) -> int | None:
    """Return where that process listens, None when it did not say (yet)."""
    return _number(state / FOLDER / f"{name}.port")


def forget_port(state: Path, name: str) -> None:
    """Remove what `write_port` wrote."""
    (state / FOLDER / f"{name}.port").unlink(missing_ok=True)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    scratch = path.with_suffix(".new")  # a reader sees the whole text or none
    scratch.write_text(text, encoding="ascii")
    scratch.replace(path)
