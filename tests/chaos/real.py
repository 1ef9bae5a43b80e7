"""Real processes around one account: a gateway in lock-step, traders, and what they left, judged from outside."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from robotrader import bootstrap
from robotrader.cli.demo_report import report
from robotrader.simulation.gateway.record import LOG_NAME, GatewayRecord
from tests.chaos.kills import judge
from tests.integration.system.running import eventually, process, robotrader

Process = subprocess.Popen[str]

FIRST, SECOND = 1, 2
"""Client ids of two traders; the gateway tells the second one of the first one's orders too."""

SESSIONS = 110

_FLIP = Path(__file__).parents[1] / "scenarios" / "flip.py"
_CONFIG = """\
[broker]
port = {port}
account = "DU1234567"
client_id = {client_id}
lock_step = true
[data]
universe = ["AAPL.NASDAQ"]
[log]
level = "ERROR"
[[strategy]]
id = "flip"
source = {source}
universe = ["AAPL.NASDAQ"]
capital = "1000000"
"""


class Account:
    """An account at a gateway that runs, and the state folder of those who trade it; see `opened`."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.state = root / "trader"
        self._port = port
        (self.state / LOG_NAME).symlink_to(root / "gateway" / LOG_NAME)

    def settings(self, client_id: int = FIRST) -> str:
        """Write the configuration of a trader with this client id and return its path."""
        path = self.root / f"{client_id}.toml"
        path.write_text(
            _CONFIG.format(port=self._port, client_id=client_id, source=json.dumps(f"{_FLIP}:Flip")), encoding="utf-8"
        )
        return str(path)

    @contextmanager
    def trader(self, client_id: int = FIRST) -> Iterator[Process]:
        """Run a trader beside the block; one that was stopped goes on when the block is left."""
        with process("trade", "--config", self.settings(client_id), state=self.state) as child:
            try:
                yield child
            finally:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGCONT) if child.returncode is None else None

    def to_the_end(self, client_id: int = FIRST) -> None:
        """Trade until the replay ends."""
        done = robotrader("trade", "--config", self.settings(client_id), state=self.state)
        assert done.code == 0, done.err

    def placed(self, *clients: int) -> int:
        """Return how many orders the gateway has received, of these clients or of all."""
        placements = GatewayRecord.read(self.root / "gateway").placements
        return sum(p.client_id in clients or not clients for p in placements)

    def goes_on(self, *clients: int, orders: int = 3) -> bool:
        """Wait until the gateway has received some more orders."""
        before = self.placed(*clients)
        return eventually(lambda: self.placed(*clients) >= before + orders)

    def freeze(self, child: Process) -> None:
        """Stop a trader, at a moment when it has no transaction open: else nobody could take the journal over."""

        def stopped_outside() -> bool:
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)
            try:
                with self.locked(timeout_s=0.0):
                    return True
            except sqlite3.OperationalError:
                os.kill(child.pid, signal.SIGCONT)
                return False

        assert eventually(stopped_outside)

    @contextmanager
    def locked(self, *, timeout_s: float = 5.0) -> Iterator[None]:
        """Hold the journal's write lock, as another process would."""
        with closing(sqlite3.connect(self.state / bootstrap.JOURNAL, timeout=timeout_s, isolation_level=None)) as held:
            held.execute("BEGIN IMMEDIATE")
            yield
            held.execute("ROLLBACK")

    def report(self) -> dict[str, Any]:
        """Return what came of it, once nobody trades any more."""
        return report(self.state, seconds=0.0, restarts=0)

    def wrong(self, undisturbed: dict[str, Any] | None = None) -> list[str]:
        """Return where journal and gateway disagree, what was sent unannounced, and what differs from another run."""
        found, verified = self.report(), robotrader("db", "verify", state=self.state)
        return [
            *judge(found, undisturbed or found),
            *found["differences"],
            *(f"{ref} was sent, but SENDING was never written" for ref in self._sent() if ref not in self._sendings()),
            *([] if verified.code == 0 else [f"db verify: {verified.out}"]),
        ]

    def senders(self) -> set[tuple[int, int]]:
        """Return (client id, epoch) of everyone whose orders the gateway received."""
        epochs = self._sendings()
        return {(client, epochs[ref]) for ref, client in self._sent().items()}

    def epochs(self) -> list[int]:
        """Return the epoch of each row of the journal, in order."""
        return [epoch for (epoch,) in self._rows("SELECT epoch FROM journal ORDER BY seq")]

    def _sent(self) -> dict[str, int]:
        return {p.order_ref: p.client_id for p in GatewayRecord.read(self.root / "gateway").placements}

    def _sendings(self) -> dict[str, int]:
        query = "SELECT json_extract(payload, '$.order_id'), epoch FROM journal WHERE type = 'OrderSending'"
        return dict(self._rows(query))

    def _rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.state / bootstrap.JOURNAL)) as found:
            return found.execute(query).fetchall()


@contextmanager
def opened(root: Path, *, speed: float | None = None) -> Iterator[Account]:
    """Serve an account in lock-step, at most `speed` sessions a second."""
    (root / "gateway").mkdir()
    (root / "trader").mkdir(exist_ok=True)
    options = ["--lock-step", "--data", "sample:AAPL", "--days", str(SESSIONS), "--json"]
    options += ["--master-client-id", str(SECOND)]
    options += ["--speed", str(speed)] if speed else []
    with process("gateway-sim", *options, state=root / "gateway") as child:
        assert child.stdout is not None
        yield Account(root, int(json.loads(child.stdout.readline())["port"]))
