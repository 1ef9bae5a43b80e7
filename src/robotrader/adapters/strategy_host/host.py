"""The trader's side of a strategy in a process of its own: ask it, judge the answer, quarantine it for good."""

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from msgspec import MsgspecError, Struct, structs

from robotrader.adapters.strategy_host import frames
from robotrader.adapters.strategy_host.frames import Fault
from robotrader.model import (
    BarsClosed,
    ConfigError,
    Instrument,
    InstrumentId,
    Manifest,
    StrategyConfig,
    StrategyError,
    StrategyId,
)

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from robotrader.adapters.strategy_host import guard; "
    "alone = guard.leave_network(); from robotrader.adapters.strategy_host import child; child.main(no_network=alone)"
)
_END_S = 1.0


class HostedStrengths(Struct, frozen=True, kw_only=True):
    """What a strategy said at `ts_event`: one strength per universe instrument, None = no view.

    `fault` and `detail` say why it is quarantined: no view on anything, from then on.
    """

    strategy: StrategyId
    ts_event: int
    strengths: tuple[float | None, ...]
    fault: Fault | None = None
    detail: str = ""


class StrategyHost:
    """One user strategy in a child process; `start` it, `ask` it at each cross-section in order, `close` it.

    Nothing that it does raises here after the start: what it may not do ends it, and only it.
    """

    def __init__(
        self, config: StrategyConfig, instruments: tuple[Instrument, ...], limits: frames.HostLimits | None = None
    ) -> None:
        path, _, name = config.source.rpartition(":")  # it is started in another folder
        source = f"{Path(path).absolute()}:{name}" if path else config.source
        self._config = config
        self._instruments = instruments
        self._ids = frozenset(i.id for i in instruments)
        self._limits = limits or frames.HostLimits()
        self._start = frames.Start(source=source, parameters=config.parameters, instruments=instruments,
                                   limits=self._limits)  # fmt: skip
        self._process: Process | None = None
        self.scratch: Path | None = None
        self._fault: tuple[Fault, str] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, None where there is none (any more)."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> Manifest:
        """Start the process and load the strategy there.

        Raises
        ------
        ConfigError
            It cannot be loaded, or not in time.
        """
        self.scratch = Path(tempfile.mkdtemp(prefix="robotrader-strategy-"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", "-c", _PROGRAM, str(_ROOT), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={},
            cwd=self.scratch,
        )  # fmt: skip
        try:
            ready = await self._exchange(self._start, self._limits.start_s)
            if not isinstance(ready, frames.Ready):
                raise _broken(Fault.MALFORMED, f"expected a manifest, found {type(ready).__name__}")
        except StrategyError as error:
            await self.close()
            raise ConfigError(f"{self._config.id} cannot be loaded in a process of its own: {error.message}") from error
        if not ready.no_network:
            log.warning("%s: the kernel gave no network namespace: only the audit hook keeps it from the network",
                        self._config.id)  # fmt: skip
        return ready.manifest

    async def ask(self, event: BarsClosed) -> HostedStrengths:
        """Return what the strategy says of a cross-section; after a fault it is ended and has no view."""
        found: tuple[float | None, ...] = (None,) * len(self._instruments)
        if self._fault is None:
            own = tuple(bar for bar in event.bars if bar.instrument in self._ids)
            try:
                reply = await self._exchange(frames.Ask(event=structs.replace(event, bars=own, quotes=())),
                                             self._limits.bar_s)  # fmt: skip
                found = self._judged(reply, event.ts_event)
            except StrategyError as error:
                self._fault = (error.context["fault"], error.message)  # type: ignore[assignment]
                log.error("%s is quarantined: %s", self._config.id, error.message)  # noqa: TRY400 - not our fault
                await self.close()
        fault, detail = self._fault or (None, "")
        return HostedStrengths(strategy=self._config.id, ts_event=event.ts_event, strengths=found, fault=fault,
                               detail=detail)  # fmt: skip

    def split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Tell it of new units, as `SignalSource.on_split`."""
        if instrument in self._ids and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(frames.packed(frames.Split(instrument=instrument, ratio=ratio, ex_at=ex_at)))

    async def close(self) -> None:
        """End the process and remove its scratch folder."""
        if self._process is not None:
            await _ended(self._process, patience_s=0.0)
            self._process = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None

    def _judged(self, reply: frames.Reply, ts_event: int) -> tuple[float | None, ...]:
        """Return a row's strengths; the other process is believed nothing."""
        columns = len(self._instruments)
        if not isinstance(reply, frames.Row) or (reply.ts_event, len(reply.strengths)) != (ts_event, columns):
            raise _broken(Fault.MALFORMED, f"expected {columns} strengths at {ts_event}, found {reply}")
        if largest := max((abs(s) for s in reply.strengths if abs(s) > 1), default=0):
            raise _broken(Fault.CONTRACT, f"strengths must lie in [-1, 1], found {largest}")
        return tuple(s if s == s else None for s in reply.strengths)  # noqa: PLR0124 - not NaN

    async def _exchange(self, question: frames.Question, within_s: float) -> frames.Reply:
        """Say something and return the reply; `StrategyError` with the fault where there is none."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise _broken(Fault.CRASHED, "it has no process")
        try:
            async with asyncio.timeout(within_s):
                process.stdin.write(frames.packed(question))
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(frames.LENGTH_BYTES), "big")
                if length > frames.LONGEST_REPLY:
                    raise _broken(Fault.MALFORMED, f"a reply of {length} bytes, {frames.LONGEST_REPLY} are allowed")
                reply = frames.REPLIES.decode(await process.stdout.readexactly(length))
        except TimeoutError:
            raise _broken(Fault.SLOW, f"no answer within {within_s:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            how = await _ended(process, patience_s=_END_S)
            raise _broken(Fault.CRASHED, f"its process ended {how}") from None
        except MsgspecError as error:
            raise _broken(Fault.MALFORMED, f"its reply cannot be read: {error}") from error
        if isinstance(reply, frames.Failed):
            raise _broken(reply.fault, reply.detail)
        return reply


def _broken(fault: Fault, detail: str) -> StrategyError:
    return StrategyError(f"{fault}: {detail[: frames.DETAIL_CHARACTERS]}", fault=fault)


async def _ended(process: Process, *, patience_s: float) -> str:
    """Wait for the end, then make it; return how it came."""
    try:
        async with asyncio.timeout(patience_s):
            code = await process.wait()
    except TimeoutError:
        if process.returncode is None:
            process.kill()
        code = await process.wait()
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
