"""The open orders of a run with stops or targets, compiled: a chain for each instrument, oldest first.

News and commands are noted here; `kernel_linked` carries them.
"""

from typing import Any

from robotrader.research import kernel_layout as f
from robotrader.research.kernel import count
from robotrader.research.kernel_layout import Desk, Run, inlined, leaf
from robotrader.research.kernel_numbers import last_bar

STAYS, OURS = 1, 2
"""Marks: an order that may stay, and one that no other order sizes."""
NOT_QUEUED = -2


@inlined
def desk(x: Run) -> Desk:
    """Return the tables that orders change."""
    return Desk(x.slots, x.columns, x.owners, x.orders, x.links, x.news, x.work, x.totals)


@leaf
def tell(d: Desk, kind: int, subject: int, ts: int) -> None:
    """Note news of an order or a slot."""
    n = d.totals[f.NEWS]
    if n == len(d.news):
        d.totals[f.STATUS] = f.FULL
    else:
        d.news[n, f.N_KIND], d.news[n, f.N_SUBJECT], d.news[n, f.N_TS] = kind, subject, ts
        d.totals[f.NEWS] += 1


@leaf
def ask(d: Desk, kind: int, order: int, ts: int) -> None:
    """Note a command."""
    n = d.totals[f.WORK]
    if n == len(d.work):
        d.totals[f.STATUS] = f.FULL
    else:
        d.work[n, f.K_KIND], d.work[n, f.K_ORDER], d.work[n, f.K_TS] = kind, order, ts
        d.totals[f.WORK] += 1


@leaf
def write(d: Desk, n: int, what: tuple[Any, Any, Any], where: tuple[Any, Any, Any]) -> Any:
    """Write an order of (slot, signed size, ts) as row n, `where` = (parent, group, attempt); False without room."""
    (slot, size, ts), (parent, group, attempt) = what, where
    if n >= len(d.orders):
        d.totals[f.STATUS] = f.FULL
        return False
    for field in range(d.orders.shape[1]):
        d.orders[n, field] = 0
    for field in range(d.links.shape[1]):
        d.links[n, field] = 0
    d.orders[n, f.O_ROW], d.orders[n, f.O_NEXT] = d.totals[f.SEEN], -1
    d.orders[n, f.O_SLOT], d.orders[n, f.O_SIZE] = slot, size
    d.links[n, f.L_SIZE], d.links[n, f.L_TS] = size, ts
    d.links[n, f.L_PARENT], d.links[n, f.L_GROUP], d.links[n, f.L_ATTEMPT] = parent, group, attempt
    return True


@leaf
def admit(d: Desk, n: int, failed: int) -> None:
    """Note the written order n as denied or as authorized."""
    size, slot, ts = d.orders[n, f.O_SIZE], d.orders[n, f.O_SLOT], d.links[n, f.L_TS]
    column = d.slots[f.S_COLUMN, slot]
    d.totals[f.ORDERS] = n + 1
    d.orders[n, f.O_DENIED] = failed
    if failed:
        ask(d, f.DENY, n, ts)
        return
    ask(d, f.SUBMIT, n, ts)
    d.links[n, f.L_STATE] = f.AUTHORIZED
    d.totals[f.RESTING] += 1
    if d.links[n, f.L_KIND] == f.MARKET:
        count(d.slots, d.columns, slot, (size, size))
    if d.columns[f.C_HEAD, column] < 0:
        d.columns[f.C_HEAD, column] = n
    else:
        d.orders[d.columns[f.C_TAIL, column], f.O_NEXT] = n
    d.columns[f.C_TAIL, column] = n


@leaf
def exists(d: Desk, close: Any, about: tuple[Any, Any, Any, Any]) -> Any:
    """Tell whether an order of (slot, ts, kind, attempt) was decided before; kind -1: any that protects."""
    slot, ts, kind, attempt = about
    n, first = d.totals[f.ORDERS] - 1, last_bar(close, d.slots[f.S_COLUMN, slot], d.totals[f.SEEN]) - 1
    while n >= 0 and d.orders[n, f.O_ROW] >= first:
        same = d.links[n, f.L_KIND] == kind or (kind < 0 and d.links[n, f.L_KIND] != f.MARKET)
        if same and d.orders[n, f.O_SLOT] == slot and d.links[n, f.L_TS] == ts and d.links[n, f.L_ATTEMPT] == attempt:
            return True
        n -= 1
    return False


