"""The invariants of what a journal says (`docs/invariants`), recomputed from its events.

Each check yields one finding a case, None where it held; none of them trusts a projection, each compares one
with what the chain or another projection says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import select

from robotrader.adapters.sql.projections import average_price
from robotrader.adapters.sql.reader import Look
from robotrader.adapters.sql.schema import metadata
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
Record = AnyEvent | AnyCommand
Findings = Iterator[str | None]
Step = tuple[str, int, bool]
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
    """The decoded chain and the projections, from one snapshot.

    `executions` are the fills as they count: of each execution the highest revision.
    """

    def __init__(self, rows: Sequence[JournalRow], look: Look) -> None:
        self.rows = rows
        self.tables = {name: look.all(select(metadata.tables[name])) for name in _TABLES}
        self.records: list[tuple[int, Record]] = []
        for row in rows:
            with suppress(DataError):  # what cannot be decoded is a broken chain's business
                if row.kind != "raw":
                    decode = decode_event if row.kind == "event" else decode_command
                    self.records.append((row.seq, decode(row.payload)))
        fills = sorted(self.tables["fills"], key=lambda row: row["revision"])
        self.executions = sorted({fill["exec_id"]: fill for fill in fills}.values(), key=lambda row: row["seq"])


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
    all_findings = list(findings)
    failures = [finding for finding in all_findings if finding is not None]
    return InvariantResult(ok=not failures, checked=len(all_findings), detail="; ".join(failures[:_SHOWN]))


def _expect(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what} is {found}, expected {expected}"


def _signed(fill: Row) -> int:
    return Side(fill["side"]).sign * int(fill["quantity"])


def _positions(facts: Facts) -> Findings:
    """I1: a position is the sum of the signed fills."""
    expected: defaultdict[tuple[str, str], int] = defaultdict(int)
    for fill in facts.executions:
        expected[fill["strategy"], fill["instrument"]] += _signed(fill)
    yield from _held(facts, expected)


def _held(facts: Facts, expected: Mapping[Any, int]) -> Findings:
    """Compare the positions shown with signed units by strategy and instrument."""
    shown = {(row["strategy"], row["instrument"]): row["quantity"] for row in facts.tables["positions"]}
    for key in sorted({*expected, *shown}):
        yield _expect(f"position of {key[0]} in {key[1]}", shown.get(key, 0), expected.get(key, 0))


def _cash(facts: Facts) -> Findings:
    """I2: cash = capital - sum(signed quantity x price x multiplier) - commissions, at every mark."""
    moves = sorted(_cash_moves(facts), key=lambda move: move[0])
    cash, done = Decimal(0), 0
    for mark in facts.tables["account"]:
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
    for fill in facts.executions:
        yield fill["seq"], -_signed(fill) * Decimal(fill["price"]) * multipliers.get(fill["instrument"], Decimal(1))
    booked = {fill["exec_id"]: fill["seq"] for fill in facts.executions}
    costs = sorted(facts.tables["commissions"], key=lambda row: row["revision"])
    for exec_id, cost in {cost["exec_id"]: cost for cost in costs}.items():
        if exec_id in booked:  # others are not ours: somebody traded by hand
            yield max(cost["seq"], booked[exec_id]), -Decimal(cost["amount"])


def _once_only(facts: Facts) -> Findings:
    """I5: order ids and executions are unique, broker order ids rise."""
    sent = [record for _, record in facts.records if isinstance(record, OrderSending)]
    yield from _unique("order", [r.order.id for _, r in facts.records if isinstance(r, Submit)])
    yield from _unique("order sent", [event.order_id for event in sent])
    yield from _unique("execution", [(row["exec_id"], row["revision"]) for row in facts.tables["fills"]])
    journaled = [r.fill for _, r in facts.records if isinstance(r, OrderFilled)]
    yield from _unique("journaled execution", [(fill.exec_id, fill.revision) for fill in journaled])
    for before, event in pairwise(sent):
        rises = event.broker_order_id > before.broker_order_id
        yield None if rises else f"broker order id {event.broker_order_id} follows {before.broker_order_id}"
    for row in facts.tables["conflicts"]:
        if row["type"] == OrderFilled.__name__:
            yield f"execution {row['source_id']} came with two contents"


def _unique(what: str, keys: Sequence[object]) -> Findings:
    seen: set[object] = set()
    for key in keys:
        yield f"{what} {key} is there twice" if key in seen else None
        seen.add(key)


def _quantities(facts: Facts) -> Findings:
    """I6: 0 <= filled <= quantity, filled = sum of the fills, average price = their mean."""
    fills: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in facts.executions:
        fills[row["order_id"]].append((row["quantity"], row["price"]))
    for order in facts.tables["orders"]:
        what, own = f"order {order['order_id']}", fills[order["order_id"]]
        if not 0 <= order["filled"] <= order["quantity"]:
            yield f"{what}: filled {order['filled']} of {order['quantity']}"
            continue
        mean = None if order["average_price"] is None else Decimal(order["average_price"])
        amiss = _expect(f"{what}: filled", order["filled"], sum(quantity for quantity, _ in own))
        yield amiss or _expect(f"{what}: average price", mean, average_price(own))


def _transitions(facts: Facts) -> Findings:
    """I7: every recorded step is one that the state machine takes on these events, and the last one is its last."""
    found: defaultdict[str, list[Step]] = defaultdict(list)
    for row in facts.tables["order_states"]:
        found[row["order_id"]].append(_step(row))
    now = {row["order_id"]: _step(row) for row in facts.tables["orders"]}
    lives = _lives(facts)
    for order_id in sorted({*found, *lives, *now}):
        steps, life = found[order_id], lives.get(order_id, [])
        for step in steps[:-1]:
            life = life[life.index(step) + 1 :] if step in life else []
            yield None if life else f"order {order_id}: {step} leads nowhere that its events lead"
        last = life[-1] if life else None
        amiss = _expect(f"order {order_id}: last recorded step", steps[-1] if steps else None, last)
        yield amiss or _expect(f"order {order_id}: state shown", now.get(order_id), last)


def _step(row: Row) -> Step:
    return row["state"], row["filled"], bool(row["unresolved"])


def _lives(facts: Facts) -> Mapping[str, list[Step]]:
    """Run every order through `execution.lifecycle`; what the core refused changed nothing, then as now."""
    orders: dict[OrderId, WorkingOrder] = {}
    lives: defaultdict[str, list[Step]] = defaultdict(list)
    booked: set[str] = set()
    for _, record in facts.records:
        after = _after(record, orders, booked)
        if after is not None:
            orders[after.order.id] = after
            life, step = lives[after.order.id], (after.state.value, after.filled, after.unresolved)
            if life[-1:] != [step]:
                life.append(step)
    return lives


def _after(record: Record, orders: Mapping[OrderId, WorkingOrder], booked: set[str]) -> WorkingOrder | None:
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
    with suppress(InvariantViolation):
        return None if working is None else transition(working, record).working
    return None


def _replayed(facts: Facts, replay: Replay | None) -> Findings:
    """I10: today's code decides the same, and the projections show what it then holds."""
    if replay is None:
        return
    try:
        result = replay(facts.rows)
    except RoboTraderError as error:
        yield f"the journal cannot be replayed: {error}"
        return
    if result.identical:
        yield from (None for row in facts.rows if row.kind == "command")
    else:
        yield result.first_difference or "today's code decides otherwise"
    shown = {row["order_id"]: (row["state"], row["filled"]) for row in facts.tables["orders"]}
    expected = {order_id: (working.state.value, working.filled) for order_id, working in result.orders.items()}
    for order_id in sorted({*shown, *expected}):
        yield _expect(f"order {order_id}", shown.get(order_id), expected.get(order_id))
    yield from _held(facts, result.positions)


def _broker(facts: Facts) -> Findings:
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
            named = same or breaks
            yield None if named else f"seq {seq}: broker holds {theirs}, we {dict(ours)}, and no break is named"
        elif isinstance(record, SetTradingState) and record.strategy is None and record.instrument is None:
            state = record.state
        if not isinstance(record, PositionReported | AccountReported):
            theirs = {}
    if breaks:
        yield f"trading is ACTIVE with open breaks: {'; '.join(breaks)}" if state is TradingState.ACTIVE else None
