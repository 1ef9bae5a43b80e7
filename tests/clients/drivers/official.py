"""Perform a script with IBKR's official client; works for both generations (9.81 and 10.46)."""

import inspect
import socket
import threading
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order

from tests.clients.drivers.recording import (
    WAIT_S,
    Log,
    NoAnswerError,
    Recorder,
    arguments,
    built,
    print_all,
    read_scripts,
)

_KINDS = {"Contract": Contract, "Order": Order, "ExecutionFilter": ExecutionFilter}
_RENAMED = {"commissionAndFeesReport": "commissionReport"}
_REFUSED = {"eTradeOnly", "firmQuoteOnly"}
"""Set by default in the older generation, and refused by IBKR."""
_HAS_CANCEL = len(inspect.signature(EClient.reqGlobalCancel).parameters) > 1


class Wrapper:
    """Take every callback, whatever its name."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __getattr__(self, name: str) -> Any:
        if name == "error":
            return self._error
        return lambda *values: self.recorder.take(_RENAMED.get(name, name), *values)

    def _error(self, req_id: int, *values: Any) -> None:
        if isinstance(values[1], int):  # the newer generation tells the time first
            values = (values[1], values[2], values[3] if len(values) > 3 else "", values[0])
        self.recorder.take("error", req_id, *values)


class Peer:
    """One connection, its message loop in a thread of its own."""

    def __init__(self, port: int, client_id: int, log: Log) -> None:
        self.recorder, self.log, self.fences = Recorder(), log, 1
        self.client: Any = EClient(Wrapper(self.recorder))
        self.client.connect("127.0.0.1", port, client_id)
        self.client.conn.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # two requests may follow at once
        _watch_surplus(self.client.decoder, log)
        self.loop = threading.Thread(target=self._run, daemon=True)
        self.loop.start()
        self.wait(self.fenced)

    def _run(self) -> None:
        try:
            self.client.run()
        finally:
            self.recorder.take("connectionClosed")

    def fenced(self) -> bool:
        """Tell whether every request for the next id was answered."""
        return self.recorder.fences >= self.fences

    def ask(self, method: str, *values: Any) -> None:
        """Call one of the client's request methods."""
        self.fences += method == "reqIds"
        getattr(self.client, method)(*arguments(list(values), _make))

    def wait(self, condition: Any) -> None:
        """Wait until callbacks have made the condition true."""
        with self.recorder.changed:
            came = self.recorder.changed.wait_for(lambda: condition() or not self.client.isConnected(), WAIT_S)
        if not came or not condition():
            self.client.disconnect()
            self.loop.join(WAIT_S)  # what ended its message loop is known then
            raise NoAnswerError


def _make(kind: str, values: dict[str, Any]) -> list[Any]:
    if kind == "Cancel":
        if not _HAS_CANCEL:
            return []
        from ibapi.order_cancel import OrderCancel

        return [OrderCancel()]
    made = built(_KINDS[kind], values)
    for name in _REFUSED & vars(made).keys():
        setattr(made, name, False)
    return [made]


def _watch_surplus(decoder: Any, log: Log) -> None:
    """Log fields that a decoder leaves unread: the client itself overlooks them."""

    def watched(process: Any) -> Any:
        def read(self: Any, fields: Any) -> None:
            process(self, fields)
            if left := list(fields):
                log.lines.append(f"{process.__name__} left {left}")

        return read

    for info in decoder.msgId2handleInfo.values():
        if info.processMeth is not None and info.processMeth.__name__ != "read":
            info.processMeth = watched(info.processMeth)


def play(script: dict[str, Any]) -> dict[str, Any]:
    """Perform one session."""
    log = Log()
    peers: dict[str, Peer] = {}
    steps: list[dict[str, Any]] = []
    try:
        for step in script["steps"]:
            _perform(step, peers, script["port"], log)
            steps.append({who: peer.recorder.drain() for who, peer in peers.items()})
    except NoAnswerError:
        log.lines.append(f"no answer in step {len(steps)}: {script['steps'][len(steps)]['calls']}")
    finally:
        log.close()  # what is said while leaving does not count
        for peer in peers.values():
            peer.client.disconnect()
    version = max((peer.client.decoder.serverVersion for peer in peers.values()), default=0)
    return {"version": version, "steps": steps, "errors": log.lines}


def _perform(step: dict[str, Any], peers: dict[str, Peer], port: int, log: Log) -> None:
    for method, *values in step["calls"]:
        if method == "connect":
            peers[step["who"]] = Peer(port, values[0], log)
        else:
            peers[step["who"]].ask(method, *values)
    actor = peers[step["who"]]
    for group in ([actor], [peer for peer in peers.values() if peer is not actor]):  # others see what he did
        for peer in group:
            peer.ask("reqIds", -1)
        for peer in group:
            peer.wait(peer.fenced)


if __name__ == "__main__":
    print_all(play(script) for script in read_scripts())
