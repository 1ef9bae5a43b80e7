"""The compiled loop of the fast path: what the event engine does with strengths, without its objects.

What int64 and float64 cannot decide sets a status, and the run is left to the event engine.
"""

from typing import Any

import numpy as np

from robotrader.research.kernel_borrow import charge
from robotrader.research.kernel_gate import failed_checks
from robotrader.research.kernel_layout import (
    AGAIN,
    BATCH,
    BORROWED,
    C_BUYS,
    C_HEAD,
    C_HELD,
    C_SELLS,
    C_TAIL,
    C_TICK,
    C_UNIT,
    F_COMMISSION,
    F_ORDER,
    F_PRICE,
    F_QUANTITY,
    F_ROW,
    F_TS,
    FILLS,
    FULL,
    GOOD,
    NEXT_CLOSE,
    NO_LIMIT,
    O_DENIED,
    O_LEAVES,
    O_NEXT,
    O_NOTIONAL,
    O_PAID,
    O_ROW,
    O_SIZE,
    O_SLOT,
    ORDERS,
    PARTICIPATION,
    QUANTUM,
    RESTING,
    S_AGAIN,
    S_BEFORE,
    S_COLUMN,
    S_HELD,
    S_OWNER,
    S_WORKING,
    SLIPPAGE,
    STATUS,
    STRENGTH,
    T_DAILY,
    T_FILL,
    T_SPREAD,
    T_SPREAD_OF,
    THIS_CLOSE,
    UNSEEN,
    W_CASH,
    W_RESIZE,
    Run,
    compiled,
    inlined,
    leaf,
)
from robotrader.research.kernel_numbers import cost, last_bar, product, ticks
from robotrader.research.kernel_sizing import target_of

_BLOCK = 2048  # float64 that stay in the nearest cache


@compiled
def changes(strengths: Any, resize: Any, before: Any, wakes: Any) -> tuple[int, int]:
    """Keep those of the rows `wakes` at which a target is sized anew; return how many rows and targets that are.

    `before` is NaN.
    """
    rows, targets = 0, 0
    for t in wakes:
        found = 0
        for slot in range(strengths.shape[1]):
            strength = strengths[t, slot]
            if not np.isnan(strength) and (strength != before[slot] or resize[slot]):
                before[slot] = strength
                found += 1
        if found:
            wakes[rows] = t
            rows += 1
            targets += found
    return rows, targets


@compiled
def window_means(values: Any, window: tuple[int, int], room: Any, out: Any) -> None:
    """Write the mean of the last rows of flat (n, columns) values, `window` = (rows, columns); NaN before there are.

    `room`, of shape (2, block_room(*window)), is for what a block is made of.
    """
    length, first = window[0], (window[0] - 1) * window[1]
    for i in range(min(first, len(out))):
        out[i] = np.nan
    for start in range(first, len(out), _BLOCK):
        part = out[start : start + _BLOCK]
        source = values[start - first : start + len(part)]
        for i in range(len(source)):
            room[0, i] = source[i]
        _add_windows((room[0], room[1]), len(source), window, part)
        for i in range(len(part)):
            part[i] /= length


@leaf
def _add_windows(rooms: tuple[Any, Any], known: int, window: tuple[int, int], out: Any) -> None:
    """Write the sum of each window of the first of `rooms`, whose first `known` numbers count.

    Sums of 1, 2, 4... rows are made of those before: 50 rows take 7 additions, and a NaN is in its own windows only.
    """
    (sums, doubled), (left, width), offset = rooms, window, 0
    for i in range(len(out)):
        out[i] = 0.0
    while left:
        if left & 1:
            part = sums[offset : offset + len(out)]
            for i in range(len(out)):
                out[i] += part[i]
            offset += width
        left >>= 1
        if left:
            known -= width
            later = sums[width : width + known]
            for i in range(known):
                doubled[i] = sums[i] + later[i]
            sums, doubled, width = doubled, sums, 2 * width


