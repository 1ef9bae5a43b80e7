"""Stops, targets and time exits, compiled: what the trader and `engine.protection` do about them, on arrays."""

from typing import Any

import numpy as np

from robotrader.research import kernel_layout as f
from robotrader.research.kernel import count, try_again
from robotrader.research.kernel_desk import (
    OURS,
    STAYS,
    admit,
    ask,
    desk,
    exists,
    first_guard,
    guards,
    leaving,
    mark,
    write,
)
from robotrader.research.kernel_gate import by_quantity, by_value
from robotrader.research.kernel_layout import Desk, Run, inlined, leaf
from robotrader.research.kernel_numbers import half_even, last_bar, product, ticks
from robotrader.research.kernel_sizing import target_of, true_range

_ATTEMPTS = 10
_SECOND = 1_000_000_000


@leaf
def hear(x: Run, k: int) -> None:
    """Take one piece of news in, and note what follows from it."""
    kind, subject, ts = x.news[k, f.N_KIND], x.news[k, f.N_SUBJECT], x.news[k, f.N_TS]
    slot, after, renew, look = subject, -1, True, kind == f.LOOK
    if kind == f.DECIDE:
        _decide(x, subject, ts)
    elif kind != f.LOOK:
        slot = x.orders[subject, f.O_SLOT]
        renew = x.links[subject, f.L_KIND] == f.MARKET or x.links[subject, f.L_CANCELING] > 0
        look = _learn(desk(x), subject, kind)
        after = subject if kind == f.FILLED else -1
    owner = x.slots[f.S_OWNER, slot]
    if look and (x.owners[f.W_STOP, owner] or x.owners[f.W_TARGET, owner]):
        _follow(x, slot, ts, (after, renew))


@leaf
def _learn(d: Desk, n: int, kind: int) -> Any:
    """Bring an order up to its news; tell whether its protection, or that of its position, is to be looked at."""
    links, size, slot = d.links, d.orders[n, f.O_SIZE], d.orders[n, f.O_SLOT]
    protects = links[n, f.L_KIND] != f.MARKET
    if kind == f.ACCEPTED:
        links[n, f.L_STATE] = f.WORKING
        return protects
    if kind == f.RESIZED:
        d.orders[n, f.O_SIZE] = links[n, f.L_TOLD] if size > 0 else -links[n, f.L_TOLD]
        answered = links[n, f.L_ASKED] != 0
        if answered:
            links[n, f.L_AT], links[n, f.L_ASKED] = links[n, f.L_ASKED_AT], 0
        if not protects:
            count(d.slots, d.columns, slot, (d.orders[n, f.O_SIZE] - size, size))
        return protects and answered
    links[n, f.L_STATE] = f.ENDED
    if kind == f.FILLED and links[n, f.L_GROUP] >= 0:
        links[links[n, f.L_GROUP], f.L_SPENT] = 1
    if kind == f.OVER:
        d.totals[f.RESTING] -= 1
        if not protects:
            count(d.slots, d.columns, slot, (-size, size))
            try_again(d.slots, d.totals, slot, size)
    return True


@inlined
def _decide(x: Run, slot: int, ts: int) -> None:
    """Size, plan and check a strength, if it is news or its position is too old; an entry goes with its protection."""
    t, slots, column = x.totals[f.SEEN], x.slots, x.slots[f.S_COLUMN, slot]
    known, owner, overdue = not np.isnan(x.strengths[t, slot]), slots[f.S_OWNER, slot], _overdue(desk(x), slot, ts)
    share = np.int64(np.rint(x.strengths[t, slot] * f.STRENGTH)) if known else slots[f.S_BEFORE, slot]
    if share != slots[f.S_BEFORE, slot]:
        slots[f.S_ENDED, slot], wanted = 0, True
    else:
        slots[f.S_ENDED, slot] |= overdue
        again = slots[f.S_AGAIN, slot] != 0
        wanted = overdue or again if slots[f.S_ENDED, slot] else known and (x.owners[f.W_RESIZE, owner] != 0 or again)
    if wanted:
        slots[f.S_BEFORE, slot] = share
        x.totals[f.AGAIN] -= slots[f.S_AGAIN, slot]
        slots[f.S_AGAIN, slot] = 0
        last = last_bar(x.close, column, t)
        price = ticks(x.close[last, column], 0, 1, x.columns[f.C_TICK, column]) if last >= 0 else -f.UNSEEN
        if price < 0:
            x.totals[f.STATUS] = -price
        else:
            share = np.int64(0) if slots[f.S_ENDED, slot] else share
            size = target_of(x, (t, slot, share), price) - slots[f.S_HELD, slot] - slots[f.S_WORKING, slot]
            if size:
                _plan(x, (slot, size, ts), price)


