"""The compiled loop where strategies have stops or targets: orders that wait for, share and follow a position.

What `simulation.linked` and the venue do, one event after the other as `research.backtest` carries them: all news of
one moment is heard, then what follows is done command by command, each with what follows from it before the next.
"""

from typing import Any

import numpy as np

from robotrader.research import kernel_layout as f
from robotrader.research.kernel import execute, room_of, slippage
from robotrader.research.kernel_borrow import charge
from robotrader.research.kernel_desk import (
    NOT_QUEUED,
    ask,
    desk,
    end,
    filled,
    forget,
    next_of,
    queue,
    rest,
    tell,
)
from robotrader.research.kernel_layout import Desk, Run, compiled, inlined, leaf
from robotrader.research.kernel_numbers import half_even, last_bar, product, ticks
from robotrader.research.kernel_protection import hear

NEVER, AT_OPEN, AT_CLOSE = range(3)


@compiled
def simulate_linked(x: Run, wakes: Any) -> Any:
    """Run as `kernel.simulate`; rows with an open order or a position that has a policy are looked at, too."""
    t, n = 0, 0
    while x.totals[f.STATUS] == f.GOOD:
        while n < len(wakes) and wakes[n] < t:
            n += 1
        if not x.totals[f.RESTING] and not x.totals[f.AGAIN] and not x.totals[f.EXPOSED]:
            t = wakes[n] if n < len(wakes) else len(x.ts)
        if t >= len(x.ts):
            break
        charge(x, t)
        x.totals[f.SEEN] = t - 1
        if x.totals[f.RESTING]:
            _match(x, t)
            if x.terms[f.T_DAILY]:
                _expire(x, t)
        x.totals[f.SEEN], x.totals[f.BATCH] = t, x.totals[f.ORDERS]
        _close(x, t)
        t += 1
    charge(x, len(x.ts) - 1)
    return x.totals[f.STATUS]


@inlined
def _close(x: Run, t: int) -> None:
    """Let strategies decide at the close, each looking at its protection after it."""
    d, first, count = desk(x), 0, x.slots.shape[1]
    x.totals[f.EXPOSED] = 0
    for slot in range(count):
        owner = x.slots[f.S_OWNER, slot]
        protects, age = x.owners[f.W_STOP, owner] or x.owners[f.W_TARGET, owner], x.owners[f.W_AGE, owner]
        if not np.isnan(x.strengths[t, slot]) or age:
            tell(d, f.DECIDE, slot, x.ts[t])
        if slot + 1 == count or x.slots[f.S_OWNER, slot + 1] != owner:
            for mine in range(first, slot + 1 if protects else first):
                tell(d, f.LOOK, mine, x.ts[t])
            first = slot + 1
    _settle(x)
    for slot in range(count):
        owner = x.slots[f.S_OWNER, slot]
        if x.slots[f.S_HELD, slot] and (
            x.owners[f.W_STOP, owner] or x.owners[f.W_TARGET, owner] or x.owners[f.W_AGE, owner]
        ):
            x.totals[f.EXPOSED] = 1


@leaf
def _settle(x: Run) -> None:
    """Hear all news, do the first of what follows, and so on until nothing is left to do."""
    while x.totals[f.STATUS] == f.GOOD:
        low = x.totals[f.WORK]
        for k in range(x.totals[f.NEWS]):
            hear(x, k)
        x.totals[f.NEWS] = 0
        high = x.totals[f.WORK] - 1
        while low < high:  # the first is done first
            for field in range(x.work.shape[1]):
                x.work[low, field], x.work[high, field] = x.work[high, field], x.work[low, field]
            low, high = low + 1, high - 1
        if not x.totals[f.WORK]:
            break
        x.totals[f.WORK] -= 1
        top = x.totals[f.WORK]
        _do(x, x.work[top, f.K_KIND], x.work[top, f.K_ORDER], x.work[top, f.K_TS])


@inlined
def _do(x: Run, kind: int, n: int, ts: int) -> None:
    d = desk(x)
    if kind in (f.SUBMIT, f.DENY):
        x.totals[f.SENT] += 1
        x.links[n, f.L_SENT] = x.totals[f.SENT]
    if kind == f.SUBMIT:
        ask(d, f.PLACE, n, ts)
        tell(d, f.ACCEPTED, n, ts)
    elif kind == f.PLACE:
        _place(x, n, ts)
    elif kind == f.CANCEL and x.links[n, f.L_PLACED]:
        end(d, n, ts)
    elif kind == f.REPLACE:
        if not x.links[n, f.L_PLACED]:
            x.totals[f.STATUS] = f.CROSSED
        x.links[n, f.L_TOLD] = x.links[n, f.L_ASKED]
        tell(d, f.RESIZED, n, ts)


