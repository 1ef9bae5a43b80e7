"""What must hold after every run, whatever happened in it; each failure is a sentence."""

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product

from robotrader.execution.lifecycle import OPEN
from robotrader.model import (
    CommissionReported,
    InstrumentId,
    LinkChanged,
    OrderSending,
    OrderState,
    Recovered,
    SetTradingState,
    TradingState,
    decode_command,
    decode_event,
)
from robotrader.risk.halt import Scope
from robotrader.simulation.gateway.record import effective
from tests.chaos.world import CASH, Played

ENDED = "the source of time ended"


def violations(played: Played) -> list[str]:
    """Return what does not hold."""
    return [sentence for check in _CHECKS for sentence in check(played)]


def explained(played: Played, instrument: str = "") -> str:
    """Return why trading stands, for an instrument or anywhere; empty where nothing of it was seen."""
    for _, scope, state, reason in played.trader.states.entries():
        if state is not TradingState.ACTIVE and (not instrument or scope in {"", instrument}):
            return f"{state}: {reason}"
    return ""


def _verified(played: Played) -> Iterator[str]:
    report = played.verified
    if not report.ok:
        found = [f"{name}: {r.detail}" for name, r in report.invariants.items() if not r.ok]
        yield f"the journal does not verify: {report.file}{report.chain}{report.triggers}{'; '.join(found)}"


def _once(played: Played) -> Iterator[str]:
    placed = Counter(p.order_ref for p in played.record.placements if p.order_ref and not p.modify)
    for ref, times in placed.items():
        if times > 1:
            yield f"duplicate: order {ref} was placed {times} times"


def _books(played: Played) -> Iterator[str]:
    ours: Counter[InstrumentId] = Counter()
    for book in played.trader.ledger.books:
        ours.update(dict(book.held()))
    broker = played.record.positions
    for iid in sorted({*ours, *broker}):
        if ours[iid] != broker.get(iid, 0) and not explained(played, iid):
            yield f"lost: the books hold {ours[iid]} {iid}, the broker {broker.get(iid, 0)}, and nothing was said of it"


def _cash(played: Played) -> Iterator[str]:
    """Compare the cash without commissions, and those commissions that we were told."""
    if explained(played):
        return
    books = played.trader.ledger.books
    ours = sum((b.cash - b.capital + b.commission for b in books), CASH)
    theirs = played.record.cash + sum((e.commission for e in effective(played.record.executions).values()), Decimal(0))
    if ours != theirs:
        yield f"lost: cash before commissions is {ours} in the books, {theirs} at the broker"
    charged = {e.exec_id: e.commission for e in played.record.executions}
    for row in played.rows:
        if row.kind == "event" and isinstance(told := decode_event(row.payload), CommissionReported):
            about = told.commission
            theirs = charged.get(f"{about.exec_id}.{about.revision:02d}", Decimal(0))
            if theirs != about.amount:
                yield f"commission of {about.exec_id} is {about.amount} in the books, {theirs} at the broker"


def _outcomes(played: Played) -> Iterator[str]:
    taken = {p.order_ref for p in played.record.placements if p.code == 0}
    for working in played.trader.orders:
        order, state = working.order.id, working.state
        if explained(played, working.order.instrument):
            continue
        if state in OPEN and working.unresolved:
            yield f"order {order} is left UNKNOWN in silence"
        elif state in OPEN and order not in played.open_refs:
            yield f"lost: order {order} is left {state}, but at the broker it has ended"
        if state is OrderState.VOIDED and order in taken:
            yield f"lost: order {order} is VOIDED ({working.reason}), but the broker took it"


def _stopped(played: Played) -> Iterator[str]:
    """Nothing may be sent while trading is halted where it belongs, or the link is closed."""
    orders = {w.order.id: w.order for w in played.trader.orders}
    halted: dict[Scope, bool] = {}
    closed = False
    for row in played.rows:
        if row.kind == "command" and isinstance(command := decode_command(row.payload), SetTradingState):
            halted[command.strategy, command.instrument] = command.state is TradingState.HALTED
        elif row.kind == "event":
            event = decode_event(row.payload)
            if isinstance(event, LinkChanged):
                closed = not event.open
            elif isinstance(event, OrderSending):
                order = orders[event.order_id]
                scopes = product((None, order.strategy), (None, order.instrument))
                if closed or any(halted.get(scope) for scope in scopes):
                    yield f"order {order.id} was sent while {'the link was closed' if closed else 'halted'}"


def _lives(played: Played) -> Iterator[str]:
    if played.ends[-1] != ENDED:
        yield f"the run did not reach its end: {played.ends[-1]}"
    recovered = [r for r in played.rows if r.kind == "event" and isinstance(decode_event(r.payload), Recovered)]
    if played.ends[-1] == ENDED and not recovered:
        yield "the run ended without one comparison with the broker"


_CHECKS: tuple[Callable[[Played], Iterator[str]], ...] = (
    _verified, _once, _books, _cash, _outcomes, _stopped, _lives,
)  # fmt: skip
