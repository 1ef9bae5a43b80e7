"""Run the command line as a stranger would: other processes, a state folder, JSON on stdout."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct

DEADLINE_S = 60.0


class Done(Struct, frozen=True):
    """A finished command; `json` is the one object it printed, empty for none."""

    code: int
    json: dict[str, Any]
    out: str
    err: str


def robotrader(*arguments: str, state: Path | None = None) -> Done:
    """Run one command with `--json` to its end."""
    command = [sys.executable, "-m", "robotrader", *arguments, "--json"]
    command += ["--state", str(state)] if state else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL)
    return Done(done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stdout, done.stderr)


@contextmanager
def process(*arguments: str, state: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a command beside the block; it is ended, with its children, when the block is left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "robotrader", *arguments, "--state", str(state)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM if arguments[0] != "demo" else signal.SIGINT)
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # its children too: they hold the pipes open
            child.communicate()


def eventually(what: Callable[[], bool], *, within_s: float = DEADLINE_S) -> bool:
    """Ask again and again until it is so, or the time is up."""
    pause, end = threading.Event(), monotonic() + within_s
    while monotonic() < end:
        if what():
            return True
        pause.wait(0.02)
    return False