@leaf
def _overdue(d: Desk, slot: int, ts: int) -> Any:
    """Tell whether a position was there for too long, since the first close at which it was."""
    held, age = d.slots[f.S_HELD, slot], d.owners[f.W_AGE, d.slots[f.S_OWNER, slot]]
    side = 1 if held > 0 else -1
    if not held or d.slots[f.S_LONG, slot] != side:
        d.slots[f.S_LONG, slot], d.slots[f.S_SINCE, slot] = side if held else 0, ts
    return held != 0 and 0 < age <= ts - d.slots[f.S_SINCE, slot]


@leaf
def _plan(x: Run, about: tuple[int, int, int], price: int) -> None:
    """Send an order about (slot, signed size, ts) alone, in the group of what protects, or with children."""
    (slot, size, ts), d, n, made = about, desk(x), x.totals[f.ORDERS], 1
    owner, first = x.slots[f.S_OWNER, slot], first_guard(d, slot)
    held = x.slots[f.S_HELD, slot] + x.slots[f.S_WORKING, slot]
    group, failed = np.int64(-1), np.int64(0)
    if first >= 0 and x.orders[first, f.O_SIZE] * size > 0 and held * size < 0 and abs(held) <= abs(size):
        group = np.int64(-1) if x.links[x.links[first, f.L_GROUP], f.L_SPENT] else x.links[first, f.L_GROUP]
    opens = held == 0 and first < 0
    side = 1 if size > 0 else -1
    stop, target = _price(x, slot, f.STOP * side, price), _price(x, slot, f.LIMIT * side, price)
    unknown = (x.owners[f.W_STOP, owner] and not stop) or (x.owners[f.W_TARGET, owner] and not target)
    if not (opens and unknown) and write(d, n, (slot, size, ts), (np.int64(-1), group, np.int64(0))):
        failed = _refused(x, n, ts)
        for kind in range(f.STOP, f.LIMIT + 1):
            at = stop if kind == f.STOP else target
            if opens and at and not failed and write(d, n + made, (slot, -size, ts), (n, n + 1, np.int64(0))):
                _stand(x, n + made, kind, at)
                failed = _refused(x, n + made, ts)
                made += 1
        for k in range(1 if failed else made):
            admit(d, n + k, failed)
        if failed:
            try_again(x.slots, x.totals, slot, size)


@leaf
def _follow(x: Run, slot: int, ts: int, look: tuple[int, bool]) -> None:
    """Do what `Protection.follow` does, `look` = (the order that just filled or -1, whether missing ones are made)."""
    d, (after, renew), position, owner = desk(x), look, x.slots[f.S_HELD, slot], x.slots[f.S_OWNER, slot]
    if x.columns[f.C_HEAD, x.slots[f.S_COLUMN, slot]] >= 0 or position:
        wanted, sign = abs(position) - leaving(d, slot), -1 if position > 0 else 1
        group, stops, targets, spent = mark(d, slot, sign * wanted, after)
        renew = renew and position != 0 and wanted > 0
        gone = renew and spent and x.owners[f.W_STOP, owner] and not stops  # into no such group: all make way
        _adjust(x, slot, np.int64(0) if gone else max(wanted, np.int64(0)), ts)
        if gone:
            group, stops, targets = -1, 0, 0
        if renew and (group < 0 or not x.links[group, f.L_SPENT]):
            lacking = f.STOP * (x.owners[f.W_STOP, owner] > 0 and not stops)
            lacking += f.LIMIT * (x.owners[f.W_TARGET, owner] > 0 and not targets)
            if lacking:
                _add(x, (slot, sign * wanted, ts), group, lacking)


@leaf
def _adjust(x: Run, slot: int, wanted: Any, ts: int) -> None:
    """Cancel what protects a slot and may not stay, none where 0 are `wanted`; then bring the others up to it."""
    d, links, head = desk(x), x.links, x.columns[f.C_HEAD, x.slots[f.S_COLUMN, slot]]
    for changes in range(2):
        n = head
        while n >= 0:
            if guards(d, n, slot) and links[n, f.L_MARK] & OURS:
                stays = wanted > 0 and links[n, f.L_MARK] & STAYS
                if not stays and not changes:
                    links[n, f.L_CANCELING] = 1
                    ask(d, f.CANCEL, n, ts)
                elif stays and changes and links[n, f.L_STATE] == f.WORKING and not links[n, f.L_ASKED]:
                    _change(x, n, wanted, ts)
            n = x.orders[n, f.O_NEXT]


