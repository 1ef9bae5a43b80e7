"""Carry a fault script out: count and match messages, set timers, draw the chances."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random

from msgspec import structs

from robotrader.model import ConfigError
from robotrader.simulation.gateway.actions import ACTIONS, MESSAGE_ACTIONS, Host, Occasion, Passing, Stage
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.faults import FARMS, INCOMING, LAYOUTS, OUTGOING, TICKS, Fault, FaultScript
from robotrader.simulation.gateway.requests import Refused, decode
from robotrader.simulation.gateway.schedule import upcoming
from robotrader.simulation.gateway.wire import Malformed, names, split

_log = logging.getLogger(__name__)


class Rule:
    """One fault and how often it was met; its draws do not depend on other faults."""

    def __init__(self, number: int, fault: Fault, seed: int) -> None:
        self.fault = fault
        self._label = f"fault {number}, {fault.do}"
        self._random = Random(f"{seed}/{number}")  # noqa: S311 - a game, not a secret
        self._seen = self._done = 0

    @property
    def spent(self) -> bool:
        """Tell whether it will never happen again."""
        return self.fault.limit is not None and self._done >= self.fault.limit

    def happens(self, why: str, fields: Mapping[str, str], client_id: int | None = None) -> bool:
        """Tell whether the fault happens now, and count and log it."""
        fault = self.fault
        if fault.client is not None and client_id is not None and client_id != fault.client:
            return False
        if any(fields.get(name) != text for name, text in fault.where.items()):
            return False
        self._seen += 1
        if self._seen < fault.nth or self.spent or (fault.chance < 1 and self._random.random() >= fault.chance):
            return False
        self._done += 1
        _log.info("%s: %s", self._label, why)
        return True


class Script:
    """The faults of one gateway."""

    def __init__(self, script: FaultScript, host: Host) -> None:
        self._host = host
        self._stage = Stage(host)
        self._rules = [Rule(number, fault, script.seed) for number, fault in enumerate(script.faults, 1)]
        self._due: deque[Callable[[], None]] = deque()

    def start(self) -> None:
        """Begin to serve: second 0."""
        for rule in self._rules:
            if rule.fault.at is not None:
                self._host.schedule.after(rule.fault.at, partial(self._at, rule))
            elif rule.fault.every or rule.fault.weekly:
                self._next(rule, self._host.now)

    def attach(self, connection: Connection) -> None:
        """Watch what is sent to a client."""
        connection.line.tap = partial(self._outgoing, connection)
        if self._stage.delayed:
            connection.rules = structs.replace(connection.rules, delayed=True)

    def notices(self) -> Iterator[tuple[int, str]]:
        """Yield what a new client is told of the links and farms: code and text."""
        down = {outage.notice[0]: outage.notice for outage in self._stage.outages}
        for broken, (text, well, _) in FARMS.items():
            yield down.pop(broken, (well, text.format("OK")))
        yield from down.values()

    def incoming(self, connection: Connection, body: str) -> None:
        """Take one message of a client."""
        fields = split(body)
        name = INCOMING.get(fields[0] if fields else "", "unknown")
        rules = [rule for rule in self._rules if rule.fault.on == name]
        try:
            values = dict(decode(fields, connection.speaker.version).values) if rules else {}
        except (Malformed, Refused):
            values = {}
        self._pass(rules, Passing(connection, name, values, [body.encode()], partial(self._stage.admit, connection)))

    def settle(self) -> None:
        """Do what messages have set off; after each input, so that none changes under another's hands."""
        while self._due:
            self._due.popleft()()

    def _outgoing(self, connection: Connection, frame: bytes) -> None:
        fields = split(frame[4:].decode())
        name = OUTGOING.get(fields[0], "greeting")
        rules = [rule for rule in self._rules if rule.fault.on == name or (rule.fault.on == "tick" and name in TICKS)]
        wanted = names(LAYOUTS.get(name, ""), connection.speaker.version) if rules else ()
        values = {known: text for (known, _), text in zip(wanted, fields, strict=False)}
        self._pass(rules, Passing(connection, name, values, [frame], partial(self._stage.emit, connection)))

    def _pass(self, rules: list[Rule], passing: Passing) -> None:
        client_id = passing.connection.client_id
        for rule in rules:
            if not rule.happens(f"{passing.name}, client {client_id}", passing.fields, client_id):
                continue
            if (change := MESSAGE_ACTIONS.get(rule.fault.do)) is not None:
                change(self._stage, rule.fault, passing)
            else:
                self._due.append(partial(self._act, rule, Occasion([passing.connection], passing.fields)))
        for item in passing.now:
            passing.let(item)

    def _act(self, rule: Rule, occasion: Occasion) -> None:
        if rule.fault.wait:
            self._host.schedule.after(rule.fault.wait, partial(self._do, rule.fault, occasion))
        else:
            self._do(rule.fault, occasion)

    def _do(self, fault: Fault, occasion: Occasion) -> None:
        try:
            ACTIONS[fault.do](self._stage, fault, occasion)
        except (ConfigError, Refused) as error:  # no such order yet, or no longer
            _log.warning("%s: %s", fault.do, error)
        self.settle()

    def _at(self, rule: Rule) -> None:
        """Act at a time, and set the next one."""
        clients, fault = self._host.clients, rule.fault
        wanted = [c for client_id, c in clients.items() if fault.client in {None, client_id}]
        if rule.happens(f"at {self._host.schedule.elapsed_s:.1f} s", {}):
            self._act(rule, Occasion(wanted))
        if fault.again and not rule.spent:
            self._host.schedule.after(fault.again, partial(self._at, rule))

    def _next(self, rule: Rule, after: int) -> None:
        """Set the timer of a time of day or week: the first after that one."""
        due = upcoming(rule.fault.every or rule.fault.weekly, after)

        def fire() -> None:
            self._at(rule)
            if not rule.spent:
                self._next(rule, due)

        self._host.schedule.after((due - self._host.now) / 1e9, fire)
