"""A child process that is talked to through its pipes, each word of it within a deadline."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


class Child:
    """A running process; times are those of `deadline`. It blocks, and no event loop knows of it."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd=folder,
            bufsize=0,
        )  # fmt: skip
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        for number in (self._in, self._out):
            os.set_blocking(number, False)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def write(self, data: bytes, until: float) -> None:
        """Write all of it; TimeoutError where it is not taken in time, BrokenPipeError where nobody is there."""
        left = memoryview(data)
        while left:
            _wait(self._in, select.POLLOUT, until)
            left = left[os.write(self._in, left) :]

    def read(self, size: int, until: float) -> bytes:
        """Read so many bytes; TimeoutError where they do not come in time, EOFError where none come any more."""
        parts = []
        while size:
            _wait(self._out, select.POLLIN, until)
            part = os.read(self._out, size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def end(self, patience_s: float) -> str:
        """Wait for the end so long, then make it; return how it came."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def deadline(seconds: float) -> float:
    """Return the time that is so many seconds away."""
    return time.monotonic() + seconds


def _wait(number: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(number, event)
    if not poll.poll(max(until - time.monotonic(), 0.0) * 1000):
        raise TimeoutError