def block_room(length: int, columns: int) -> int:
    """Return how many numbers `window_means` works on at a time."""
    return _BLOCK + (length - 1) * columns


@compiled
def crossing(fast: Any, slow: Any, tie: float, out: Any) -> Any:
    """Write 1 where `fast` is above `slow` by more than that share of it, else 0, and NaN where one is unknown.

    Return the number of rows at which another order of summation might say otherwise.
    """
    doubtful = 0
    for t in range(len(fast)):
        gap = fast[t] - slow[t] - tie * slow[t]
        above = 1.0 if gap > 0 else 0.0
        out[t] = np.nan if np.isnan(gap) else above
        doubtful += abs(gap) < 0.4 * tie * abs(slow[t])
    return doubtful


@compiled
def simulate(x: Run, wakes: Any) -> Any:
    """Run over the rows at which something looks: wakes, and the rows after an order; return the status."""
    t, n = 0, 0
    while x.totals[STATUS] == GOOD:
        while n < len(wakes) and wakes[n] < t:
            n += 1
        if not x.totals[RESTING] and not x.totals[AGAIN]:
            t = wakes[n] if n < len(wakes) else len(x.ts)
        if t >= len(x.ts):
            break
        _step(x, t)
        t += 1
    charge(x, len(x.ts) - 1)
    return x.totals[STATUS]


@inlined
def _step(x: Run, t: int) -> None:
    charge(x, t)
    if x.totals[RESTING]:
        _match(x, t)
        if x.terms[T_DAILY] and x.totals[RESTING]:
            _expire(x)
    x.totals[BATCH] = x.totals[ORDERS]
    for slot in range(x.slots.shape[1]):
        if not np.isnan(x.strengths[t, slot]):
            _decide(x, t, slot)
    if x.terms[T_FILL] == THIS_CLOSE:
        _fill_at_once(x, t)


@leaf
def _fill_at_once(x: Run, t: int) -> None:
    """Fill this row's orders at the last close, as far as that bar has room for each."""
    for order in range(x.totals[BATCH], x.totals[ORDERS]):
        column = x.slots[S_COLUMN, x.orders[order, O_SLOT]]
        last = last_bar(x.close, column, t)
        if not x.orders[order, O_DENIED] and x.volume[last, column] > 0:
            room = room_of(x.volume[last, column], x.shares[PARTICIPATION])
            _fill(x, order, (t, x.ts[last], room), x.close[last, column])


@inlined
def _decide(x: Run, t: int, slot: int) -> None:
    """Size, plan and check a strength, if it is news."""
    share, slots = np.int64(np.rint(x.strengths[t, slot] * STRENGTH)), x.slots
    column = slots[S_COLUMN, slot]
    if share != slots[S_BEFORE, slot] or x.owners[W_RESIZE, slots[S_OWNER, slot]] or slots[S_AGAIN, slot]:
        slots[S_BEFORE, slot] = share
        x.totals[AGAIN] -= slots[S_AGAIN, slot]
        slots[S_AGAIN, slot] = 0
        last = last_bar(x.close, column, t)
        price = ticks(x.close[last, column], 0, 1, x.columns[C_TICK, column]) if last >= 0 else -UNSEEN
        if price < 0:
            x.totals[STATUS] = -price
        else:
            size = target_of(x, (t, slot, share), price) - slots[S_HELD, slot] - slots[S_WORKING, slot]
            if size and x.totals[ORDERS] == len(x.orders):
                x.totals[STATUS] = FULL
            elif size:
                _order(x, (t, slot, size, column), last, price)


