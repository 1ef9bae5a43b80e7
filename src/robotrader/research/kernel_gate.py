"""The risk gate, compiled: which checks of `risk.checks` an order fails, as bits."""

from typing import Any

import numpy as np

from robotrader.research.kernel_layout import (
    ADV_RATIO,
    ALLOWED,
    BATCH,
    C_ALLOWED,
    C_BUYS,
    C_HELD,
    C_LOT,
    C_SELLS,
    C_UNIT,
    COLLAR,
    DUPLICATE,
    GRID,
    NO_LIMIT,
    O_DENIED,
    O_ROW,
    O_SIZE,
    O_SLOT,
    POSITION,
    QUANTITY,
    RATE,
    S_COLUMN,
    T_BURSTS,
    T_DUPLICATES,
    T_MAX_AGE,
    T_MAX_NOTIONAL,
    T_MAX_QUANTITY,
    T_MESSAGES,
    T_ONE,
    T_ORDER_EQUITY,
    T_ORDER_EQUITY_OF,
    T_POSITION_EQUITY,
    T_POSITION_EQUITY_OF,
    VALUE,
    Run,
    inlined,
)
from robotrader.research.kernel_numbers import above, product
from robotrader.research.kernel_sizing import average_volume, equity_of


@inlined
def failed_checks(x: Run, n: int, last: int, price: int) -> Any:
    """Return the bits of the checks that order n fails; `last` is the row of its last bar, `price` the close."""
    size, column = x.orders[n, O_SIZE], x.slots[S_COLUMN, x.orders[n, O_SLOT]]
    held, buys, sells = x.columns[C_HELD, column], x.columns[C_BUYS, column], x.columns[C_SELLS, column]
    reducing = size <= -held - buys if size > 0 else -size <= held - sells
    failed = _by_batch(x, n, column) | _by_quantity(x, n, last, reducing)
    if not reducing:
        failed |= _by_value(x, n, column, price)
    if x.terms[T_MAX_AGE] >= 0 and x.ts[x.orders[n, O_ROW]] - x.ts[last] > x.terms[T_MAX_AGE]:
        failed |= COLLAR
    if abs(size) % x.columns[C_LOT, column]:
        failed |= GRID
    if not x.columns[C_ALLOWED, column]:
        failed |= ALLOWED
    return failed


@inlined
def _by_quantity(x: Run, n: int, last: int, reducing: bool) -> Any:  # noqa: FBT001 - compiled calls go by position
    size, column = x.orders[n, O_SIZE], x.slots[S_COLUMN, x.orders[n, O_SLOT]]
    limit, unknown = NO_LIMIT if x.terms[T_MAX_QUANTITY] < 0 else x.terms[T_MAX_QUANTITY], False
    if x.shares[ADV_RATIO] >= 0:
        volume = average_volume((x.terms, x.ts, x.close, x.volume), column, last)
        unknown = volume < 0
        if not unknown:
            limit = min(limit, np.int64(volume * x.shares[ADV_RATIO]))
    if reducing:
        limit = max(limit, abs(x.columns[C_HELD, column]))
    return QUANTITY if abs(size) > limit or (unknown and not reducing) else 0


@inlined
def _by_value(x: Run, n: int, column: int, price: int) -> Any:
    """Check the order's value and the position's at worst case against amounts and shares of the equity."""
    size, failed, equity = x.orders[n, O_SIZE], 0, 0
    each, terms = price * x.columns[C_UNIT, column], x.terms
    value = product(x.totals, each, abs(size))
    if terms[T_MAX_NOTIONAL] >= 0 and value > terms[T_MAX_NOTIONAL]:
        failed |= VALUE
    if terms[T_ORDER_EQUITY] >= 0 or terms[T_POSITION_EQUITY] >= 0:
        for owner in range(x.owners.shape[1]):
            equity += equity_of((x.slots, x.columns, x.owners, x.close), owner, x.orders[n, O_ROW], x.totals)
    if terms[T_ORDER_EQUITY] >= 0 and above(value, equity, terms[T_ORDER_EQUITY], terms[T_ORDER_EQUITY_OF]):
        failed |= VALUE
    opened = x.columns[C_BUYS, column] if size > 0 else -x.columns[C_SELLS, column]
    worst = product(x.totals, each, abs(x.columns[C_HELD, column] + opened + size))
    if terms[T_POSITION_EQUITY] >= 0 and above(worst, equity, terms[T_POSITION_EQUITY], terms[T_POSITION_EQUITY_OF]):
        failed |= POSITION
    return failed


@inlined
def _by_batch(x: Run, n: int, column: int) -> Any:
    """Check against the orders of the same moment: bars are so far apart that no others count."""
    terms, messages, same = x.terms, 0, 0
    failed = RATE if terms[T_BURSTS] == 0 else 0
    if terms[T_MESSAGES] >= 0 or terms[T_ONE] >= 0 or terms[T_DUPLICATES]:
        for other in range(x.totals[BATCH], n):
            if x.orders[other, O_DENIED]:
                continue
            messages += 1
            if x.slots[S_COLUMN, x.orders[other, O_SLOT]] == column:
                same += 1
                if terms[T_DUPLICATES] and x.orders[other, O_SIZE] == x.orders[n, O_SIZE]:
                    failed |= DUPLICATE
        if 0 <= terms[T_MESSAGES] <= messages or 0 <= terms[T_ONE] <= same:
            failed |= RATE
    return failed
