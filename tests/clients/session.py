"""Start the gateway simulator and a foreign client, each as a process of its own, and keep what the client saw."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.clients.callbacks import Callback, named
from tests.clients.market import write

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-clients"
DRIVERS = {"ibapi-9.81": "official", "ib_async-2.1": "asyncio_client", "ibapi-10.46": "official"}
"""The driver of each client."""
NEWEST = {"ibapi-9.81": 157, "ib_async-2.1": 178, "ibapi-10.46": 200}
"""The newest version that each client speaks as text."""
GATEWAY = (str(Path(sys.executable).with_name("robotrader")), "gateway-sim")
_TIMEOUT_S = 90


class Seen(Struct, frozen=True):
    """What one client saw: negotiated version, callbacks by connection for each step, what it logged as errors.

    `facade` is what ib_async's own objects held, connected once more at the end.
    """

    version: int
    steps: list[dict[str, list[list[Any]]]]
    errors: list[str]
    facade: dict[str, Any] = {}

    def step(self, at: int, who: str) -> list[Callback]:
        """Return one connection's callbacks in a step; none when the session ended before."""
        return [named(call) for step in self.steps[at : at + 1] for call in step.get(who, [])]


def interpreter(client: str) -> Path:
    """Return the Python of a client's environment."""
    path = ENVIRONMENTS / client / "bin" / "python"
    if not path.exists():
        raise FileNotFoundError(f"{path.relative_to(ROOT)} is missing: run `make clients-env`")
    return path


@contextmanager
def gateway(folder: Path, *options: str, command: Sequence[str] = GATEWAY) -> Iterator[dict[str, Any]]:
    """Run a gateway over the session's market for as long as the block runs; gives what it said at the start.

    It may log no error.
    """
    data = write(folder / "bars.csv")
    place = ["--data", str(data), "--state", str(folder / "state"), "--json"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, *place, *options], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, _said(log)
            yield json.loads(first)
        finally:
            process.terminate()
            process.communicate(timeout=_TIMEOUT_S)
        assert not (said := _said(log)), said


def _said(log: Any) -> str:
    """Return what a gateway logged, without what is only for information."""
    log.seek(0)
    return "".join(line for line in log if '"level": "info"' not in line)


def perform(client: str, ports: Sequence[int], steps: Sequence[Mapping[str, Any]]) -> list[Seen]:
    """Let one client perform steps at each port and return what it saw there."""
    done = subprocess.run(
        [interpreter(client), "-m", f"tests.clients.drivers.{DRIVERS[client]}"],
        input=json.dumps([{"port": port, "steps": steps} for port in ports]), cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Seen(**found) for found in json.loads(done.stdout)]
