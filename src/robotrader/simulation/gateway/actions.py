"""What faults do, one function each: to a message on its way, to a connection, to the session, to orders."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Literal, Protocol

from msgspec import Struct, structs

from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.desk import Desk
from robotrader.simulation.gateway.faults import FARMS, INCOMING, OUTGOING, TEXTS, TICKS, Fault
from robotrader.simulation.gateway.line import READ_SIZE
from robotrader.simulation.gateway.record import Intervention
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder
from robotrader.simulation.gateway.schedule import LockStep, Running
from robotrader.simulation.gateway.tickets import Report
from robotrader.simulation.gateway.wire import fields_frame, split

OrderDeed = Literal["expire", "fill late", "locate", "renumber", "vanish"]
InstrumentDeed = Literal["lend", "liquidate"]
PassingDeed = Literal["halt", "limit state"]
_TIME_FORMAT = "%Y%m%d %H:%M:%S"
_LOCAL = frozenset({"startApi", "reqCurrentTime", "reqIds", "reqManagedAccts"})
"""What a gateway answers by itself, when it has lost its server too."""
_REMOTE = frozenset(OUTGOING.values()) - {"nextValidId", "managedAccounts", "currentTime"}
_ORDERS = frozenset({"openOrder", "orderStatus", "execDetails", "commissionReport", "error", "orderBound"})
_DATA = ("quotes", "ticks", "real-time bars", "history")
"""Subscriptions that 1101 says are lost."""
_VOLATILITY = 2
"""Tick 49 of a halt because the price moved too fast."""
_REQUESTS = frozenset({"placeOrder", "cancelOrder", "reqGlobalCancel"})


class Host(Protocol):
    """The gateway as faults see it."""

    book: Book
    desk: Desk
    clients: dict[int, Connection]
    schedule: LockStep | Running

    @property
    def now(self) -> int: ...
    def tell(self, reports: Sequence[Report]) -> None: ...
    def handle(self, connection: Connection, body: str) -> None: ...
    def advance(self, until: int) -> None: ...
    def restart(self, seconds: float) -> None: ...


class Passing(Struct):
    """A message on its way, a frame or a client's text as bytes: `now` passes at once, `let` lets it pass later."""

    connection: Connection
    name: str
    fields: Mapping[str, str]
    now: list[bytes]
    let: Callable[[bytes], None]


class Outage(Struct, eq=False):
    """Messages that do not leave for a while; of those in `kept` none is lost. `notice` is told to who comes new."""

    names: frozenset[str]
    notice: tuple[int, str]
    requests: str = ""
    keeps: frozenset[str] = frozenset()
    kept: list[Callable[[], None]] = []


class Stage:
    """What faults have changed so far, and the way that every message takes through it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.outages: list[Outage] = []
        self.held: list[tuple[Connection, str, bytes]] = []
        self.with_executions: set[tuple[Connection, str]] = set()
        self.skew_s = 0.0
        self.delayed = False

    def emit(self, connection: Connection, frame: bytes) -> None:
        """Let a frame leave, unless an outage stops it, and after it what waited for it."""
        fields = split(frame[4:].decode())
        name = OUTGOING.get(fields[0], "greeting")
        version = connection.speaker.version
        system = name == "error" and fields[1 if version >= 194 else 2] == "-1"
        for outage in self.outages:
            if name in outage.names and not system:
                if name in outage.keeps:
                    outage.kept.append(partial(self.emit, connection, frame))
                return
        if name == "execDetails":
            self.with_executions.add((connection, fields[1]))
        connection.line.write(_skewed(name, fields, self.skew_s) if self.skew_s else frame)
        for item in [h for h in self.held if h[:2] == (connection, name)]:
            self.held.remove(item)
            self.emit(connection, item[2])

    def admit(self, connection: Connection, body: bytes) -> None:
        """Let a client's message arrive, unless the link to the server is lost."""
        text = body.decode()
        name = INCOMING.get(text.partition("\0")[0], "")
        for outage in self.outages:
            if outage.requests and name not in _LOCAL:
                if outage.requests == "queue" and name in _REQUESTS:
                    outage.kept.append(partial(self.admit, connection, body))
                return
        self.host.handle(connection, text)

    def broadcast(self, code: int, text: str, *, only: Connection | None = None) -> None:
        """Send a system message to all clients, or to one."""
        for connection in [only] if only is not None else list(self.host.clients.values()):
            connection.error((-1, code, text), self.host.now)

    def outage(self, outage: Outage, seconds: float, end: Callable[[], None]) -> None:
        """Stop messages for a while, then say so with `end` and let those pass that were kept."""

        def over() -> None:
            self.outages.remove(outage)
            end()
            for release in outage.kept:
                release()

        self.outages.append(outage)
        self.host.schedule.after(seconds, over)


