"""What is measured of this machine, and the room that is kept for a halt on a full disk."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from robotrader.adapters.process_files import FOLDER
from robotrader.ports import HostFacts

log = logging.getLogger(__name__)

RESERVE = f"{FOLDER}/reserve"
RESERVE_BYTES = 1_048_576
_PLENTY = 20 * RESERVE_BYTES


def measure(state: Path, commit_s: Callable[[], float]) -> HostFacts:
    """Look at the disk of a state folder; `commit_s` gives the journal's slowest batch since it was asked last."""
    disk = shutil.disk_usage(state)
    return HostFacts(disk_free_ratio=disk.free / disk.total, commit_s=commit_s())


def keep_room(state: Path) -> None:
    """Take the room that a halt will need on a full disk, where there is plenty of it now."""
    reserve = state / RESERVE
    if not reserve.exists() and shutil.disk_usage(state).free >= _PLENTY:
        reserve.write_bytes(bytes(RESERVE_BYTES))


def make_room(state: Path) -> None:
    """Give that room back: to the flag file, and to the journal when it is opened next."""
    try:
        (state / RESERVE).unlink(missing_ok=True)
    except OSError:
        log.exception("the reserve cannot be given back: the flag file may find no room")
