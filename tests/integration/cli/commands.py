"""Run commands as a person or a script does: other processes, exit codes, what stands on the screen."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct


class Ran(Struct, frozen=True):
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the one JSON object on stdout."""
        assert self.out.count("\n") == 1, f"expected one line, found {self.out!r}"
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert found["schema_version"] == 1
        return found


def run(
    *arguments: str, state: Path | None = None, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Ran:
    """Run one command to its end, without a terminal."""
    command = [sys.executable, "-m", "robotrader", *arguments, *(["--state", str(state)] if state else [])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL, cwd=cwd,
        env={**os.environ, **(environ or {})},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def ask(*arguments: str, state: Path, code: int = 0) -> dict[str, Any]:
    """Run one command with `--json` and return its answer."""
    ran = run(*arguments, "--json", state=state)
    assert ran.code == code, f"exit {ran.code}: {ran.out}{ran.err}"
    return ran.json