@inlined
def _change(x: Run, n: int, wanted: int, ts: int) -> None:
    """Ask for the wanted size, and for the price to which a trailing stop has followed, if the gate agrees."""
    size, at, slot = x.orders[n, f.O_SIZE], x.links[n, f.L_AT], x.orders[n, f.O_SLOT]
    column, to, side = x.slots[f.S_COLUMN, slot], at, 1 if size > 0 else -1
    shrinks = abs(size) > wanted  # it stays where it is, which the collar lets be: left too large, it would fill more
    if not shrinks and x.owners[f.W_TRAILS, x.slots[f.S_OWNER, slot]] and x.links[n, f.L_KIND] == f.STOP:
        price = ticks(x.close[last_bar(x.close, column, x.totals[f.SEEN]), column], 0, 1, x.columns[f.C_TICK, column])
        found = _price(x, slot, -f.STOP * side, price)
        to = found if found and (found - at) * side < 0 else at
    if abs(size) != wanted or to != at:
        x.orders[n, f.O_SIZE], x.links[n, f.L_AT] = side * wanted, to
        if not _refused(x, n, ts) & (~f.COLLAR if shrinks else -1):
            x.links[n, f.L_ASKED], x.links[n, f.L_ASKED_AT] = wanted, to
            ask(desk(x), f.REPLACE, n, ts)
        x.orders[n, f.O_SIZE], x.links[n, f.L_AT] = size, at


@leaf
def _add(x: Run, about: tuple[int, int, int], group: int, lacking: int) -> None:
    """Send what is lacking of the orders about (slot, signed size, ts), into the group or, -1, a new one."""
    (slot, size, ts), d, attempt = about, desk(x), 0
    column, owner = x.slots[f.S_COLUMN, slot], x.slots[f.S_OWNER, slot]
    price = ticks(x.close[last_bar(x.close, column, x.totals[f.SEEN]), column], 0, 1, x.columns[f.C_TICK, column])
    if price < 0:
        x.totals[f.STATUS] = -price
    side = -1 if size > 0 else 1
    stop, target = _price(x, slot, f.STOP * side, price), _price(x, slot, f.LIMIT * side, price)
    if not (x.owners[f.W_STOP, owner] and not stop) and not (x.owners[f.W_TARGET, owner] and not target):
        while attempt < _ATTEMPTS and exists(d, x.close, (slot, ts, np.int64(-1), attempt)):
            attempt += 1
        leader = x.totals[f.ORDERS] if group < 0 else group
        for kind in range(f.STOP, f.LIMIT + 1):
            n = x.totals[f.ORDERS]
            made = lacking & kind and attempt < _ATTEMPTS
            if made and write(d, n, (slot, size, ts), (np.int64(-1), leader, attempt)):
                _stand(x, n, kind, stop if kind == f.STOP else target)
                admit(d, n, _refused(x, n, ts))


@inlined
def _stand(x: Run, n: int, kind: int, at: int) -> None:
    x.links[n, f.L_KIND], x.links[n, f.L_PRICE], x.links[n, f.L_AT] = kind, at, at


@leaf
def _price(x: Run, slot: int, what: int, close: int) -> Any:
    """Return where the order that ends a position stands, in ticks; 0 where that is not known, or it has none.

    `what` is its kind, with the sign of the position.
    """
    owner, column = x.slots[f.S_OWNER, slot], x.slots[f.S_COLUMN, slot]
    field = f.W_STOP if abs(what) == f.STOP else f.W_TARGET
    rule, share, of = x.owners[field, owner], x.owners[field + 1, owner], x.owners[field + 2, owner]
    share = -share if (what > 0) == (field == f.W_STOP) else share
    price = np.int64(close)
    if rule == f.PERCENT:
        exact = product(x.totals, close, of + share)
        price = half_even(0, exact, of) if exact >= of else price
    elif rule == f.OF_ATR:
        atr = true_range((x.high, x.low, x.close), column, x.totals[f.SEEN])
        price = beside(x.totals, close, (atr, share), of * x.columns[f.C_TICK, column])
    return 0 if price == close else price


@leaf
def beside(totals: Any, close: int, away: tuple[float, int], of: int) -> Any:
    """Return close + raw x share x QUANTUM / of in ticks, `away` = (raw, share), half to even; close below one tick.

    Near a tie integers decide it, as in `kernel_numbers.ticks`: six decimals, and what is beyond them if that is one.
    """
    raw, share = away
    steps = close + raw * f.QUANTUM * share / of
    if steps < 1 - 1e-9:
        return close
    if abs(steps - np.floor(steps) - 0.5) > 1e-9 * (close + 1) and abs(steps - 1) > 1e-9 * (close + 1):
        return np.int64(np.rint(steps))
    scaled = np.rint(raw * f.QUANTUM)
    noise, exact = raw - scaled / f.QUANTUM, np.int64(scaled) * share
    doubt, rest = 4 * abs(noise * f.QUANTUM * share), 2 * (exact % of) - of
    if abs(scaled * share) > f.BOUND or (noise and (rest or abs(steps - 1) < 0.1) and abs(rest) <= doubt):
        totals[f.STATUS] = f.TIE
    if noise and not rest:
        return close + exact // of + (noise * share > 0)
    return half_even(close, exact, of) if exact + (close - 1) * of >= 0 else close


