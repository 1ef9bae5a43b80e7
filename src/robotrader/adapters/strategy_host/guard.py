"""What keeps the process of a strategy in: the kernel's limits, and an audit hook.

The kernel holds: a network namespace without a way out, memory, processor time, sizes of files. The hook refuses what
Python code asks for, by name; code that means to get around it (native extensions, memory of the interpreter) can. It
catches mistakes and carelessness, and is no reason to run the code of somebody whom you do not trust.

Only the standard library is imported here: a namespace is left while the process has one thread.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000  # <linux/sched.h>
_DIE_WITH_PARENT, _NO_NEW_PRIVILEGES = 1, 38  # <linux/prctl.h>
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

_REFUSED = (
    "cpython.PyInterpreterState_New", "ctypes.", "ftplib.", "http.client.", "os.exec", "os.fork", "os.kill",
    "os.posix_spawn", "os.spawn", "os.system", "pty.", "resource.", "signal.pthread_kill", "smtplib.",
    "socket.", "sqlite3.connect", "subprocess.", "urllib.", "webbrowser.",
)  # fmt: skip
"""Beginnings of the audit events that are refused whatever they are about."""
_CHANGES = {
    "os.chmod": 1, "os.chown": 1, "os.link": 2, "os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.rmdir": 1,
    "os.setxattr": 1, "os.symlink": 2, "os.truncate": 1, "os.utime": 1,
}  # fmt: skip
"""Events that change a folder, with how many paths each names."""
_OURS = {"data", "features", "model", "strategy"}
_BROKERS = {"ib_async", "ibapi"}


class Places(NamedTuple):
    """Where files may be written and read, and which may be read; resolved paths."""

    scratch: str
    readable: tuple[str, ...]


def leave_network() -> bool:
    """Give up the network and new privileges, and end with the trader; return whether the kernel let it go."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform != "linux":
        return False
    libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    # a namespace of users first: with it, a superuser's process keeps no power over the machine
    return any(libc.unshare(flags) == 0 for flags in (_NEW_USER | _NEW_NET, _NEW_NET))


def places(strategy: str) -> Places:
    """Return where a strategy may read: its own file and what is installed; it writes where it was started."""
    installed = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path)}
    return Places(os.path.realpath("."), tuple(os.path.realpath(path) for path in (*sorted(installed), strategy)))


def arm(where: Places, *, memory_bytes: int, open_files: int, file_bytes: int) -> Callable[[float], None]:
    """Set the limits and the hook, and return what allows so many seconds of processor time more; for ever."""
    limits = {
        resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_AS: _address_space() + memory_bytes,
    }  # fmt: skip
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    ours = [False]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if ours[0]:
            return
        if (why := refusal(event, args, where)) is not None:
            raise (ImportError if event == "import" else PermissionError)(why)

    def allow(seconds: float) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        ours[0] = True
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, hard))
        ours[0] = False

    sys.addaudithook(hook)
    return allow


def refusal(event: str, args: Sequence[Any], where: Places) -> str | None:
    """Say why a strategy may not do what an audit event is about; None where it may."""
    if event == "import":
        return None if _importable(str(args[0])) else f"a strategy may not import {args[0]}"
    if event == "open" and isinstance(args[2], int) and args[2] & _WRITES:
        return _outside(args[:1], (where.scratch,), "write")
    if event in {"open", "os.listdir", "os.scandir"}:
        return _outside(args[:1], (where.scratch, *where.readable), "read")
    if event in _CHANGES:
        return _outside(args[: _CHANGES[event]], (where.scratch,), "change")
    return f"a strategy may not do this: {event}" if event.startswith(_REFUSED) else None


def _importable(name: str) -> bool:
    top, *below = name.split(".")
    return top not in _BROKERS and (top != "robotrader" or not below or below[0] in _OURS)


def _outside(paths: Sequence[Any], folders: Sequence[str], verb: str) -> str | None:
    """Say which of the paths is in none of the folders; an open file's number is no path."""
    for path in (os.path.realpath(os.fsdecode(path)) for path in paths if isinstance(path, str | bytes | os.PathLike)):
        if not any(path == folder or path.startswith(f"{folder}{os.sep}") for folder in folders):
            return f"a strategy may not {verb} {path}"
    return None


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is not imported here
        return int(file.read().split()[0]) * resource.getpagesize()
