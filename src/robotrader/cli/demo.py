"""The demo: gateway simulator, trader and dashboard as three processes on loopback, over real daily bars."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Annotated, Any

import typer

from robotrader.cli.command import BROKER, CONFIG, FAILED, OK, Answer, Call, command, facts

MAX_RESTARTS = 5
STOP_S = 10.0
NOTE = "prices scaled by Adj Close / Close"

_CONFIG = """\
# Written by `robotrader demo`: the simulated gateway of this state folder, two strategies, the paper limits.
mode = "paper"
state = {state}

[broker]
port = {port}
account = "DU1234567"
lock_step = true

[data]
universe = ["AAPL.NASDAQ", "GOOG.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ"]
bar_spec = "1d"

[risk]
profile = "paper"

[log]
level = "WARNING"
"""

_LIFECYCLE = """
[lifecycle]
capital = "1000000"
"""

_STRATEGY = """
[[strategy]]
id = "{id}"
source = "{source}"
universe = ["AAPL.NASDAQ", "GOOG.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ"]
capital = "{capital}"
sizer = "percent:0.05"
"""

_STRATEGIES = ("sma_crossover", "momentum")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    command(app, "demo")(demo)


async def demo(
    call: Call,
    *,
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard: replay to the end and exit.")] = False,
    days: Annotated[int | None, typer.Option(help="Only the first N sessions.", min=1)] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Only this strategy, or yours: path/to/file.py:Class; default: both.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Their stage, such as shadow; gates decide then.")] = None,
    speed: Annotated[float, typer.Option(help="Sessions a second on the page.", min=0.01)] = 2.0,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8787,
) -> Answer:
    """Trade two strategies over thirteen years of real daily bars, against the gateway simulator."""
    from robotrader.cli.demo_report import report

    started = time.perf_counter()
    state = call.state if call.state_named else Path(tempfile.mkdtemp(prefix="robotrader-demo-"))
    state.mkdir(parents=True, exist_ok=True)
    chosen = _chosen(strategy)
    call.note(f"state folder: {state}")
    _stop_on_sigterm()
    async with _Processes(call, state) as running:
        await running.gateway(days=days, speed=None if headless else speed)
        (state / "demo.toml").write_text(_configuration(state, running.port, chosen, stage), encoding="utf-8")
        if not headless:
            call.note(f"dashboard (opens once): {await running.dashboard(port)}")
            call.note("Ctrl-C stops all processes.")
        await running.trade()
        if not headless:
            call.note("the replay ended; the dashboard stays until Ctrl-C")
            await asyncio.Event().wait()
        restarts = running.restarts
    payload = report(state, seconds=time.perf_counter() - started, restarts=restarts)
    return Answer(payload, facts(payload), OK if payload["reconciled"] else FAILED)


def _stop_on_sigterm() -> None:
    """Let SIGTERM end this task as Ctrl-C does: the other processes are stopped on the way out."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)


def _chosen(strategy: str | None) -> tuple[str, ...]:
    from robotrader.model import ConfigError

    if strategy is None:
        return tuple(_STRATEGIES)
    if strategy not in _STRATEGIES and ".py:" not in strategy:
        names = ", ".join(_STRATEGIES)
        raise ConfigError(f"the demo has the strategies {names}, and takes path/to/file.py:Class; found {strategy!r}")
    return (strategy,)


def _configuration(state: Path, port: int, strategies: tuple[str, ...], stage: str | None) -> str:
    """Return the trader's settings; with a stage, also those of the lifecycle."""
    from robotrader.strategy.loading import id_of

    capital = 1_000_000 // len(strategies)
    parts = [_CONFIG.format(state=json.dumps(str(state)), port=port)]
    parts += [_LIFECYCLE] if stage else []
    for source in strategies:
        parts.append(_STRATEGY.format(id=id_of(source), source=source, capital=capital))
        parts += [f'stage = "{stage.upper()}"\n'] if stage else []
    return "".join(parts)


class _Processes:
    """The demo's child processes; leaving the block stops them all."""

    def __init__(self, call: Call, state: Path) -> None:
        self._call = call
        self._state = state
        self._children: list[Process] = []
        self.port = 0
        self.restarts = 0

    async def __aenter__(self) -> "_Processes":
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in reversed(self._children):
            await _stop(child)

    async def gateway(self, *, days: int | None, speed: float | None) -> None:
        """Start the gateway simulator in lock-step on a free port."""
        options = ["--lock-step", "--data", "sample:all", "--state", str(self._state), "--json"]
        options += ["--days", str(days)] if days else []
        options += ["--speed", str(speed)] if speed else []
        child = await self._start("gateway-sim", *options)
        self.port = int((await _first_line(child, "gateway simulator"))["port"])

    async def dashboard(self, port: int) -> str:
        """Start the dashboard and return its one-time link; a busy port gives way to a free one."""
        from robotrader.model import ConfigError

        options = ["--state", str(self._state), "--json", "--simulated", "--note", NOTE]
        try:
            found = await _first_line(await self._start("dashboard", "--port", str(port), *options), "dashboard")
        except ConfigError:
            self._call.note(f"port {port} is busy: the dashboard takes a free one")
            found = await _first_line(await self._start("dashboard", "--port", "0", *options), "dashboard")
        return str(found["login"])

    async def trade(self) -> None:
        """Run the trader to the end of the replay; a dead one is started again, up to five times.

        Raises
        ------
        ConfigError, RoboTraderError
            It refused to start, or died too often.
        """
        from robotrader.model import ConfigError, RoboTraderError

        while True:
            child = await self._start("trade", "--config", str(self._state / "demo.toml"), "--quiet")
            code = await child.wait()
            if code == OK:
                return
            if code == CONFIG:
                raise ConfigError("the trader refused to start; its message stands above")
            if self.restarts == MAX_RESTARTS:
                raise RoboTraderError(f"the trader ended {MAX_RESTARTS + 1} times; last exit code {code}")
            self.restarts += 1
            self._call.note(f"the trader ended with code {code}; started again ({self.restarts} of {MAX_RESTARTS})")

    async def _start(self, *arguments: str) -> Process:
        listening = arguments[0] != "trade"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "robotrader", *arguments,
            stdout=PIPE if listening else asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches this process only: it stops the others in order
        )  # fmt: skip
        self._children.append(child)
        return child


async def _first_line(child: Process, name: str) -> dict[str, Any]:
    """Return the first JSON line of a child: where it listens."""
    from robotrader.model import BrokerUnavailable, ConfigError

    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    line = await child.stdout.readline()
    found: dict[str, Any] = json.loads(line) if line.strip() else {}
    if not found or "error" in found:
        code = await child.wait()
        kind = BrokerUnavailable if code == BROKER else ConfigError
        raise kind(f"the {name} did not start (exit code {code}): {found.get('error', 'see its message above')}")
    return found


async def _stop(child: Process) -> None:
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_S)
    except TimeoutError:
        child.kill()
        await child.wait()
