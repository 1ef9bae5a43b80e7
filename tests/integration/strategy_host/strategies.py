"""Strategies that behave, and one for each way not to: what they do is in their names."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId

BAD_FROM = 3
"""Rows that a strategy sees before it misbehaves."""


class Mean:
    """Say how far each close is from the mean of a window, as arithmetic whose last bits could differ."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {"bars": Parameter(default=20, low=2, high=100)}

    def __init__(self, *, bars: int) -> None:
        self._bars = bars

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("hosted"), version="1", hypothesis="It comes back.", bar_spec=BarSpec.DAY,
                        warmup_bars=self._bars, parameters=self.PARAMETERS)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        for t in range(self._bars - 1, len(panel)):
            window = panel.close[t + 1 - self._bars : t + 1]
            out[t] = np.tanh((panel.close[t] / window.mean(axis=0) - 1) * 37.123)
        return out


class Misbehaves(Mean):
    """Do `act` from the third bar on."""

    def signals(self, panel: Panel) -> Floats:
        if len(panel) >= BAD_FROM:
            self.act()
        return np.zeros(panel.close.shape)

    def act(self) -> None:
        raise NotImplementedError


class Raises(Misbehaves):
    def act(self) -> None:
        raise KeyError("no such thing")


class Exits(Misbehaves):
    def act(self) -> None:
        os._exit(7)


class Aborts(Misbehaves):
    def act(self) -> None:
        signal.raise_signal(signal.SIGSEGV)


class LoopsForEver(Misbehaves):
    def act(self) -> None:
        while True:
            pass


class EatsMemory(Misbehaves):
    def act(self) -> None:
        hoard = []
        while True:
            hoard.append(np.ones(1 << 20))


class FillsTheDisk(Misbehaves):
    def act(self) -> None:
        with Path("much").open("wb", buffering=0) as file:
            for _ in range(64):
                assert file.write(bytes(1 << 20)) == 1 << 20, "the kernel wrote less"


class TooSure(Misbehaves):
    def signals(self, panel: Panel) -> Floats:
        return np.full(panel.close.shape, 1.5 if len(panel) >= BAD_FROM else 0.0)


class WrongShape(Misbehaves):
    def signals(self, panel: Panel) -> Floats:
        return np.zeros((len(panel), len(panel.instruments) + (len(panel) >= BAD_FROM)))


def _tell(data: bytes) -> None:
    """Write to whatever is open: the trader's pipe is among it."""
    for number in range(3, 16):
        try:
            os.write(number, data)
        except OSError:
            continue


class TellsNonsense(Misbehaves):
    def act(self) -> None:
        _tell(b"\x00\x00\x00\x03\xc1\xc1\xc1")


class AnnouncesTooMuch(Misbehaves):
    def act(self) -> None:
        _tell(b"\xff\xff\xff\xff")


class ForgesStrengths(Misbehaves):
    """Answer by itself, past the contract."""

    def act(self) -> None:
        from msgspec import msgpack

        for ts in self.ends:
            body = msgpack.encode({"type": "Row", "ts_event": ts, "strengths": [9.0, 9.0]})
            _tell(len(body).to_bytes(4, "big") + body)

    def signals(self, panel: Panel) -> Floats:
        self.ends = panel.ts[-1:].tolist()
        return super().signals(panel)


class Connects(Misbehaves):
    def act(self) -> None:
        socket.create_connection(("127.0.0.1", 9))


class StartsAProgram(Misbehaves):
    def act(self) -> None:
        subprocess.run(["true"], check=False)


class Forks(Misbehaves):
    def act(self) -> None:
        os.fork()


class CallsC(Misbehaves):
    def act(self) -> None:
        ctypes.CDLL(None)


class WritesElsewhere(Misbehaves):
    def act(self) -> None:
        with Path("../elsewhere").open("w", encoding="utf-8"):
            pass


class ReadsTheParent(Misbehaves):
    def act(self) -> None:
        with Path(f"/proc/{os.getppid()}/environ").open("rb"):
            pass


class ImportsABroker(Misbehaves):
    def act(self) -> None:
        import ib_async  # noqa: F401


class ImportsTheRest(Misbehaves):
    def act(self) -> None:
        import robotrader.bootstrap  # noqa: F401


class LiftsItsLimits(Misbehaves):
    def act(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class TellsWhatItHas(Misbehaves):
    """Raise what it sees of the world: variables, folders to import from, what it may write."""

    def act(self) -> None:
        Path("mine").write_text("allowed", encoding="utf-8")
        found = Path("mine").read_text("utf-8")
        raise ValueError(f"{dict(os.environ)} {found} {sys.flags.isolated}")