@inlined
def guards(d: Desk, n: int, slot: int) -> Any:
    """Tell whether an order is open and protects that slot."""
    return d.links[n, f.L_STATE] != f.ENDED and d.orders[n, f.O_SLOT] == slot and d.links[n, f.L_KIND] != f.MARKET


@leaf
def first_guard(d: Desk, slot: int) -> Any:
    """Return the oldest open order that protects a slot, negative for none."""
    n = d.columns[f.C_HEAD, d.slots[f.S_COLUMN, slot]]
    while n >= 0 and not guards(d, n, slot):
        n = d.orders[n, f.O_NEXT]
    return n


@leaf
def leaving(d: Desk, slot: int) -> Any:
    """Return the units that open orders of no group are about to take off the position."""
    units, n, position = 0, d.columns[f.C_HEAD, d.slots[f.S_COLUMN, slot]], d.slots[f.S_HELD, slot]
    while n >= 0:
        mine = d.links[n, f.L_STATE] != f.ENDED and d.orders[n, f.O_SLOT] == slot and d.links[n, f.L_GROUP] < 0
        if mine and d.orders[n, f.O_SIZE] * position < 0:
            units += abs(d.orders[n, f.O_SIZE])
        n = d.orders[n, f.O_NEXT]
    return units


@leaf
def mark(d: Desk, slot: int, want: int, after: int) -> tuple[Any, Any, Any, Any]:
    """Mark the orders that protect a slot, `want` the signed units that are to; `after` is the order that just filled.

    Of those that may stay return their group, whether there is a stop, a target, and one of a group that had a fill.
    """
    links, group, stops, targets, spent = d.links, -1, 0, 0, 0
    n = d.columns[f.C_HEAD, d.slots[f.S_COLUMN, slot]]
    while n >= 0:
        if guards(d, n, slot):
            right = d.orders[n, f.O_SIZE] > 0 if d.slots[f.S_HELD, slot] <= 0 else d.orders[n, f.O_SIZE] < 0
            new = links[n, f.L_STATE] == f.AUTHORIZED and links[n, f.L_PARENT] < 0
            outdated = new and d.orders[n, f.O_SIZE] != want
            links[n, f.L_MARK] = OURS if outdated or not _sized_by_broker(d, n, after) else 0
            if right and not outdated:
                links[n, f.L_MARK] |= STAYS
                group = links[n, f.L_GROUP] if group < 0 else group
                stops |= links[n, f.L_KIND] == f.STOP
                targets |= links[n, f.L_KIND] == f.LIMIT
                spent |= links[links[n, f.L_GROUP], f.L_SPENT]
        n = d.orders[n, f.O_NEXT]
    return group, stops, targets, spent


@leaf
def _sized_by_broker(d: Desk, n: int, after: int) -> Any:
    links, parent, group = d.links, d.links[n, f.L_PARENT], d.links[n, f.L_GROUP]
    if after >= 0 and (parent == after or group == links[after, f.L_GROUP]):
        return True
    if parent >= 0 and links[parent, f.L_STATE] != f.ENDED:
        return True
    other = d.columns[f.C_HEAD, d.slots[f.S_COLUMN, d.orders[n, f.O_SLOT]]]
    while other >= 0:
        if (
            links[other, f.L_STATE] != f.ENDED
            and links[other, f.L_KIND] == f.MARKET
            and links[other, f.L_GROUP] == group
        ):
            return True
        other = d.orders[other, f.O_NEXT]
    return False


@leaf
def rest(d: Desk, n: int) -> None:
    """Let an order rest at the venue."""
    d.totals[f.RESTED] += 1
    d.links[n, f.L_RESTED], d.links[n, f.L_QUEUED] = d.totals[f.RESTED], NOT_QUEUED