@inlined
def _place(x: Run, n: int, ts: int) -> None:
    """Take an order at the venue: a child rests there from the fill of its parent on."""
    parent, column = x.links[n, f.L_PARENT], x.slots[f.S_COLUMN, x.orders[n, f.O_SLOT]]
    x.links[n, f.L_PLACED] = 1
    if parent < 0 or x.links[parent, f.L_FILLED]:
        rest(desk(x), n)
        last = last_bar(x.close, column, x.totals[f.SEEN])
        if x.terms[f.T_FILL] == f.THIS_CLOSE and x.links[n, f.L_KIND] == f.MARKET and x.volume[last, column] > 0:
            room = room_of(x.volume[last, column], x.shares[f.PARTICIPATION])
            _fill(x, n, (x.totals[f.SEEN], x.ts[last], ts, room), (x.close[last, column], np.int64(0)))


@leaf
def _fill(x: Run, n: int, at: tuple[int, int, int, int], price: tuple[Any, Any]) -> Any:
    """Fill an order whole `at` = (row, ts, ts of what follows, room), tell of it, and return how much that is.

    The price is (raw, 0) or (any, ticks); what takes liquidity pays the spread. A fill in part ends the run.
    """
    (row, ts, later, room), (raw, exact) = at, price
    column, side = x.slots[f.S_COLUMN, x.orders[n, f.O_SLOT]], 1 if x.orders[n, f.O_SIZE] > 0 else -1
    quantity, tick = abs(x.orders[n, f.O_SIZE]), x.columns[f.C_TICK, column]
    if quantity > room:
        x.totals[f.STATUS] = f.PARTIAL
        return 0
    moved, of = slippage(x, row, column, quantity)
    moved = side * moved if x.links[n, f.L_KIND] != f.LIMIT else 0
    paid, plain = np.int64(-f.NOT_POSITIVE), exact
    if exact:
        paid = half_even(0, product(x.totals, exact, of + moved), of)
    else:
        paid, plain = ticks(raw, moved, of, tick), ticks(raw, 0, 1, tick)
    x.orders[n, f.O_LEAVES] = quantity
    if execute(x, n, (row, ts, quantity), (paid or -f.NOT_POSITIVE, plain)):
        filled(desk(x), n, ts, later)
    return quantity


@inlined
def _match(x: Run, t: int) -> None:
    """Fill what rests, instrument by instrument, as each bar may have gone."""
    d, late = desk(x), x.terms[f.T_FILL] == f.NEXT_CLOSE
    for column in range(x.columns.shape[1]):
        if x.columns[f.C_HEAD, column] >= 0:
            forget(d, column)
            if not np.isnan(x.close[t, column]) and x.volume[t, column] > 0:
                queue(d, column, (t, np.int64(0), True))
                room = room_of(x.volume[t, column], x.shares[f.PARTICIPATION])
                opened, high, low = _rounded(x, column, t)
                n = next_of(d, column, (t, opened), late)
                while n >= 0 and x.totals[f.STATUS] == f.GOOD:
                    came = x.totals[f.RESTED]
                    x.links[n, f.L_QUEUED] = NOT_QUEUED
                    when, exact = _meet(d, n, (opened, high, low), late)
                    if when:
                        ts = x.opened[t] if when == AT_OPEN else x.ts[t]
                        raw = x.open[t, column] if when == AT_OPEN else x.close[t, column]
                        room -= _fill(x, n, (t, ts, x.opened[t], room), (raw, exact))
                        _settle(x)
                        if ts == x.opened[t] or not late:
                            queue(d, column, (t, came, ts == x.opened[t]))
                    n = next_of(d, column, (t, opened), late)


@leaf
def _rounded(x: Run, column: int, t: int) -> tuple[Any, Any, Any]:
    """Return open, high and low in ticks."""
    tick = x.columns[f.C_TICK, column]
    opened, high = ticks(x.open[t, column], 0, 1, tick), ticks(x.high[t, column], 0, 1, tick)
    low = ticks(x.low[t, column], 0, 1, tick)
    if min(opened, high, low) < 0:
        x.totals[f.STATUS] = -min(opened, high, low)
    return opened, high, low


@leaf
def _meet(d: Desk, n: int, bar: tuple[int, int, int], late: int) -> tuple[Any, Any]:
    """Return when an order fills in a bar of (open, high, low), if at all, and at how many ticks, 0 for a raw price."""
    (opened, high, low), kind, at = bar, d.links[n, f.L_KIND], d.links[n, f.L_AT]
    buys = d.orders[n, f.O_SIZE] > 0
    if kind == f.MARKET:
        return (AT_CLOSE if late else AT_OPEN), 0
    if kind == f.STOP:
        if opened >= at if buys else opened <= at:
            return AT_OPEN, 0
        return (AT_CLOSE if (high >= at if buys else low <= at) else NEVER), at
    if opened <= at if buys else opened >= at:
        return AT_OPEN, opened
    return (AT_CLOSE if (low < at if buys else high > at) else NEVER), at


@inlined
def _expire(x: Run, t: int) -> None:
    """End a session: the orders of the last close's decisions expire."""
    for n in range(x.totals[f.BATCH], x.totals[f.ORDERS]):
        if x.links[n, f.L_KIND] == f.MARKET and x.links[n, f.L_RESTED]:
            end(desk(x), n, x.ts[t])
            _settle(x)
