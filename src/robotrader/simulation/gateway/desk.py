"""The book with a memory: every input is logged, with the executions it led to, before its reports leave."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from robotrader.model import ConfigError
from robotrader.simulation.gateway.book import Book, Report
from robotrader.simulation.gateway.record import Advance, Cancellation, Execution, Header, Line, Placement, read_lines
from robotrader.simulation.gateway.requests import PlaceOrder

_ENCODER = msgspec.json.Encoder()


class Desk:
    """Where clients' orders arrive.

    `path` is the log: its inputs are run again, then it is continued; None remembers nothing. ConfigError: the log is
    of other data or another configuration, its header or its executions differ.
    """

    def __init__(self, book: Book, path: Path | None, header: Header) -> None:
        self.book = book
        self._unlogged: list[Line] = []
        self._file = None if path is None else self._open(path, header)
        self._write()

    def place(self, client_id: int, order: PlaceOrder) -> Sequence[Report]:
        """Take a new order, or new terms of an open one."""
        first = len(self.book.executions)
        placement, reports = self.book.place(client_id, order)
        self._write(placement, *self.book.executions[first:])
        return reports

    def cancel(self, client_id: int, order_id: int | None) -> Sequence[Report]:
        """Cancel one order of this client, or all of the account (None)."""
        self._write(Cancellation(client_id=client_id, order_id=order_id))
        return self.book.cancel(client_id, order_id)

    def advance(self, until: int, *, always_log: bool) -> Sequence[Report]:
        """Let the market trade until that time.

        Steps during which no order is open may be joined in the log: they change nothing but the time.
        """
        first, idle = len(self.book.executions), self.book.idle
        reports = self.book.advance(until)
        if idle and not always_log:
            self._unlogged = [Advance(ts=until)]
        else:
            self._write(Advance(ts=until), *self.book.executions[first:])
        return reports

    def close(self) -> None:
        """Write what is left and close the log."""
        self._write()
        if self._file is not None:
            os.close(self._file)

    def _write(self, *lines: Line) -> None:
        if self._file is not None:
            os.write(self._file, b"".join(_ENCODER.encode(line) + b"\n" for line in (*self._unlogged, *lines)))
        self._unlogged = []

    def _open(self, path: Path, header: Header) -> int:
        """Bring the book to where the log ends, and return the file to continue."""
        lines, size = read_lines(path)
        if lines and lines[0] != header:
            raise ConfigError(
                f"{path} belongs to other market data or another configuration of the gateway simulator: "
                "use the same --data, account and mode, or another state folder",
                path=str(path),
            )
        for line in lines:
            if isinstance(line, Placement):
                self.book.place(line.client_id, line.order)
            elif isinstance(line, Cancellation):
                self.book.cancel(line.client_id, line.order_id)
            elif isinstance(line, Advance):
                self.book.advance(line.ts)
        logged = [line for line in lines if isinstance(line, Execution)]
        if self.book.executions[: len(logged)] != logged:
            raise ConfigError("the gateway log replays to other executions than it holds: it was made with other costs")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(file, size)
        torn = self.book.executions[len(logged) :]  # a kill tore them off after their input
        self._unlogged = [*torn] if lines else [header]
        return file
