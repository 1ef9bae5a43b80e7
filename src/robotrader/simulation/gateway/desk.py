"""The book with a memory: every input is logged, with the executions it led to, before its reports leave."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from robotrader.model import ConfigError
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.interventions import intervene
from robotrader.simulation.gateway.record import (
    Advance,
    Cancellation,
    Execution,
    Header,
    Intervention,
    Line,
    Placement,
    read_lines,
)
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.gateway.tickets import Report

_ENCODER = msgspec.json.Encoder()


class Desk:
    """Where clients' orders arrive.

    `path` is the log: its inputs are run again, then it is continued; None remembers nothing. ConfigError: another
    gateway writes the log, or it is of other data or another configuration: its header or its executions differ.
    """

    def __init__(self, book: Book, path: Path | None, header: Header) -> None:
        self.book = book
        self._unlogged: list[Line] = []
        self._file = None if path is None else self._open(path, header)
        self._write()

    def place(self, client_id: int, order: PlaceOrder) -> Sequence[Report]:
        """Take a new order, or new terms of an open one; a what-if order changes nothing and is not logged."""
        first = len(self.book.executions)
        placement, reports = self.book.place(client_id, order)
        if not order.what_if:
            self._write(placement, *self.book.executions[first:])
        return reports

    def cancel(self, client_id: int, order_id: int | None) -> Sequence[Report]:
        """Cancel one order of this client, or all of the account (None)."""
        self._write(Cancellation(client_id=client_id, order_id=order_id))
        return self.book.cancel(client_id, order_id)

    def bind(self, client_id: int) -> Sequence[Report]:
        """Give manual orders an order id, now and from now on; Refused unless client 0 asks."""
        if client_id:
            raise Refused(327, "Only the default client (i.e 0) can auto bind orders.")
        return self.intervene(Intervention(deed="bind"))

    def intervene(self, intervention: Intervention) -> Sequence[Report]:
        """Do what no client asked for; ConfigError when what it is about does not exist."""
        first = len(self.book.executions)
        reports = intervene(self.book, intervention)
        self._write(intervention, *self.book.executions[first:])
        return reports

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
            self._file = None

    def _write(self, *lines: Line) -> None:
        if self._file is not None:
            os.write(self._file, b"".join(_ENCODER.encode(line) + b"\n" for line in (*self._unlogged, *lines)))
        self._unlogged = []

    def _open(self, path: Path, header: Header) -> int:
        """Bring the book to where the log ends, and return the file to continue."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, self._replay(path, header))
        except BlockingIOError:
            os.close(file)
            raise ConfigError(f"another gateway writes {path}: stop it, or use another state folder") from None
        except ConfigError:
            os.close(file)
            raise
        return file

    def _replay(self, path: Path, header: Header) -> int:
        """Run the log's inputs again and return the length of its complete lines."""
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
            elif isinstance(line, Intervention):
                intervene(self.book, line)
        logged = [line for line in lines if isinstance(line, Execution)]
        if self.book.executions[: len(logged)] != logged:
            raise ConfigError("the gateway log replays to other executions than it holds: it was made with other costs")
        torn = self.book.executions[len(logged) :]  # a kill tore them off after their input
        self._unlogged = [*torn] if lines else [header]
        return size
