"""What must hold after every run, whatever happened in it; each failure is a sentence."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from typing import Any

from robotrader.execution.lifecycle import OPEN
from robotrader.model import (
    EXTERNAL,
    CommissionReported,
    InstrumentId,
    LinkChanged,
    OrderSending,
    OrderState,
    Purpose,
    Recovered,
    SetTradingState,
    TradingState,
    decode_command,
    decode_event,
)
from robotrader.risk.halt import Scope
from robotrader.simulation.gateway.record import Intervention, Placement, effective
from tests.chaos.world import CASH, Played

HIDDEN = "hidden"
ENDED = "the source of time ended"


def violations(played: Played) -> list[str]:
    """Return what does not hold, though it could: what the broker never said in any message is `hidden`."""
    return [sentence for sentence in judged(played) if not sentence.startswith(HIDDEN)]


def judged(played: Played) -> list[str]:
    """Return what does not hold, and what differs from the broker because none of its messages said it."""
    return [sentence for check in _CHECKS for sentence in check(played)]


def _told(played: Played) -> list[dict[str, Any]]:
    """Return the fields of the executions that reached the journal, of each the last revision."""
    last: dict[str, tuple[int, dict[str, Any]]] = {}
    for row in played.rows:
        if row.kind == "raw" and row.type == "execDetails":
            fields = json.loads(row.payload)["fields"]
            stem, _, revision = fields["execId"].rpartition(".")
            last[stem] = max(last.get(stem, (0, {})), (int(revision), fields), key=lambda found: found[0])
    return [fields for _, fields in last.values()]


def _sign(fields: dict[str, Any]) -> int:
    return 1 if fields["side"] == "BOT" else -1


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
    """Count the orders that can have worked side by side.

    An order that the gateway lost works no more. A change of it that was on its way then is a new order to a gateway
    that restarted with older ids: no trader could know; it has to halt over the second permId, and does.
    """
    placed, where = Counter[str](), dict[tuple[int, int], str]()
    for line in played.lines:
        if isinstance(line, Placement) and line.order_ref and not line.modify and not line.code:
            placed[line.order_ref] += 1
            where[line.client_id, line.order.order_id] = line.order_ref
            if placed[line.order_ref] > 1:
                yield f"duplicate: order {line.order_ref} was placed {placed[line.order_ref]} times"
        elif isinstance(line, Intervention) and line.deed == "vanish" and explained(played):
            placed[where[line.client_id, line.order_id]] -= 1


def _books(played: Played) -> Iterator[str]:
    ours: Counter[InstrumentId] = Counter()
    for book in played.trader.ledger.books:
        ours.update(dict(book.held()))
    broker = played.record.positions
    for iid in sorted({*ours, *broker}):
        if ours[iid] != broker.get(iid, 0) and not explained(played, iid):
            told = sum(_sign(f) * int(f["shares"]) for f in _told(played) if f["symbol"] == iid.partition(".")[0])
            kind = HIDDEN if told == ours[iid] else "lost"
            theirs = broker.get(iid, 0)
            yield f"{kind}: the books hold {ours[iid]} {iid}, the broker {theirs}, and nothing was said of it"


def _cash(played: Played) -> Iterator[str]:
    """Compare the cash without commissions, and those commissions that we were told."""
    if explained(played):
        return
    books = played.trader.ledger.books
    ours = sum((b.cash - b.capital + b.commission for b in books), CASH)
    theirs = played.record.cash + sum((e.commission for e in effective(played.record.executions).values()), Decimal(0))
    if ours != theirs:
        told = CASH - sum(_sign(f) * int(f["shares"]) * Decimal(str(f["price"])) for f in _told(played))
        kind = HIDDEN if ours == told else "lost"
        yield f"{kind}: cash before commissions is {ours} in the books, {theirs} at the broker"
    charged = {e.exec_id: e.commission for e in played.record.executions}
    for row in played.rows:
        if row.kind == "event" and isinstance(heard := decode_event(row.payload), CommissionReported):
            about = heard.commission
            theirs = charged.get(f"{about.exec_id}.{about.revision:02d}", Decimal(0))
            if theirs != about.amount:
                yield f"commission of {about.exec_id} is {about.amount} in the books, {theirs} at the broker"


def _outcomes(played: Played) -> Iterator[str]:
    for working in played.trader.orders:
        order, state = working.order.id, working.state
        if explained(played, working.order.instrument):
            continue
        if state in OPEN and working.unresolved:
            yield f"order {order} is left UNKNOWN in silence"
        elif state in OPEN and order not in played.open_refs:
            yield f"lost: order {order} is left {state}, but at the broker it has ended"
        if state is OrderState.VOIDED and order in played.open_refs:  # a late fill of it is booked like any other
            named = any(row.kind == "raw" and order in row.payload for row in played.rows)
            yield f"{'lost' if named else HIDDEN}: order {order} is VOIDED ({working.reason}), but the broker works it"


def _protected(played: Played) -> Iterator[str]:
    """Every position has what its policy wants, at its size, working at the broker; nothing protects what is not held.

    What the last session brought is not judged: the bar that would mend it never came.
    """
    if not played.plan.stop_loss or explained(played):
        return
    last = max((r.ts for r in played.rows if r.type == "BarsClosed"), default=0)
    if any(r.type == "OrderFilled" and r.ts >= last for r in played.rows):
        return
    for book in (b for b in played.trader.ledger.books if b.strategy != EXTERNAL):
        for iid in {w.order.instrument for w in played.trader.orders}:
            held = dict(book.held()).get(iid, 0)
            mine = played.trader.orders.of(iid, book.strategy)
            if any(not w.order.purpose.protective or w.order.ts_event >= last for w in mine):
                continue
            stops = sum(-w.order.side.sign * w.leaves for w in mine if w.order.purpose is Purpose.STOP_LOSS)
            if stops != held:
                yield f"unprotected: {held} {iid} are held, the stops are for {stops}"


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
    _verified, _once, _books, _cash, _outcomes, _protected, _stopped, _lives,
)  # fmt: skip