@leaf
def end(d: Desk, n: int, ts: int) -> None:
    """End an order with the children that wait for it."""
    d.links[n, f.L_PLACED], d.links[n, f.L_RESTED] = 0, 0
    tell(d, f.OVER, n, ts)
    child = d.columns[f.C_HEAD, d.slots[f.S_COLUMN, d.orders[n, f.O_SLOT]]]
    while child >= 0:
        if d.links[child, f.L_PARENT] == n and d.links[child, f.L_PLACED] and not d.links[child, f.L_RESTED]:
            d.links[child, f.L_PLACED] = 0
            tell(d, f.OVER, child, ts)
        child = d.orders[child, f.O_NEXT]


@leaf
def filled(d: Desk, n: int, ts: int, later: int) -> None:
    """Tell of a fill at `ts`: the children rest from now on, and the others of its group lose so much (`later`)."""
    size, slot, links = d.orders[n, f.O_SIZE], d.orders[n, f.O_SLOT], d.links
    links[n, f.L_PLACED], links[n, f.L_RESTED], links[n, f.L_FILLED] = 0, 0, 1
    if links[n, f.L_KIND] == f.MARKET:
        count(d.slots, d.columns, slot, (-size, size))
    tell(d, f.FILLED, n, ts)
    other = d.columns[f.C_HEAD, d.slots[f.S_COLUMN, slot]]
    while other >= 0:
        if links[other, f.L_PARENT] == n and links[other, f.L_PLACED] and not links[other, f.L_RESTED]:
            rest(d, other)
        if links[n, f.L_GROUP] >= 0 and links[other, f.L_PLACED] and links[other, f.L_GROUP] == links[n, f.L_GROUP]:
            links[other, f.L_TOLD] = abs(d.orders[other, f.O_SIZE]) - abs(size)
            if links[other, f.L_ASKED]:
                d.totals[f.STATUS] = f.CROSSED
            if links[other, f.L_TOLD] > 0:
                tell(d, f.RESIZED, other, later)
            else:
                end(d, other, later)
        other = d.orders[other, f.O_NEXT]


@leaf
def forget(d: Desk, column: int) -> None:
    """Leave the orders that have ended out of the column's chain."""
    n, before = d.columns[f.C_HEAD, column], -1
    d.columns[f.C_HEAD, column] = -1
    while n >= 0:
        if d.links[n, f.L_STATE] != f.ENDED:
            if before < 0:
                d.columns[f.C_HEAD, column] = n
            else:
                d.orders[before, f.O_NEXT] = n
            before = n
        n = d.orders[n, f.O_NEXT]
    if before >= 0:
        d.orders[before, f.O_NEXT] = -1
    d.columns[f.C_TAIL, column] = before


@leaf
def queue(d: Desk, column: int, about: tuple[Any, Any, Any]) -> None:
    """Let what came to rest later meet the bar, `about` = (row, number of the last before, whether not only stops)."""
    row, since, every = about
    n = d.columns[f.C_HEAD, column]
    while n >= 0:
        if d.links[n, f.L_RESTED] > since and (every or d.links[n, f.L_KIND] == f.STOP):
            d.links[n, f.L_QUEUED] = row
        n = d.orders[n, f.O_NEXT]


@leaf
def next_of(d: Desk, column: int, at: tuple[int, int], late: int) -> Any:
    """Return the order that meets a bar (row, open) first: as `Session.turn` says, and then the oldest; -1 for none."""
    found, least, oldest, n, (row, opened) = -1, 9, 0, d.columns[f.C_HEAD, column], at
    while n >= 0:
        if d.links[n, f.L_RESTED] and d.links[n, f.L_QUEUED] == row:
            turn = 3 if late else 0
            if d.links[n, f.L_KIND] == f.STOP:
                turn = 1
            elif d.links[n, f.L_KIND] == f.LIMIT:
                turn = 0 if (d.links[n, f.L_AT] - opened) * d.orders[n, f.O_SIZE] >= 0 else 2
            if turn < least or (turn == least and d.links[n, f.L_RESTED] < oldest):
                found, least, oldest = n, turn, d.links[n, f.L_RESTED]
        n = d.orders[n, f.O_NEXT]
    return found