@inlined
def _order(x: Run, about: tuple[int, int, int, int], last: int, price: int) -> None:
    """Check an order about (row, slot, signed size, column); note it as denied, or as resting at the venue."""
    t, slot, size, column = about
    n, orders, columns = x.totals[ORDERS], x.orders, x.columns
    orders[n, O_NOTIONAL], orders[n, O_PAID] = 0, 0
    orders[n, O_ROW], orders[n, O_SLOT], orders[n, O_SIZE], orders[n, O_NEXT] = t, slot, size, -1
    denied = failed_checks(x, n, last, price)
    orders[n, O_DENIED] = denied
    x.totals[ORDERS] += 1
    if denied:
        try_again(x.slots, x.totals, slot, size)
    else:
        orders[n, O_LEAVES] = abs(size)
        count(x.slots, columns, slot, (size, size))
        x.totals[RESTING] += 1
        if columns[C_HEAD, column] < 0:
            columns[C_HEAD, column] = n
        else:
            orders[columns[C_TAIL, column], O_NEXT] = n
        columns[C_TAIL, column] = n


@leaf
def try_again(slots: Any, totals: Any, slot: int, size: int) -> None:
    """Plan an exit anew at the next bar if this one came to nothing."""
    if slots[S_HELD, slot] * size < 0 and not slots[S_AGAIN, slot]:
        slots[S_AGAIN, slot] = 1
        totals[AGAIN] += 1


@leaf
def count(slots: Any, columns: Any, slot: int, units: tuple[int, int]) -> None:
    """Count (signed change, signed size of the order) units as open."""
    change, size = units
    column = slots[S_COLUMN, slot]
    slots[S_WORKING, slot] += change
    if size > 0:
        columns[C_BUYS, column] += change
    else:
        columns[C_SELLS, column] -= change


@inlined
def _match(x: Run, t: int) -> None:
    """Fill what rests, instrument by instrument and in the order of submission."""
    columns, orders = x.columns, x.orders
    for column in range(columns.shape[1]):
        order, before = columns[C_HEAD, column], -1
        if order < 0 or np.isnan(x.close[t, column]) or not x.volume[t, column] > 0:
            continue
        raw, ts = x.open[t, column], x.opened[t]
        if x.terms[T_FILL] == NEXT_CLOSE:
            raw, ts = x.close[t, column], x.ts[t]
        room = room_of(x.volume[t, column], x.shares[PARTICIPATION])
        while order >= 0:
            room -= _fill(x, order, (t, ts, room), raw)
            after = orders[order, O_NEXT]
            if orders[order, O_LEAVES]:
                before = order
            elif before < 0:
                columns[C_HEAD, column] = after
            else:
                orders[before, O_NEXT] = after
            order = after
        columns[C_TAIL, column] = before


@leaf
def room_of(volume: float, participation: float) -> Any:
    """Return how many units a bar can fill."""
    return NO_LIMIT if participation < 0 else np.int64(volume * participation)


@inlined
def _fill(x: Run, order: int, at: tuple[int, int, int], raw: float) -> Any:
    """Fill as much as there is room for, `at` = (row, ts, room); return how much that is."""
    size, slot, quantity = x.orders[order, O_SIZE], x.orders[order, O_SLOT], min(x.orders[order, O_LEAVES], at[2])
    if quantity <= 0 or x.totals[STATUS] != GOOD:
        return 0
    column, side = x.slots[S_COLUMN, slot], 1 if size > 0 else -1
    moved, of = slippage(x, at[0], column, quantity)
    tick = x.columns[C_TICK, column]
    if not execute(x, order, (at[0], at[1], quantity), (ticks(raw, side * moved, of, tick), ticks(raw, 0, 1, tick))):
        return 0
    count(x.slots, x.columns, slot, (-side * quantity, size))
    return quantity


