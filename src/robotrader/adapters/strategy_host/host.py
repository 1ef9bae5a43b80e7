"""The trader's side of a strategy in a process of its own: ask it, judge the answer, quarantine it for good."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import MsgspecError, structs

from robotrader.adapters.strategy_host import frames
from robotrader.adapters.strategy_host.frames import Fault
from robotrader.adapters.strategy_host.pipe import Child, deadline
from robotrader.model import (
    BarsClosed,
    ConfigError,
    Instrument,
    InstrumentId,
    Manifest,
    SignalsComputed,
    StrategyConfig,
    StrategyError,
)

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from robotrader.adapters.strategy_host import guard; "
    "alone = guard.leave_network(); from robotrader.adapters.strategy_host import child; child.main(no_network=alone)"
)
_END_S = 1.0

T = TypeVar("T")
_Said = tuple[tuple[float | None, ...], tuple[int, int]]


class StrategyHost:
    """One user strategy in a child process; `start` it, `ask` it at each cross-section in order, `close` it.

    Nothing that it does raises here after the start: what it may not do ends it, and only it. It blocks: a decision
    waits for the strategy in any case.
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
        self._child: Child | None = None
        self._until = 0.0
        self.scratch: Path | None = None
        self.fault = ""  # why it is quarantined

    @property
    def pid(self) -> int | None:
        """Return the process id, None where there is none (any more)."""
        return self._child.pid if self._child is not None else None

    def start(self) -> Manifest:
        """Start the process and load the strategy there.

        Raises
        ------
        ConfigError
            It cannot be loaded, or not in time.
        """
        self.scratch = Path(tempfile.mkdtemp(prefix="robotrader-strategy-"))
        self._child = Child([sys.executable, "-I", "-B", "-c", _PROGRAM, str(_ROOT)], self.scratch)
        try:
            self._say(self._start, self._limits.start_s)
            ready = self._hear(self._limits.start_s)
            if not isinstance(ready, frames.Ready):
                raise _broken(Fault.MALFORMED, f"expected a manifest, found {type(ready).__name__}")
        except StrategyError as error:
            self.close()
            raise ConfigError(f"{self._config.id} cannot be loaded in a process of its own: {error.message}") from error
        if not ready.no_network:
            log.warning("%s: the kernel gave no network namespace: only the audit hook keeps it from the network",
                        self._config.id)  # fmt: skip
        return ready.manifest

    def ask(self, event: BarsClosed) -> SignalsComputed:
        """Return what the strategy says of a cross-section; after a fault it is ended and has no view."""
        return ask_all([self], event)[0]

    def pose(self, event: BarsClosed) -> None:
        """Put the question; `answer` has the answer."""
        own = tuple(bar for bar in event.bars if bar.instrument in self._ids)
        question = frames.Ask(event=structs.replace(event, bars=own, quotes=()))
        self._guarded(lambda: self._say(question, self._limits.bar_s))

    def answer(self, ts_event: int) -> SignalsComputed:
        """Return the answer to what was posed last."""
        said = self._guarded(lambda: self._judged(self._hear(self._limits.bar_s), ts_event))
        strengths, compared = said or ((None,) * len(self._instruments), (0, 0))
        return SignalsComputed(ts_event=ts_event, ts_init=ts_event, strategy=self._config.id, strengths=strengths,
                               compared=compared, fault=self.fault)  # fmt: skip

    def _guarded(self, action: Callable[[], T]) -> T | None:
        """Act while the strategy is not quarantined, and quarantine it where it breaks its contract."""
        if self.fault:
            return None
        try:
            return action()
        except StrategyError as error:
            self.fault = error.message
            log.error("%s is quarantined: %s", self._config.id, error.message)  # noqa: TRY400 - not our fault
            self.close()
            return None

    def split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Tell it of new units, as `SignalSource.on_split`."""
        if instrument in self._ids:
            question = frames.Split(instrument=instrument, ratio=ratio, ex_at=ex_at)
            self._guarded(lambda: self._say(question, self._limits.bar_s))

    def close(self) -> None:
        """End the process and remove its scratch folder."""
        if self._child is not None:
            self._child.end(0.0)
            self._child = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None

    def _judged(self, reply: frames.Reply, ts_event: int) -> _Said:
        """Return a row's strengths, and what it compared; the other process is believed nothing."""
        columns = len(self._instruments)
        if not isinstance(reply, frames.Row) or (reply.ts_event, len(reply.strengths)) != (ts_event, columns):
            raise _broken(Fault.MALFORMED, f"expected {columns} strengths at {ts_event}, found {reply}")
        if largest := max((abs(s) for s in reply.strengths if abs(s) > 1), default=0):
            raise _broken(Fault.CONTRACT, f"strengths must lie in [-1, 1], found {largest}")
        strengths = tuple(s if s == s else None for s in reply.strengths)  # noqa: PLR0124 - not NaN
        return strengths, reply.compared

    def _say(self, question: frames.Question, within_s: float) -> None:
        self._until = deadline(within_s)
        try:
            self._running.write(frames.packed(question), self._until)
        except TimeoutError:
            raise _broken(Fault.SLOW, f"no answer within {within_s:g} s") from None
        except BrokenPipeError:
            raise _broken(Fault.CRASHED, f"its process ended {self._running.end(_END_S)}") from None

    def _hear(self, within_s: float) -> frames.Reply:
        """Return its reply, within the time since it was asked."""
        child = self._running
        try:
            length = int.from_bytes(child.read(frames.LENGTH_BYTES, self._until), "big")
            if length > frames.LONGEST_REPLY:
                raise _broken(Fault.MALFORMED, f"a reply of {length} bytes, {frames.LONGEST_REPLY} are allowed")
            reply = frames.REPLIES.decode(child.read(length, self._until))
        except TimeoutError:
            raise _broken(Fault.SLOW, f"no answer within {within_s:g} s") from None
        except EOFError:
            raise _broken(Fault.CRASHED, f"its process ended {child.end(_END_S)}") from None
        except MsgspecError as error:
            raise _broken(Fault.MALFORMED, f"its reply cannot be read: {error}") from error
        if isinstance(reply, frames.Failed):
            raise _broken(reply.fault, reply.detail)
        return reply

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise _broken(Fault.CRASHED, "it has no process")
        return self._child


def ask_all(hosts: Sequence[StrategyHost], event: BarsClosed) -> list[SignalsComputed]:
    """Ask several strategies, which decide side by side, and return what each says."""
    for host in hosts:
        host.pose(event)
    return [host.answer(event.ts_event) for host in hosts]


def _broken(fault: Fault, detail: str) -> StrategyError:
    return StrategyError(f"{fault}: {detail[: frames.DETAIL_CHARACTERS]}", fault=fault)
