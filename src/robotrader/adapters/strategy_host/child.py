"""The process of one strategy: load it behind the guard, then answer bars until the trader hangs up."""

import os
from collections.abc import Iterator
from typing import IO

import talib  # noqa: F401 - what strategies use is here before the guard: native libraries come by ctypes

from robotrader.adapters.strategy_host import frames, guard
from robotrader.model import BarsClosed, StrategyError
from robotrader.strategy.contract import TrailingWindow
from robotrader.strategy.loading import load_strategy

_DAY_NS = 86_400 * 10**9


def main(*, no_network: bool) -> None:
    """Be that process; what a strategy prints goes nowhere, the trader's pipes are hidden from it."""
    incoming, outgoing = (os.fdopen(os.dup(number), mode) for number, mode in ((0, "rb"), (1, "wb")))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    os.environ.clear()  # Python itself sets the locale there
    asked = _questions(incoming)
    start = next(asked)
    if not isinstance(start, frames.Start):
        raise TypeError(f"expected to be told what to load first, found {type(start).__name__}")
    limits = start.limits
    allow = guard.arm(
        guard.places(start.source.rpartition(":")[0]), memory_bytes=limits.memory_bytes, open_files=limits.open_files,
        file_bytes=limits.file_bytes,
    )  # fmt: skip
    allow(limits.start_s)
    try:
        strategy = load_strategy(start.source, start.parameters)
        window = TrailingWindow(strategy, start.instruments)
        _say(outgoing, frames.Ready(manifest=strategy.manifest, no_network=no_network))
    except Exception as error:  # noqa: BLE001 - a file of the user's runs here: it may raise anything
        why = f"{type(error).__name__}: {error}"[: frames.DETAIL_CHARACTERS]
        _say(outgoing, frames.Failed(fault=frames.Fault.RAISED, detail=why))
        return
    last = 0
    for question in asked:
        match question:
            case frames.Ask(event=event):
                allow(limits.bar_s)
                _say(outgoing, _answer(window, event, last))
                last = event.ts_event
            case frames.Split():
                window.on_split(question.instrument, question.ratio, question.ex_at)
            case frames.Start():
                raise TypeError("expected bars, found another strategy to load")


def _questions(incoming: IO[bytes]) -> Iterator[frames.Question]:
    while len(length := incoming.read(frames.LENGTH_BYTES)) == frames.LENGTH_BYTES:
        yield frames.QUESTIONS.decode(incoming.read(int.from_bytes(length, "big")))


def _answer(window: TrailingWindow, event: BarsClosed, last: int) -> frames.Reply:
    """Answer as in process, where a session that ended before these bars is compared then."""
    new_day = last and not event.warmup and last // _DAY_NS != event.ts_event // _DAY_NS
    try:
        compared = window.compared() if new_day else (0, 0)
        return frames.Row(ts_event=event.ts_event, strengths=tuple(window.on_bars(event)), compared=compared)
    except StrategyError as error:
        fault = frames.Fault.CONTRACT if error.__cause__ is None else frames.Fault.RAISED
        return frames.Failed(fault=fault, detail=error.message[: frames.DETAIL_CHARACTERS])


def _say(outgoing: IO[bytes], reply: frames.Reply) -> None:
    outgoing.write(frames.packed(reply))
    outgoing.flush()
