"""Invariants of what the tables show against what the events say: I1, I2, I5, I6, I7, I10, I13, I14."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from robotrader.adapters.sql.invariants.facts import Facts, Findings, Record, Replay, Row, Standing, course, expect
from robotrader.adapters.sql.projections import average_price
from robotrader.execution.lifecycle import TERMINAL
from robotrader.model import (
    EXTERNAL,
    AccountReported,
    BookAdjusted,
    BorrowFeeCharged,
    BreakOpened,
    CorporateActionBooked,
    OrderFilled,
    OrderSending,
    PositionReported,
    Posting,
    Recovered,
    RoboTraderError,
    RunStarted,
    Side,
    Submit,
    TradingState,
)
from robotrader.risk.halt import GLOBAL, TradingStates

_CENT = Decimal("0.01")
_SUMMED = ("cash", "equity", "realized_pnl", "unrealized_pnl", "commission")

Step = tuple[str, int, bool]
"""State, filled, unresolved: what a row of `order_states` says."""


def _signed(fill: Row) -> int:
    return Side(fill["side"]).sign * int(fill["quantity"])


def positions(facts: Facts) -> Findings:
    """I1: a position is the sum of the signed fills and of what corporate actions changed."""
    expected: defaultdict[tuple[str, str], int] = defaultdict(int)
    for fill in facts.executions:
        expected[fill["strategy"], fill["instrument"]] += _signed(fill)
    for _, posting in _postings(facts):
        expected[posting.strategy, posting.instrument] += posting.quantity
    yield from _held(facts, expected)


def _held(facts: Facts, expected: Mapping[Any, int]) -> Findings:
    """Compare the positions shown with signed units by strategy and instrument."""
    shown = {(row["strategy"], row["instrument"]): row["quantity"] for row in facts.tables["positions"]}
    for key in sorted({*expected, *shown}):
        yield expect(f"position of {key[0]} in {key[1]}", shown.get(key, 0), expected.get(key, 0))


def cash(facts: Facts) -> Findings:
    """I2: cash = capital - sum(signed quantity x price x multiplier) - what was charged + corporate actions, always."""
    moves = sorted(_cash_moves(facts), key=lambda move: move[0])
    total, done = Decimal(0), 0
    for mark in facts.tables["account"]:
        while done < len(moves) and moves[done][0] <= mark["seq"]:
            total += moves[done][1]
            done += 1
        found = Decimal(mark["cash"])
        close = abs(found - total) < _CENT / 2
        yield None if close else f"cash at seq {mark['seq']} is {found}, expected {total}"


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
    yield from ((seq, posting.cash) for seq, posting in _postings(facts))
    yield from ((seq, -record.amount) for seq, record in facts.records if isinstance(record, BorrowFeeCharged))
    first: dict[str, int] = {}
    for fill, old in facts.bookings:
        first.setdefault(fill["exec_id"], fill["seq"])
        paid = _paid(fill) - (_paid(old) if old else 0)
        yield fill["seq"], -paid * multipliers.get(fill["instrument"], Decimal(1))
    charged: dict[str, Row] = {}
    for cost in sorted(facts.tables["commissions"], key=lambda row: row["seq"]):
        known = charged.get(cost["exec_id"])
        newer = known is None or cost["revision"] > known["revision"]
        if newer and cost["exec_id"] in first:  # others are not ours: somebody traded by hand
            charged[cost["exec_id"]] = cost
            amount = Decimal(cost["amount"]) - (Decimal(known["amount"]) if known else 0)
            yield max(cost["seq"], first[cost["exec_id"]]), -amount


def _postings(facts: Facts) -> Iterator[tuple[int, Posting]]:
    return ((seq, p) for seq, r in facts.records if isinstance(r, CorporateActionBooked) for p in r.postings)


def _paid(fill: Row) -> Decimal:
    return _signed(fill) * Decimal(fill["price"])


def once_only(facts: Facts) -> Findings:
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


def quantities(facts: Facts) -> Findings:
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
        amiss = expect(f"{what}: filled", order["filled"], sum(quantity for quantity, _ in own))
        yield amiss or expect(f"{what}: average price", mean, average_price(own))


def transitions(facts: Facts) -> Findings:
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
        reopened = [after for before, after in pairwise(steps) if before[0] in TERMINAL and after[0] != before[0]]
        yield from (f"order {order_id} had ended, then it was {after}" for after in reopened)
        last = life[-1] if life else None
        amiss = expect(f"order {order_id}: last recorded step", steps[-1] if steps else None, last)
        yield amiss or expect(f"order {order_id}: state shown", now.get(order_id), last)


def _step(row: Row) -> Step:
    return row["state"], row["filled"], bool(row["unresolved"])


def _lives(facts: Facts) -> Mapping[str, list[Step]]:
    """Run every order through `execution.lifecycle`."""
    standing = Standing()
    lives: defaultdict[str, list[Step]] = defaultdict(list)
    for _, record in facts.records:
        after = standing.take(record)
        if after is not None:
            life, step = lives[after.order.id], (after.state.value, after.filled, after.unresolved)
            if life[-1:] != [step]:
                life.append(step)
    return lives


def replayed(facts: Facts, replay: Replay | None) -> Findings:
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
        yield expect(f"order {order_id}", shown.get(order_id), expected.get(order_id))
    yield from _held(facts, result.positions)


def broker(facts: Facts) -> Findings:
    """I13: at every comparison the broker held what we held, or the break was named and trading is not ACTIVE."""
    theirs: dict[str, int] = {}
    breaks: dict[str, str] = {}
    states = TradingStates()
    for seq, record, standing in course(facts):
        states = standing.states
        if isinstance(record, PositionReported):
            theirs[record.instrument] = record.quantity
        elif isinstance(record, Recovered):
            ours = {iid: quantity for iid, quantity in standing.held.items() if quantity}
            named = record.breaks or ours == {iid: quantity for iid, quantity in theirs.items() if quantity}
            yield None if named else f"seq {seq}: broker holds {theirs}, we {ours}, and no break is named"
        if not isinstance(record, PositionReported | AccountReported):
            theirs = {}
        _note_break(record, breaks)
    active = states.of(GLOBAL)[0] is TradingState.ACTIVE
    for what in breaks.values():
        yield f"trading is ACTIVE with an open break: {what}" if active else None


def _note_break(record: Record, breaks: dict[str, str]) -> None:
    """Keep the open breaks: tickets until somebody closed them, others until the next comparison."""
    if isinstance(record, BreakOpened):
        breaks[record.break_id] = f"{record.break_id} in {record.instrument}"
    elif isinstance(record, BookAdjusted):
        breaks.pop(record.break_id, None)
    if isinstance(record, BookAdjusted | Recovered):
        breaks.pop("", None)
    if isinstance(record, Recovered) and record.breaks:
        breaks[""] = "; ".join(record.breaks)


def owned(facts: Facts) -> Findings:
    """I14: every position and execution has its owner, and at every mark the account is the sum of the books."""
    owners = {s.id for _, r in facts.records if isinstance(r, RunStarted) for s in r.strategies} | {EXTERNAL}
    wanted = {r.order.id: r.order.strategy for _, r in facts.records if isinstance(r, Submit)}
    for row in facts.tables["positions"]:
        yield None if row["strategy"] in owners else f"position in {row['instrument']} is of {row['strategy']!r}"
    for fill in facts.executions:
        known = {wanted[fill["order_id"]]} if fill["order_id"] in wanted else owners
        yield None if fill["strategy"] in known else f"execution {fill['exec_id']} is of {fill['strategy']!r}"
    books: defaultdict[int, list[Row]] = defaultdict(list)
    for row in facts.tables["books"]:
        books[row["seq"]].append(row)
    for mark in facts.tables["account"]:
        sums = {name: sum((Decimal(row[name]) for row in books[mark["seq"]]), Decimal(0)) for name in _SUMMED}
        yield expect(f"account at seq {mark['seq']}", {name: Decimal(mark[name]) for name in _SUMMED}, sums)