@leaf
def _refused(x: Run, n: int, ts: int) -> Any:
    """Return the bits of the checks that order n fails, with its size: one that is written, or one that changes.

    Of a family that is written the entry counts as held, and each order as sent.
    """
    size, kind, at, slot = x.orders[n, f.O_SIZE], x.links[n, f.L_KIND], x.links[n, f.L_AT], x.orders[n, f.O_SLOT]
    changes, column, failed, parent = n < x.totals[f.ORDERS], x.slots[f.S_COLUMN, slot], 0, x.links[n, f.L_PARENT]
    last = last_bar(x.close, column, x.totals[f.SEEN])
    price = ticks(x.close[last, column], 0, 1, x.columns[f.C_TICK, column])
    held = x.columns[f.C_HELD, column] + (x.orders[parent, f.O_SIZE] if parent >= 0 and not changes else 0)
    reducing = size <= -held - x.columns[f.C_BUYS, column] if size > 0 else -size <= held - x.columns[f.C_SELLS, column]
    failed |= by_quantity((x.terms, x.ts, x.close, x.volume, x.shares), (size, column, held), last, reducing)
    if not reducing:
        for owner in range(x.owners.shape[1]):
            x.owners[f.W_EQUITY_ROW, owner] = -1  # fills may have come since
        books = x.slots, x.columns, x.owners, x.close, x.terms, x.totals
        failed |= by_value(books, (size, column, held), x.totals[f.SEEN], max(price, at))
    stale = x.terms[f.T_MAX_AGE] >= 0 and ts - x.ts[last] > x.terms[f.T_MAX_AGE]
    behind = (at - price) * size if kind == f.STOP else (price - at) * size
    failed |= f.COLLAR * (stale or (x.terms[f.T_COLLAR] and kind != f.MARKET and behind <= 0))
    failed |= f.GRID * (abs(size) % x.columns[f.C_LOT, column] != 0) | f.ALLOWED * (not x.columns[f.C_ALLOWED, column])
    if not changes and exists(desk(x), x.close, (slot, ts, kind, x.links[n, f.L_ATTEMPT])):
        failed |= f.DUPLICATE
    return failed | _crowded(desk(x), n, (ts, last - 1), x.terms)


@leaf
def _crowded(d: Desk, n: int, at: tuple[int, int], terms: Any) -> Any:
    """Check order n against the orders before, `at` = (now, the first row whose orders count)."""
    (ts, first), failed, alike, bursts = at, 0, 0, 0
    messages = one = max(n - d.totals[f.ORDERS], 0)
    changes, owner = n < d.totals[f.ORDERS], d.slots[f.S_OWNER, d.orders[n, f.O_SLOT]]
    before = d.totals[f.ORDERS] - 1
    while before >= 0 and d.orders[before, f.O_ROW] >= first:
        sent, slot = d.links[before, f.L_TS], d.orders[before, f.O_SLOT]
        near = d.slots[f.S_COLUMN, slot] == d.slots[f.S_COLUMN, d.orders[n, f.O_SLOT]]
        if not d.orders[before, f.O_DENIED]:
            if sent > ts - _SECOND:
                messages += 1
                one += near
                bursts += d.slots[f.S_OWNER, slot] == owner and sent != ts and _is_last(d, before)
            if near and not alike and not changes and _same_terms(d, n, before):
                alike = 1
                failed |= f.DUPLICATE if ts - sent < terms[f.T_DUPLICATES] else 0
        before -= 1
    if 0 <= terms[f.T_MESSAGES] <= messages or 0 <= terms[f.T_ONE] <= one or 0 <= terms[f.T_BURSTS] <= bursts:
        failed |= f.RATE
    return failed


@inlined
def _same_terms(d: Desk, n: int, m: int) -> Any:
    return (
        d.links[n, f.L_SIZE] == d.links[m, f.L_SIZE]
        and d.links[n, f.L_KIND] == d.links[m, f.L_KIND]
        and d.links[n, f.L_PRICE] == d.links[m, f.L_PRICE]
    )


@leaf
def _is_last(d: Desk, n: int) -> Any:
    """Tell whether none of the orders after n that its strategy sent is of the same moment."""
    owner = d.slots[f.S_OWNER, d.orders[n, f.O_SLOT]]
    for later in range(n + 1, d.totals[f.ORDERS]):
        same = d.links[later, f.L_TS] == d.links[n, f.L_TS] and not d.orders[later, f.O_DENIED]
        if same and d.slots[f.S_OWNER, d.orders[later, f.O_SLOT]] == owner:
            return False
    return True
