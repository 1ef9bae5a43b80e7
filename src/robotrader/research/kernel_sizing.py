"""From a strength to a target, compiled: what `portfolio.sizing` and `engine.market` do, on arrays."""

from typing import Any

import numpy as np

from robotrader.research.kernel_layout import (
    ATR,
    C_LOT,
    C_TICK,
    C_UNIT,
    FIXED,
    NOTIONAL,
    QUANTUM,
    S_COLUMN,
    S_HELD,
    S_OWNER,
    STATUS,
    STRENGTH,
    T_DAILY,
    TIE,
    W_CASH,
    W_DENOMINATOR,
    W_EQUITY,
    W_EQUITY_ROW,
    W_NUMERATOR,
    W_SIZER,
    Run,
    inlined,
    leaf,
)
from robotrader.research.kernel_numbers import last_bar, lots, product, ticks

_ATR_BARS, _ADV_SESSIONS = 14, 20
_DAY_NS = 86_400_000_000_000


@leaf
def equity_of(x: tuple[Any, Any, Any, Any], owner: int, t: int, totals: Any) -> Any:
    """Return a strategy's cash and the value of its positions at the last closes; computed once a row.

    `x` is (slots, columns, owners, close) of the run.
    """
    slots, columns, owners, close = x
    if owners[W_EQUITY_ROW, owner] != t:
        value = owners[W_CASH, owner]
        for slot in range(slots.shape[1]):
            if slots[S_OWNER, slot] == owner and slots[S_HELD, slot] != 0:
                column = slots[S_COLUMN, slot]
                price = ticks(close[last_bar(close, column, t), column], 0, 1, columns[C_TICK, column])
                if price < 0:
                    totals[STATUS] = -price
                value += product(totals, price * columns[C_UNIT, column], slots[S_HELD, slot])
        owners[W_EQUITY, owner], owners[W_EQUITY_ROW, owner] = value, t
    return owners[W_EQUITY, owner]


@inlined
def target_of(x: Run, about: tuple[int, int, Any], price: int) -> Any:
    """Return sign x floor(|strength| x size) in whole lots, `about` = (row, slot, strength)."""
    t, slot, share = about
    column, owner = x.slots[S_COLUMN, slot], x.slots[S_OWNER, slot]
    rule, budget = x.owners[W_SIZER, owner], np.int64(QUANTUM)
    if rule not in (FIXED, NOTIONAL):
        budget = max(equity_of((x.slots, x.columns, x.owners, x.close), owner, t, x.totals), np.int64(0))
    numerator, denominator, lot = x.owners[W_NUMERATOR, owner], x.owners[W_DENOMINATOR, owner], x.columns[C_LOT, column]
    if rule == FIXED:
        found = abs(share) * numerator // (STRENGTH * denominator * lot)
    elif rule == ATR:
        atr = true_range((x.high, x.low, x.close), column, t)
        size = float(budget) * numerator / denominator * abs(share) / STRENGTH
        each = atr * x.columns[C_UNIT, column] / x.columns[C_TICK, column] * QUANTUM * lot
        exact = size / each if atr > 0 else 0.0
        if exact > 0 and abs(exact - np.rint(exact)) < 1e-11 * (exact + 1):
            x.totals[STATUS] = TIE
        found = np.int64(exact)
    else:
        value = product(x.totals, denominator, price * x.columns[C_UNIT, column])
        found = lots(x.totals, (budget, numerator), abs(share), (value, lot))
    return found * lot if share > 0 else -found * lot


@leaf
def true_range(x: tuple[Any, Any, Any], column: int, t: int) -> float:
    """Return the mean true range of the last bars of (high, low, close), 0 before there are enough."""
    high, low, close = x
    start = last_bar(close, column, t)
    for _ in range(_ATR_BARS):
        start = last_bar(close, column, start - 1)
    if start < 0:
        return 0.0
    total, before = 0.0, close[start, column]
    for row in range(start + 1, t + 1):
        top, bottom = high[row, column], low[row, column]
        if not np.isnan(close[row, column]):
            total += max(top - bottom, abs(top - before), abs(bottom - before))
            before = close[row, column]
    return total / _ATR_BARS


@leaf
def average_volume(x: tuple[Any, Any, Any, Any], column: int, last: int) -> float:
    """Return the mean volume of the last complete days, the running one only where bars are daily; -1 for too few.

    `x` is (terms, ts, close, volume) of the run.
    """
    terms, ts, close, volume = x
    row, running = last, ts[last] // _DAY_NS
    if not terms[T_DAILY]:
        while row >= 0 and ts[row] // _DAY_NS == running:
            row = last_bar(close, column, row - 1)
    total = 0.0
    for _ in range(_ADV_SESSIONS):
        if row < 0:
            return -1.0
        day = ts[row] // _DAY_NS
        while row >= 0 and ts[row] // _DAY_NS == day:
            total += volume[row, column]
            row = last_bar(close, column, row - 1)
    return total / _ADV_SESSIONS
