"""Commands within the test's own process, for tests that ask many: a process of its own takes a second or more."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from robotrader.cli.main import app


def ask(*arguments: str, state: Path, code: int = 0) -> dict[str, Any]:
    """Run one command with `--json` and return its answer."""
    done = CliRunner().invoke(app, [*arguments, "--json", "--state", str(state)])
    assert done.exit_code == code, f"exit {done.exit_code}: {done.output}"
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found