def _skewed(name: str, fields: list[str], seconds: float) -> bytes:
    """Return the frame of a message, told by a clock that is wrong."""
    if name == "currentTime":
        fields[2] = str(int(fields[2]) + round(seconds))
    elif name in {"greeting", "execDetails"}:
        at = 1 if name == "greeting" else 15
        day, clock, *zone = fields[at].split()
        moment = datetime.strptime(f"{day} {clock}", _TIME_FORMAT) + timedelta(seconds=seconds)  # noqa: DTZ007 - naive
        fields[at] = " ".join([moment.strftime(_TIME_FORMAT if zone else "%Y%m%d  %H:%M:%S"), *zone])
    return fields_frame(*fields)


def _drop(_stage: Stage, _fault: Fault, passing: Passing) -> None:
    passing.now.clear()


def _delay(stage: Stage, fault: Fault, passing: Passing) -> None:
    for item in passing.now:
        stage.host.schedule.after(fault.seconds, partial(passing.let, item))
    passing.now.clear()


def _duplicate(_stage: Stage, _fault: Fault, passing: Passing) -> None:
    passing.now *= 2


def _hold(stage: Stage, fault: Fault, passing: Passing) -> None:
    stage.held += [(passing.connection, fault.until, item) for item in passing.now]
    passing.now.clear()


