"""The harness: no test reaches another machine, and none sees or touches what its user keeps at home.

An audit hook sees every socket, file and sleep of this process, whichever library asks, without patching any of them.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

UNIT = Path(__file__).parent / "unit"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
CACHES = ("__pycache__", ".hypothesis", os.devnull)

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_users_environ = dict(os.environ)
_home = tempfile.mkdtemp(prefix="robotrader-home-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
for _name in [n for n in os.environ if n.startswith(("ROBOTRADER_", "XDG_"))]:
    del os.environ[_name]
os.environ["HOME"] = _home  # platformdirs derives every other folder from it

_in_unit_test = False


def _is_loopback(address: object) -> bool:
    """Tell whether a socket address stays on this machine; one that is no (host, port) is a local path."""
    if not isinstance(address, tuple) or address[0] == "localhost":
        return True
    try:
        return ip_address(str(address[0]).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _writes(path: object, mode: object, flags: object) -> bool:
    """Tell whether an ``open`` changes the disk; interpreter and Hypothesis caches do not count."""
    if not isinstance(path, str | bytes) or any(cache in os.fsdecode(path) for cache in CACHES):
        return False
    return isinstance(flags, int) and bool(flags & WRITING)


def forbidden(event: str, args: tuple[Any, ...], *, unit: bool) -> str | None:
    """Say why an audited event may not happen in a test; None when it may."""
    if event in {"socket.connect", "socket.bind", "socket.sendto"} and not _is_loopback(args[1]):
        return f"a test may not leave this machine: {event} {args[1]}"
    if event == "socket.getaddrinfo" and not _is_loopback((args[0] or "localhost", args[1])):
        return f"a test may not ask for the address of another machine: {args[0]}"
    if not unit:
        return None
    if event in {"socket.connect", "socket.bind", "time.sleep", "subprocess.Popen"}:
        return f"a unit test is pure, {event} is not: move it to tests/integration"
    if (event == "open" and _writes(*args)) or (event == "sqlite3.connect" and args[0] != ":memory:"):
        return f"a unit test touches no disk ({args[0]}): move it to tests/integration"
    return None


def _guard(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith(("socket.", "time.", "subprocess.", "open", "sqlite3.")) and (
        reason := forbidden(event, args, unit=_in_unit_test)
    ):
        pytest.fail(reason)  # not an Exception: the code under test cannot swallow it


sys.addaudithook(_guard)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Hold the tests under ``tests/unit`` to purity while they run; collecting and reporting may use the disk."""
    global _in_unit_test  # noqa: PLW0603 - the audit hook can be given nothing else
    _in_unit_test = UNIT in item.path.parents
    try:
        return (yield)
    finally:
        _in_unit_test = False


@pytest.fixture(scope="session")
def users_environ() -> dict[str, str]:
    """Give the environment from before the harness: a test that installs needs the user's package index and caches."""
    return _users_environ


@pytest.fixture(autouse=True)
def _loggers_stay_as_they_are() -> Iterator[None]:
    """Undo what a test did to the levels of loggers: runs that are meant to go wrong are hushed."""
    before = {name: logging.getLogger(name).level for name in ("robotrader", "ib_async.client", "asyncio")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
