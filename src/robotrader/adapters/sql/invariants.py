"""The invariants of what a journal says (`docs/invariants`), recomputed from its events.

Each check is a function from `Facts` to a result that says how much it looked at; none of them trusts a
projection, each compares one with what the chain or another projection says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import select

from robotrader.adapters.sql.projections import Execution, average_price
from robotrader.adapters.sql.schema import metadata
from robotrader.adapters.sql.session import Look
from robotrader.execution.lifecycle import transition
from robotrader.model import (
    AccountReported,
    AnyCommand,
    AnyEvent,
    DataError,
    Deny,
    InstrumentId,
    InvariantViolation,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderSending,
    OrderState,
    PositionReported,
    Recovered,
    RoboTraderError,
    RunStarted,
    SetTradingState,
    Side,
    Submit,
    TradingState,
    WorkingOrder,
    decode_command,
    decode_event,
)
from robotrader.ports import JournalRow

_TABLES = ("orders", "order_states", "fills", "commissions", "positions", "account", "conflicts")
_CENT = Decimal("0.01")
_SHOWN = 3

Row = dict[str, Any]
Step = tuple[OrderState, int, bool]
"""State, filled, unresolved: what a row of `order_states` says."""


class InvariantResult(Struct, frozen=True, kw_only=True):
    """Whether an invariant held in all `checked` cases; 0 checked is no proof. `detail` names the first failures."""

    ok: bool
    checked: int
    detail: str = ""


class Replayed(Protocol):
    """What a replay of the journal gives back (`engine.recovery.ReplayResult`)."""

    @property
    def identical(self) -> bool: ...

    @property
    def first_difference(self) -> str | None: ...

    @property
    def orders(self) -> Mapping[OrderId, WorkingOrder]: ...

    @property
    def positions(self) -> Mapping[tuple[str, InstrumentId], int]: ...


Replay = Callable[[Sequence[JournalRow]], Replayed]
"""Feed a journal through today's code (`engine.recovery.replay` with its strategies)."""


class Facts:
    """The decoded chain and the projections, from one snapshot."""

    def __init__(self, rows: Sequence[JournalRow], look: Look) -> None:
        self.rows = rows
        self._tables = {name: look.all(select(metadata.tables[name])) for name in _TABLES}

    def table(self, name: str) -> list[Row]:
        """Return all rows of one projection, in the order in which they were written."""
        return self._tables[name]

    @cached_property
    def records(self) -> list[tuple[int, AnyEvent | AnyCommand]]:
        """Return seq and record of all events and commands; what cannot be decoded is a broken chain's business."""
        decoders: dict[str, Callable[[str], AnyEvent | AnyCommand]] = {
            "event": decode_event, "command": decode_command
        }  # fmt: skip
        found: list[tuple[int, AnyEvent | AnyCommand]] = []
        for row in self.rows:
            if row.kind in decoders:
                try:
                    found.append((row.seq, decoders[row.kind](row.payload)))
                except DataError:
                    continue
        return found

    @cached_property
    def executions(self) -> list[Row]:
        """Return the fills as they count: of each execution the highest revision."""
        latest: dict[str, Row] = {}
        for fill in sorted(self.table("fills"), key=lambda row: row["revision"]):
            latest[fill["exec_id"]] = fill
        return sorted(latest.values(), key=lambda row: row["seq"])

    @cached_property
    def steps(self) -> dict[OrderId, list[Step]]:
        """Return the life of every order, computed from the events by the one state machine."""
        return {order_id: list(life) for order_id, life in _lives(self.records).items()}


def check(facts: Facts, replay: Replay | None) -> dict[str, InvariantResult]:
    """Check all invariants; without `replay`, I10 compares no decisions."""
    return {
        "I1": _judge(_positions(facts)),
        "I2": _judge(_cash(facts)),
        "I5": _judge(_once_only(facts)),
        "I6": _judge(_quantities(facts)),
        "I7": _judge(_transitions(facts)),
        "I10": _judge(_replayed(facts, replay)),
        "I13": _judge(_broker(facts)),
    }


def _judge(findings: Iterable[str | None]) -> InvariantResult:
    """Count the cases (one finding each, None where it held) and keep the first failures."""
    all_findings = list(findings)
    failures = [finding for finding in all_findings if finding is not None]
    return InvariantResult(ok=not failures, checked=len(all_findings), detail="; ".join(failures[:_SHOWN]))


def _expect(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what} is {found}, expected {expected}"


def _signed(fill: Row) -> int:
    return Side(fill["side"]).sign * int(fill["quantity"])