def _cut(_stage: Stage, _fault: Fault, passing: Passing) -> None:
    for item in passing.now:
        passing.connection.line.write(item[: len(item) // 2], exactly=True)
    passing.now.clear()
    passing.connection.close()


def _burst(stage: Stage, _fault: Fault, passing: Passing) -> None:
    """Pad what leaves to exactly what official clients read at a time, with a harmless notice before it."""
    notice = partial(messages.error, passing.connection.speaker.version, -1, 2107, now=stage.host.now)
    for item in passing.now:
        missing = -(len(item) + len(notice(""))) % READ_SIZE
        passing.connection.line.write(notice("." * missing) + item, exactly=True)
    passing.now.clear()


def _drop_if_empty(stage: Stage, _fault: Fault, passing: Passing) -> None:
    if (passing.connection, passing.fields["reqId"]) not in stage.with_executions:
        passing.now.clear()


def _refuse(stage: Stage, fault: Fault, passing: Passing) -> None:
    passing.now.clear()
    req_id = int(passing.fields.get("reqId", "-1"))
    passing.connection.error((req_id, fault.code, fault.text or TEXTS[fault.code]), stage.host.now)
    if passing.name == "startApi":
        passing.connection.close()


MESSAGE_ACTIONS: dict[str, Callable[[Stage, Fault, Passing], None]] = {
    "drop": _drop, "delay": _delay, "duplicate": _duplicate, "hold": _hold, "cut": _cut, "burst": _burst,
    "drop-if-empty": _drop_if_empty, "refuse": _refuse,
}  # fmt: skip


class Occasion(Struct, frozen=True):
    """What set a fault off: whom it concerns and, if it was a message, what it said."""

    connections: list[Connection]
    fields: Mapping[str, str] = {}


def _half_open(stage: Stage, fault: Fault, on: Occasion) -> None:
    for connection in on.connections:
        connection.line.freeze()
        stage.host.schedule.away(fault.seconds, connection.line.reset)


def _reset(_stage: Stage, _fault: Fault, on: Occasion) -> None:
    for connection in on.connections:
        connection.line.reset()


def _slow(_stage: Stage, fault: Fault, on: Occasion) -> None:
    for connection in on.connections:
        connection.line.slow_s = fault.seconds


def _error(stage: Stage, fault: Fault, on: Occasion) -> None:
    for connection in on.connections:
        stage.broadcast(fault.code, fault.text or TEXTS[fault.code], only=connection)
        if fault.close:
            connection.close()


def _link_lost(stage: Stage, fault: Fault, _on: Occasion) -> None:
    def restored() -> None:
        for connection in stage.host.clients.values() if fault.restored == 1101 else ():
            for kind in _DATA:
                for req_id in connection.ids(kind):
                    connection.unsubscribe(kind, req_id)
        stage.broadcast(fault.restored, TEXTS[fault.restored])

    stage.broadcast(1100, TEXTS[1100])
    keeps = _ORDERS if fault.reports == "late" else frozenset()
    lost = Outage(names=_REMOTE, notice=(1100, TEXTS[1100]), requests=fault.requests, keeps=keeps)
    stage.outage(lost, fault.seconds, restored)


def _farm(stage: Stage, fault: Fault, _on: Occasion) -> None:
    text, well, names = FARMS[fault.code]
    stage.broadcast(fault.code, text.format("broken"))
    broken = Outage(names=names, notice=(fault.code, text.format("broken")))
    stage.outage(broken, fault.seconds, partial(stage.broadcast, well, text.format("OK")))


def _competing(stage: Stage, fault: Fault, on: Occasion) -> None:
    for connection in on.connections:
        for req_id in connection.ids("quotes"):
            connection.error((req_id, 10197, TEXTS[10197]), stage.host.now)
    stage.outage(Outage(names=TICKS, notice=(10197, TEXTS[10197])), fault.seconds, lambda: None)


def _delayed_data(stage: Stage, _fault: Fault, _on: Occasion) -> None:
    stage.delayed = True
    for connection in stage.host.clients.values():
        connection.rules = structs.replace(connection.rules, delayed=True)


def _skew(stage: Stage, fault: Fault, _on: Occasion) -> None:
    stage.skew_s = fault.seconds


def _restart(stage: Stage, fault: Fault, _on: Occasion) -> None:
    stage.host.tell(stage.host.desk.intervene(Intervention(deed="roll back" if fault.rollback else "restart")))
    stage.host.restart(fault.seconds)


def _session(stage: Stage, _fault: Fault, _on: Occasion) -> None:
    """Let the session under way, or else the next one, pass at once."""
    if (close := stage.host.book.market.next_close) is not None:
        stage.host.advance(close)


def _correct(stage: Stage, fault: Fault, on: Occasion) -> None:
    """Correct the execution of the message, else the last one."""
    executions = stage.host.book.executions
    exec_id = on.fields.get("execId") or (executions[-1].exec_id if executions else "")
    price = next((e.price + fault.by for e in reversed(executions) if e.exec_id == exec_id), None)
    deed = Intervention(deed="correct", exec_id=exec_id, price=price, quantity=fault.quantity)
    stage.host.tell(stage.host.desk.intervene(deed))


def _to_order(deed: OrderDeed, stage: Stage, _fault: Fault, on: Occasion) -> None:
    """Do something to the order of the message, else to the last one."""
    tickets = stage.host.book.blotter.tickets.values()
    last = max(((t.perm_id, t.client_id, t.order_id) for t in tickets), default=(0, 0, 0))
    order_id = int(on.fields.get("orderId") or on.fields.get("reqId") or last[2])
    owner = on.connections[0].client_id if "reqId" in on.fields else last[1]
    client_id = int(on.fields.get("clientId") or owner)
    stage.host.tell(stage.host.desk.intervene(Intervention(deed=deed, client_id=client_id, order_id=order_id)))


def _stock(symbol: str) -> ContractQuery:
    return ContractQuery(symbol=symbol, sec_type="STK")


def _to_instrument(deed: InstrumentDeed, stage: Stage, fault: Fault, _on: Occasion) -> None:
    instrument = stage.host.book.contracts.one(_stock(fault.symbol)).id
    stage.host.tell(stage.host.desk.intervene(Intervention(deed=deed, instrument=instrument, quantity=fault.quantity)))


def _for_a_while(deed: PassingDeed, stage: Stage, fault: Fault, _on: Occasion) -> None:
    """Halt an instrument, or bring it into a limit state; `code` is what tick 49 says, a volatility halt by default."""
    instrument = stage.host.book.contracts.one(_stock(fault.symbol)).id

    def tell(code: int) -> None:
        stage.host.tell(stage.host.desk.intervene(Intervention(deed=deed, instrument=instrument, quantity=code)))

    tell(fault.code or _VOLATILITY)
    stage.host.schedule.after(fault.seconds, partial(tell, 0))


def _split(stage: Stage, fault: Fault, _on: Occasion) -> None:
    book = stage.host.book
    instrument = book.contracts.one(_stock(fault.symbol)).id
    last = book.market.last.get(instrument)
    price = None if last is None else Decimal(repr(last)) * fault.old / fault.new
    split = Intervention(deed="split", instrument=instrument, new=fault.new, old=fault.old, price=price)
    stage.host.desk.intervene(split)


def _manual_order(stage: Stage, fault: Fault, _on: Occasion) -> None:
    order = PlaceOrder(
        order_id=0, contract=_stock(fault.symbol), action=fault.side,
        quantity=Decimal(fault.quantity or 0), order_type="MKT" if fault.price is None else "LMT", limit=fault.price,
        aux=None, tif="", account="", order_ref="",
    )  # fmt: skip
    stage.host.tell(stage.host.desk.intervene(Intervention(deed="order manually", order=order)))


ACTIONS: dict[str, Callable[[Stage, Fault, Occasion], None]] = {
    "half-open": _half_open, "reset": _reset, "slow": _slow, "error": _error, "link-lost": _link_lost, "farm": _farm,
    "competing": _competing, "delayed-data": _delayed_data, "skew": _skew, "restart": _restart,
    "session": _session, "correct": _correct, "fill-late": partial(_to_order, "fill late"),
    "vanish": partial(_to_order, "vanish"), "expire": partial(_to_order, "expire"),
    "locate": partial(_to_order, "locate"), "new-perm-id": partial(_to_order, "renumber"),
    "halt": partial(_for_a_while, "halt"), "limit-state": partial(_for_a_while, "limit state"),
    "lend": partial(_to_instrument, "lend"), "liquidate": partial(_to_instrument, "liquidate"),
    "manual-order": _manual_order, "split": _split,
}  # fmt: skip
