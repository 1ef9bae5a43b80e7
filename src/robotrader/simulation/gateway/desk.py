"""The book with a memory: every input is logged, with the executions it led to, before its reports leave."""

from collections.abc import Sequence
from pathlib import Path

from robotrader.model import ConfigError
from robotrader.simulation.gateway.book import Book, Report
from robotrader.simulation.gateway.record import (
    Advance,
    Cancellation,
    Execution,
    GatewayLog,
    Header,
    Input,
    Line,
    Placement,
)
from robotrader.simulation.gateway.requests import PlaceOrder


class Desk:
    """Where clients' orders arrive.

    Parameters
    ----------
    path : Path or None
        The log: its inputs are run again, then it is continued. None remembers nothing.
    header : Header
        What the log must have been made with.

    Raises
    ------
    ConfigError
        The log is of other data or another configuration: its header or its executions differ.
    """

    def __init__(self, book: Book, path: Path | None, header: Header) -> None:
        self.book = book
        self._log = GatewayLog(path)
        self._unlogged: Advance | None = None
        try:
            self._replay(self._log.open(header))
        except BaseException:
            self._log.close()
            raise

    def place(self, client_id: int, order: PlaceOrder) -> Sequence[Report]:
        """Take a new order, or new terms of an open one."""
        first = len(self.book.executions)
        placement, reports = self.book.place(client_id, order)
        self._write(placement, first)
        return reports

    def cancel(self, client_id: int, order_id: int | None) -> Sequence[Report]:
        """Cancel one order of this client, or all of the account (None)."""
        self._write(Cancellation(client_id=client_id, order_id=order_id), len(self.book.executions))
        return self.book.cancel(client_id, order_id)

    def advance(self, until: int, *, always_log: bool) -> Sequence[Report]:
        """Let the market trade until that time.

        Steps during which no order is open may be joined in the log: they change nothing but the time.
        """
        first, idle = len(self.book.executions), self.book.idle
        reports = self.book.advance(until)
        if idle and not always_log:
            self._unlogged = Advance(ts=until)
        else:
            self._write(Advance(ts=until), first)
        return reports

    def close(self) -> None:
        """Write what is left and close the log."""
        self._write(None, len(self.book.executions))
        self._log.close()

    def _write(self, line: Input | None, first_execution: int) -> None:
        lines: list[Line] = [entry for entry in (self._unlogged, line) if entry is not None]
        self._unlogged = None
        self._log.write([*lines, *self.book.executions[first_execution:]])

    def _replay(self, lines: Sequence[Line]) -> None:
        logged = [line for line in lines if isinstance(line, Execution)]
        for line in lines:
            self._run(line)
        if self.book.executions[: len(logged)] != logged:
            raise ConfigError("the gateway log replays to other executions than it holds: it was made with other costs")
        self._log.write(self.book.executions[len(logged) :])  # a kill tore them off after their input

    def _run(self, line: Line) -> None:
        match line:
            case Placement():
                self.book.place(line.client_id, line.order)
            case Cancellation():
                self.book.cancel(line.client_id, line.order_id)
            case Advance():
                self.book.advance(line.ts)
            case Header() | Execution():
                pass  # what to compare with, not what to do