def _positions(facts: Facts) -> Iterator[str | None]:
    """I1: a position is the sum of the signed fills."""
    expected: defaultdict[tuple[str, str], int] = defaultdict(int)
    for fill in facts.executions:
        expected[fill["strategy"], fill["instrument"]] += _signed(fill)
    found = {(row["strategy"], row["instrument"]): row["quantity"] for row in facts.table("positions")}
    for key in sorted({*expected, *found}):
        yield _expect(f"position of {key[0]} in {key[1]}", found.get(key, 0), expected[key])


def _cash(facts: Facts) -> Iterator[str | None]:
    """I2: cash = capital - sum(signed quantity x price x multiplier) - commissions, at every mark."""
    moves = sorted(_cash_moves(facts), key=lambda move: move[0])
    cash, done = Decimal(0), 0
    for mark in facts.table("account"):
        while done < len(moves) and moves[done][0] <= mark["seq"]:
            cash += moves[done][1]
            done += 1
        found = Decimal(mark["cash"])
        close = abs(found - cash) < _CENT / 2
        yield None if close else f"cash at seq {mark['seq']} is {found}, expected {cash}"


def _cash_moves(facts: Facts) -> Iterator[tuple[int, Decimal]]:
    """Yield seq and amount of everything that moved cash."""
    capital: dict[str, Decimal] = {}
    multipliers: dict[str, Decimal] = {}
    for seq, record in facts.records:
        if isinstance(record, RunStarted):
            multipliers.update({i.id: i.multiplier for i in record.instruments})
            for strategy in record.strategies:
                yield seq, strategy.capital - capital.get(strategy.id, Decimal(0))
                capital[strategy.id] = strategy.capital
    booked = {fill["exec_id"]: fill["seq"] for fill in facts.executions}
    for fill in facts.executions:
        yield fill["seq"], -_signed(fill) * Decimal(fill["price"]) * multipliers.get(fill["instrument"], Decimal(1))
    costs = {row["exec_id"]: row for row in sorted(facts.table("commissions"), key=lambda row: row["revision"])}
    for exec_id, cost in costs.items():
        if exec_id in booked:  # others are not ours: somebody traded by hand
            yield max(cost["seq"], booked[exec_id]), -Decimal(cost["amount"])


def _once_only(facts: Facts) -> Iterator[str | None]:
    """I5: order ids and executions are unique, broker order ids rise."""
    sent = [record for _, record in facts.records if isinstance(record, OrderSending)]
    yield from _unique("order", [r.order.id for _, r in facts.records if isinstance(r, Submit)])
    yield from _unique("order sent", [event.order_id for event in sent])
    yield from _unique("execution", [(row["exec_id"], row["revision"]) for row in facts.table("fills")])
    journaled = [r.fill for _, r in facts.records if isinstance(r, OrderFilled)]
    yield from _unique("journaled execution", [(fill.exec_id, fill.revision) for fill in journaled])
    for before, event in pairwise(sent):
        rises = event.broker_order_id > before.broker_order_id
        yield None if rises else f"broker order id {event.broker_order_id} follows {before.broker_order_id}"
    for row in facts.table("conflicts"):
        if row["type"] == OrderFilled.__name__:
            yield f"execution {row['source_id']} came with two contents"


def _unique(what: str, keys: Sequence[object]) -> Iterator[str | None]:
    seen: set[object] = set()
    for key in keys:
        yield f"{what} {key} is there twice" if key in seen else None
        seen.add(key)


def _quantities(facts: Facts) -> Iterator[str | None]:
    """I6: 0 <= filled <= quantity, filled = sum of the fills, average price = their mean."""
    fills: defaultdict[str, list[Execution]] = defaultdict(list)
    for row in facts.executions:
        fills[row["order_id"]].append(Execution(row["exec_id"], row["revision"], row["quantity"], row["price"]))
    for order in facts.table("orders"):
        order_id, own = order["order_id"], fills[order["order_id"]]
        if not 0 <= order["filled"] <= order["quantity"]:
            yield f"order {order_id}: filled {order['filled']} of {order['quantity']}"
            continue
        mean = None if order["average_price"] is None else Decimal(order["average_price"])
        yield _expect(f"order {order_id}: filled", order["filled"], sum(fill.quantity for fill in own)) or _expect(
            f"order {order_id}: average price", mean, average_price(own)
        )


