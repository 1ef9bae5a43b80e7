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
    leaf,
)
from robotrader.research.kernel_numbers import above, product
from robotrader.research.kernel_sizing import average_volume, equity_of

Books = tuple[Any, Any, Any, Any, Any, Any]
"""(slots, columns, owners, close, terms, totals) of a run."""


@inlined
def failed_checks(x: Run, n: int, last: int, price: int) -> Any:
    """Return the bits of the checks that order n fails; `last` is the row of its last bar, `price` the close."""
    size, column = x.orders[n, O_SIZE], x.slots[S_COLUMN, x.orders[n, O_SLOT]]
    held, terms, failed = x.columns[C_HELD, column], x.terms, 0
    reducing = size <= -held - x.columns[C_BUYS, column] if size > 0 else -size <= held - x.columns[C_SELLS, column]
    if terms[T_MESSAGES] >= 0 or terms[T_ONE] >= 0 or terms[T_BURSTS] >= 0 or terms[T_DUPLICATES]:
        failed |= _by_batch((x.slots, x.orders, x.terms, x.totals), n, column)
    if x.terms[T_MAX_QUANTITY] >= 0 or x.shares[ADV_RATIO] >= 0:
        failed |= by_quantity((x.terms, x.ts, x.close, x.volume, x.shares), (size, column, held), last, reducing)
    if not reducing and (terms[T_MAX_NOTIONAL] >= 0 or terms[T_ORDER_EQUITY] >= 0 or terms[T_POSITION_EQUITY] >= 0):
        books = x.slots, x.columns, x.owners, x.close, x.terms, x.totals
        failed |= by_value(books, (size, column, held), x.orders[n, O_ROW], price)
    if x.terms[T_MAX_AGE] >= 0 and x.ts[x.orders[n, O_ROW]] - x.ts[last] > x.terms[T_MAX_AGE]:
        failed |= COLLAR
    if abs(size) % x.columns[C_LOT, column]:
        failed |= GRID
    if not x.columns[C_ALLOWED, column]:
        failed |= ALLOWED
    return failed


@leaf
def by_quantity(x: tuple[Any, Any, Any, Any, Any], about: tuple[int, int, int], last: int, reducing: bool) -> Any:  # noqa: FBT001 - compiled calls go by position
    """Check the units of an order about (signed size, column, held); `x` is (terms, ts, close, volume, shares)."""
    (terms, ts, close, volume, shares), (size, column, held) = x, about
    limit, unknown = NO_LIMIT if terms[T_MAX_QUANTITY] < 0 else terms[T_MAX_QUANTITY], False
    if shares[ADV_RATIO] >= 0:
        average = average_volume((terms, ts, close, volume), column, last)
        unknown = average < 0
        if not unknown:
            limit = min(limit, np.int64(average * shares[ADV_RATIO]))
    if reducing:
        limit = max(limit, abs(held))
    return QUANTITY if abs(size) > limit or (unknown and not reducing) else 0


@leaf
def by_value(x: Books, about: tuple[int, int, int], row: int, price: int) -> Any:
    """Check the order's value and the position's at worst case against amounts and shares of the equity."""
    (slots, columns, owners, close, terms, totals), (size, column, held) = x, about
    failed, equity, each = 0, 0, price * columns[C_UNIT, column]
    value = product(totals, each, abs(size))
    if terms[T_MAX_NOTIONAL] >= 0 and value > terms[T_MAX_NOTIONAL]:
        failed |= VALUE
    if terms[T_ORDER_EQUITY] >= 0 or terms[T_POSITION_EQUITY] >= 0:
        for owner in range(owners.shape[1]):
            equity += equity_of((slots, columns, owners, close), owner, row, totals)
    if terms[T_ORDER_EQUITY] >= 0 and above(value, equity, terms[T_ORDER_EQUITY], terms[T_ORDER_EQUITY_OF]):
        failed |= VALUE
    opened = columns[C_BUYS, column] if size > 0 else -columns[C_SELLS, column]
    worst = product(totals, each, abs(held + opened + size))
    if terms[T_POSITION_EQUITY] >= 0 and above(worst, equity, terms[T_POSITION_EQUITY], terms[T_POSITION_EQUITY_OF]):
        failed |= POSITION
    return failed


@leaf
def _by_batch(x: tuple[Any, Any, Any, Any], n: int, column: int) -> Any:
    """Check against the orders of the same moment: bars are so far apart that no others count.

    `x` is (slots, orders, terms, totals) of the run.
    """
    (slots, orders, terms, totals), messages, same = x, 0, 0
    failed = RATE if terms[T_BURSTS] == 0 else 0
    for other in range(totals[BATCH], n):
        if orders[other, O_DENIED]:
            continue
        messages += 1
        if slots[S_COLUMN, orders[other, O_SLOT]] == column:
            same += 1
            if terms[T_DUPLICATES] and orders[other, O_SIZE] == orders[n, O_SIZE]:
                failed |= DUPLICATE
    if 0 <= terms[T_MESSAGES] <= messages or 0 <= terms[T_ONE] <= same:
        failed |= RATE
    return failed