@inlined
def slippage(x: Run, row: int, column: int, quantity: int) -> tuple[Any, Any]:
    """Return by what share of the price (numerator, denominator) so many units move it: half the spread and impact."""
    moved, of = x.terms[T_SPREAD], x.terms[T_SPREAD_OF]
    if len(x.impact):  # `of` are the steps to which impact is rounded
        moved += min(np.int64(np.ceil(x.impact[row, column] * np.sqrt(quantity) * of)), of // 2)
    return moved, of


@inlined
def execute(x: Run, order: int, at: tuple[int, int, int], prices: tuple[int, int]) -> bool:
    """Book a fill `at` = (row, ts, quantity) at (price, price without slippage); False where that cannot be."""
    orders, totals, n, (price, plain) = x.orders, x.totals, x.totals[FILLS], prices
    size, slot, quantity = orders[order, O_SIZE], orders[order, O_SLOT], at[2]
    if price < 0 or plain < 0 or n == len(x.fills):
        totals[STATUS] = max(-price, -plain, FULL)
        return False
    column, side = x.slots[S_COLUMN, slot], 1 if size > 0 else -1
    unit = x.columns[C_UNIT, column]
    value = product(totals, price * unit, quantity)
    orders[order, O_LEAVES] -= quantity
    orders[order, O_NOTIONAL] += value
    traded = (abs(size) - orders[order, O_LEAVES], side)
    total = cost((x.terms, x.rates, x.tiers), traded, orders[order, O_NOTIONAL], at[1])
    paid, orders[order, O_PAID] = total - orders[order, O_PAID], total
    x.fills[n, F_ORDER], x.fills[n, F_ROW], x.fills[n, F_TS] = order, at[0], at[1]
    x.fills[n, F_QUANTITY], x.fills[n, F_PRICE], x.fills[n, F_COMMISSION] = quantity, price, paid
    totals[FILLS] += 1
    totals[SLIPPAGE] += (price - plain) * side * quantity * unit
    totals[RESTING] -= orders[order, O_LEAVES] == 0
    x.owners[W_CASH, x.slots[S_OWNER, slot]] -= side * value + paid
    x.slots[S_HELD, slot] += side * quantity
    x.columns[C_HELD, column] += side * quantity
    return True


@leaf
def _expire(x: Run) -> None:
    """End a session: what is left of DAY orders expires."""
    orders, columns = x.orders, x.columns
    for column in range(columns.shape[1]):
        order = columns[C_HEAD, column]
        while order >= 0:
            leaves, size = orders[order, O_LEAVES], orders[order, O_SIZE]
            if leaves:
                count(x.slots, columns, orders[order, O_SLOT], (-leaves if size > 0 else leaves, size))
                orders[order, O_LEAVES] = 0
                try_again(x.slots, x.totals, orders[order, O_SLOT], size)
            order = orders[order, O_NEXT]
        columns[C_HEAD, column] = -1
    x.totals[RESTING] = 0


@compiled
def equity_at(x: Run, rows: Any, held: Any, out: Any) -> None:
    """Write the equity at the end of each of these ascending rows: cash and units from the fills, closes in float64.

    `held` is room for (units, multiplier) of each instrument.
    """
    n, count, cash, row = 0, x.totals[FILLS], x.totals[BORROWED], 0
    for owner in range(x.owners.shape[1]):
        cash += x.owners[W_CASH, owner]
    for k in range(count):  # from the end's cash back to the start's
        cash += _spent(x, k)
    known = cash / QUANTUM
    for i in range(len(rows)):
        while n < count and x.fills[n, F_ROW] <= rows[i]:
            order = x.fills[n, F_ORDER]
            cash -= _spent(x, n)
            column = x.slots[S_COLUMN, x.orders[order, O_SLOT]]
            held[0, column] += np.sign(x.orders[order, O_SIZE]) * x.fills[n, F_QUANTITY]
            n += 1
            known = cash / QUANTUM
        while row < len(x.fees) and row <= rows[i]:
            cash -= x.fees[row]
            row += 1
            known = cash / QUANTUM
        value = known
        for column in range(held.shape[1]):
            if held[0, column] != 0:
                close = x.close[last_bar(x.close, column, rows[i]), column]
                value += held[0, column] * close * held[1, column]
        out[i] = value


@inlined
def _spent(x: Run, n: int) -> Any:
    """Return what fill n took out of the cash."""
    order = x.fills[n, F_ORDER]
    unit = x.columns[C_UNIT, x.slots[S_COLUMN, x.orders[order, O_SLOT]]]
    value = x.fills[n, F_PRICE] * unit * x.fills[n, F_QUANTITY]
    return np.sign(x.orders[order, O_SIZE]) * value + x.fills[n, F_COMMISSION]
