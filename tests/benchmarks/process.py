"""The command line as a process of its own, with its wall time and its memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any


def robotrader(*arguments: str) -> dict[str, Any]:
    """Run the command line and return its JSON with wall seconds and the peak memory of its largest process."""
    found = measured([sys.executable, "-m", "robotrader", *arguments, "--json"])
    return {**found.pop("result"), **found}


def measured(command: list[str], *, path: Path | None = None) -> dict[str, Any]:
    """Run a command that prints JSON: `result`, `wall` seconds, and `peak_mb` of its largest process.

    `path` is looked for modules first.
    """
    environment = _environment() | ({} if path is None else {"PYTHONPATH": str(path)})
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, used = os.wait4(child.pid, 0)  # the figures of this process and what it waited for, no other's
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise RuntimeError(err.read())
        return {"result": json.loads(out.read()), "wall": wall, "peak_mb": used.ru_maxrss / 1024}


@cache
def _environment() -> dict[str, str]:
    """Return an environment in which modules are compiled once, as a user has it, and beside no source of ours."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "robotrader-bench-pycache")}
