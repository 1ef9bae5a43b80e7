"""Invariants of what was decided, sent and halted, and by whom: I3, I4, I8, I9, I11, I12, I19, I20, I22."""

from collections import Counter, defaultdict
from itertools import pairwise

from robotrader.adapters.sql.invariants.facts import Facts, Findings, Record, Standing, course
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.write_ahead import MAX_DECISION_AGE_BARS
from robotrader.model import (
    Action,
    Order,
    OrderAccepted,
    OrderReplacing,
    OrderSending,
    OrderState,
    RequestReceived,
    RiskCheck,
    RunEnded,
    SetTradingState,
    Submit,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.risk.halt import GLOBAL, Scope

_HALTED = TradingState.HALTED.severity
_SENT = (OrderSending, OrderReplacing)
_CHECKS = {10, len(RiskCheck)}  # the first version had ten, and its journals are still read
_UNHEARD = {OrderState.AUTHORIZED, OrderState.SENDING}


def decided(facts: Facts) -> Findings:
    """I3: what is sent was allowed once, earlier, on the terms decided, under limits in force, and is not expired."""
    for _, record, standing in course(facts):
        if isinstance(record, OrderSending):
            amiss = _decision(record, standing)
            yield f"order {record.order_id} was sent, but {amiss}" if amiss else None
        elif isinstance(record, OrderReplacing):
            working = standing.orders.get(record.order_id)
            allowed = working is not None and working.replacing is not None
            yield None if allowed else f"order {record.order_id} was changed, and no decision allows it"


def _decision(sending: OrderSending, standing: Standing) -> str | None:
    allowed = standing.submits[sending.order_id]
    if len(allowed) != 1:
        return f"{len(allowed)} decisions allow it"
    submit = allowed[0]
    order = submit.order
    if standing.limits is None or submit.verdict.limits != standing.limits.profile:
        return f"under limits {submit.verdict.limits}, which are not in force"
    if not _follows(submit, standing):
        return "not on the terms that were decided"
    expired = sending.ts_event - order.ts_event > MAX_DECISION_AGE_BARS * standing.bar_ns
    return "its decision was expired" if expired else None


def _follows(submit: Submit, standing: Standing) -> bool:
    """Tell whether an order is what its decision asks for, or protects an entry or a position and no more than it."""
    order, decision = submit.order, submit.decision
    if decision is not None:
        planned = decision.target.quantity - decision.position - decision.working
        return order.side.sign * order.quantity == planned
    held = _opened(order, standing) or standing.position(order.strategy, order.instrument)
    return order.purpose.protective and 0 < order.quantity <= -order.side.sign * held


def _opened(order: Order, standing: Standing) -> int:
    """Return the signed units of the entry that must fill before an order can, 0 for one without."""
    decided = standing.submits.get(order.parent or "")
    return decided[0].order.side.sign * decided[0].order.quantity if decided else 0


def one_live(facts: Facts) -> Findings:
    """I4: an order is at most one at the broker; a second permId halts, a second placing may not be."""
    known: defaultdict[str, set[int]] = defaultdict(set)
    last_halt = max((seq for seq, record in facts.records if (_halts(record) or (GLOBAL, False))[1]), default=0)
    for seq, record, standing in course(facts):
        if isinstance(record, OrderAccepted):
            known[record.order_id].add(record.perm_id)
            stopped = last_halt > seq or standing.states.of(GLOBAL)[0].severity >= _HALTED
            passed = len(known[record.order_id]) == 1 or stopped
            yield None if passed else f"order {record.order_id} has permIds {known[record.order_id]}, and no halt"
    for ref, times in Counter(ref for ref, *_ in facts.placed or ()).items():
        yield None if times == 1 else f"order {ref} was placed {times} times"


def nothing_halted(facts: Facts) -> Findings:
    """I8: nothing is sent while halted, and while reducing nothing that may add to a position at worst case."""
    for seq, record, standing in course(facts):
        if isinstance(record, _SENT) and (working := standing.orders.get(record.order_id)) is not None:
            state, _ = standing.states.effective(working.order.strategy, working.order.instrument)
            wrong = state is TradingState.REDUCING and standing.increases(working)
            wrong |= state.severity >= _HALTED
            yield f"order {record.order_id} was sent at seq {seq} while trading was {state}" if wrong else None


def within_limits(facts: Facts) -> Findings:
    """I9: every order allowed passed every check under the limits in force, counted at worst case."""
    for _, record, standing in course(facts):
        if isinstance(record, Submit):
            amiss = _limits(record, standing)
            yield f"order {record.order.id} was allowed, but {amiss}" if amiss else None


def _limits(submit: Submit, standing: Standing) -> str | None:
    order, limits = submit.order, standing.limits
    checks = {c.check: c for c in submit.verdict.checks if c.passed}
    if len(submit.verdict.checks) not in _CHECKS or len(checks) != len(submit.verdict.checks):
        return f"of {len(RiskCheck)} checks it passed {sorted(checks)}"
    if limits is None or submit.verdict.limits != limits.profile:
        return f"under limits {submit.verdict.limits}, which are not in force"
    if submit.reserved != order.quantity:
        return f"with {submit.reserved} units reserved"
    more = standing.increases(WorkingOrder(order=order, state=OrderState.NEW))
    if more and limits.max_order_quantity is not None and order.quantity > limits.max_order_quantity:
        return f"it is larger than {limits.max_order_quantity} units"
    sign = order.side.sign
    held = standing.held[order.instrument] + _opened(order, standing)
    worst = held + sign * standing.orders.open_quantity(order.instrument, order.side)
    counted = checks[RiskCheck.POSITION_LIMIT].numbers.get("units", worst + sign * order.quantity)
    return None if counted == worst + sign * order.quantity else f"as if the position could come to {counted} only"


def chained(facts: Facts) -> Findings:
    """I11: no row is missing or changed."""
    yield from (facts.chain or None, *(None for _ in facts.rows[1:])) if facts.rows or facts.chain else ()


def one_writer(facts: Facts) -> Findings:
    """I12: no older epoch writes once a newer one began, and only the writer sends."""
    for (before, epoch), (seq, after) in pairwise(facts.epochs.items()):
        yield None if after >= epoch else f"seq {seq} is of epoch {after}, after epoch {epoch} at seq {before}"
    for seq, record in facts.records:
        if isinstance(record, _SENT):
            own = record.epoch == facts.epochs[seq]
            yield None if own else f"order {record.order_id} was sent by epoch {record.epoch}, not by the writer"


def durable(facts: Facts) -> Findings:
    """I19: whatever the gateway received of ours is in the journal, sent and on these terms; needs its record."""
    submits = {r.order.id: r.order for _, r in facts.records if isinstance(r, Submit)}
    sent = {r.order_id for _, r in facts.records if isinstance(r, OrderSending)}
    for ref, side, quantity in facts.placed or ():
        order = next((submits[i] for i in sent if i == ref and i in submits), None)
        same = order is not None and (order.side, order.quantity) == (side, quantity)
        yield None if same else f"the gateway received {ref} ({side} {quantity}), of which the journal knows {order}"


def latched(facts: Facts) -> Findings:
    """I20: from a halt until an operator lifts it nothing is sent in its scope, whatever restarts between."""
    halts: list[str | None] = []
    latches: dict[Scope, int] = {}
    for seq, record, standing in course(facts):
        if (change := _halts(record)) is not None:
            scope, halting = change
            if not halting:
                latches.pop(scope, None)
            elif scope not in latches:
                latches[scope] = len(halts)
                halts.append(None)
        elif isinstance(record, _SENT) and (working := standing.orders.get(record.order_id)) is not None:
            for scope, number in latches.items():
                if scope in _scopes(working.order):
                    halts[number] = f"order {record.order_id} was sent at seq {seq}, after a halt"
    yield from halts


def _halts(record: Record) -> tuple[Scope, bool] | None:
    """Return the scope that a record halts (True) or an operator frees (False)."""
    match record:
        case TradingHalted():
            return GLOBAL, True
        case SetTradingState():
            return (record.strategy, record.instrument), record.state.severity >= _HALTED
        case RequestReceived(action=Action.HALT | Action.LOCK):
            return (record.strategy, record.instrument), True
        case _:
            return None


def resolved(facts: Facts) -> Findings:
    """I22: no run leaves an order of which nothing is known and nobody told: UNKNOWN is an alert, a later run asks."""
    silent: dict[str, list[WorkingOrder]] = {}
    orders = WorkingOrders()
    for _, record, standing in course(facts):
        orders = standing.orders
        if isinstance(record, RunEnded):
            silent[record.run_id] = [w for w in orders.open_orders() if w.state in _UNHEARD and not w.unresolved]
    for run_id, left in silent.items():
        still = [w.order.id for w in left if w == orders.get(w.order.id)]
        yield f"run {run_id} ended, and nobody was told of {still}" if still else None


def _scopes(order: Order) -> tuple[Scope, ...]:
    return GLOBAL, (order.strategy, None), (None, order.instrument), (order.strategy, order.instrument)