def _transitions(facts: Facts) -> Iterator[str | None]:
    """I7: every recorded step is one that the state machine takes on these events, and the last one is its last."""
    found: defaultdict[OrderId, list[Step]] = defaultdict(list)
    for row in facts.table("order_states"):
        found[row["order_id"]].append((OrderState(row["state"]), row["filled"], bool(row["unresolved"])))
    now = {row["order_id"]: (row["state"], row["filled"], bool(row["unresolved"])) for row in facts.table("orders")}
    for order_id in sorted({*found, *facts.steps, *now}):
        steps, life = found[order_id], facts.steps.get(order_id, [])
        for step in steps[:-1]:
            life = life[life.index(step) + 1 :] if step in life else []
            yield None if life else f"order {order_id}: {_shown(step)} leads nowhere that its events lead"
        last = life[-1] if life else None
        yield (
            _expect(f"order {order_id}: last recorded step", _shown(steps[-1] if steps else None), _shown(last))
            or _expect(f"order {order_id}: state shown", _shown(now.get(order_id)), _shown(last))
        )  # fmt: skip


def _shown(step: tuple[str, int, bool] | None) -> str:
    if step is None:
        return "none"
    state, filled, unresolved = step
    return f"{state} ({filled} filled{', unresolved' if unresolved else ''})"


def _lives(records: Sequence[tuple[int, AnyEvent | AnyCommand]]) -> dict[OrderId, list[Step]]:
    """Run every order through `execution.lifecycle`; what the core refused changed nothing, then as now."""
    orders: dict[OrderId, WorkingOrder] = {}
    lives: defaultdict[OrderId, list[Step]] = defaultdict(list)
    booked: set[str] = set()
    for _, record in records:
        after = _after(record, orders, booked)
        if after is not None:
            order_id = after.order.id
            orders[order_id] = after
            step = (after.state, after.filled, after.unresolved)
            if not lives[order_id] or lives[order_id][-1] != step:
                lives[order_id].append(step)
    return lives


def _after(
    record: AnyEvent | AnyCommand, orders: Mapping[OrderId, WorkingOrder], booked: set[str]
) -> WorkingOrder | None:
    """Return the order that a record concerns as it is then; None if it concerns none or is refused."""
    if isinstance(record, Submit):
        return WorkingOrder(order=record.order, state=OrderState.AUTHORIZED)
    if isinstance(record, Deny):
        known = record.order.id in orders
        return None if known else WorkingOrder(order=record.order, state=OrderState.DENIED)
    if not isinstance(record, OrderEvent | OrderFilled):
        return None
    working = orders.get(record.fill.order_id if isinstance(record, OrderFilled) else record.order_id)
    if isinstance(record, OrderFilled):
        working = None if record.fill.exec_id in booked else working
        booked.add(record.fill.exec_id)
    try:
        return None if working is None else transition(working, record).working
    except InvariantViolation:
        return None


def _replayed(facts: Facts, replay: Replay | None) -> Iterator[str | None]:
    """I10: today's code decides the same, and the projections show what it then holds."""
    if replay is None:
        return
    try:
        result = replay(facts.rows)
    except RoboTraderError as error:
        yield f"the journal cannot be replayed: {error}"
        return
    commands = sum(row.kind == "command" for row in facts.rows)
    if result.identical:
        yield from [None] * commands
    else:
        yield result.first_difference or "today's code decides otherwise"
    shown = {row["order_id"]: (row["state"], row["filled"]) for row in facts.table("orders")}
    for order_id in sorted({*shown, *result.orders}):
        working = result.orders.get(order_id)
        expected = None if working is None else (working.state.value, working.filled)
        yield _expect(f"order {order_id}", shown.get(order_id), expected)
    held = {(row["strategy"], row["instrument"]): row["quantity"] for row in facts.table("positions")}
    for key in sorted({*held, *result.positions}):
        yield _expect(f"position of {key[0]} in {key[1]}", held.get(key, 0), result.positions.get(key, 0))


def _broker(facts: Facts) -> Iterator[str | None]:
    """I13: at every comparison the broker held what we held, or the break was named and trading is not ACTIVE."""
    ours: defaultdict[str, int] = defaultdict(int)
    theirs: dict[str, int] = {}
    state = TradingState.ACTIVE
    breaks: tuple[str, ...] = ()
    fills = {fill["seq"]: fill for fill in facts.executions}
    for seq, record in facts.records:
        if seq in fills:
            ours[fills[seq]["instrument"]] += _signed(fills[seq])
        if isinstance(record, PositionReported):
            theirs[record.instrument] = record.quantity
        elif isinstance(record, Recovered):
            breaks = record.breaks
            same = {i: q for i, q in ours.items() if q} == {i: q for i, q in theirs.items() if q}
            yield (
                None if same or breaks else f"seq {seq}: broker holds {theirs}, we {dict(ours)}, and no break is named"
            )
        elif isinstance(record, SetTradingState) and record.strategy is None and record.instrument is None:
            state = record.state
        if not isinstance(record, PositionReported | AccountReported):
            theirs = {}
    if breaks:
        yield f"trading is ACTIVE with open breaks: {'; '.join(breaks)}" if state is TradingState.ACTIVE else None
