"""What shorts pay over night, compiled: what `research.borrowing` does, on arrays."""

from typing import Any

import numpy as np

from robotrader.research import kernel_layout as f
from robotrader.research.kernel_layout import Run, inlined, leaf
from robotrader.research.kernel_numbers import half_even, last_bar, product


@inlined
def charge(x: Run, t: int) -> None:
    """Charge every short for the nights up to the open of row t; the books are as they were since the last call."""
    if len(x.nights):
        _charge((x.slots, x.columns, x.owners, x.close), (x.nights, x.fees, x.terms), t, x.totals)


@leaf
def _charge(x: tuple[Any, Any, Any, Any], over: tuple[Any, Any, Any], t: int, totals: Any) -> None:
    (slots, columns, owners, close), (nights, fees, terms) = x, over
    for slot in range(slots.shape[1]):
        if slots[f.S_HELD, slot] >= 0:
            continue
        column = slots[f.S_COLUMN, slot]
        for row in range(totals[f.CHARGED], t + 1):
            if nights[row]:
                raw = close[last_bar(close, column, row - 1), column]
                dollars = _collateral(raw, columns[f.C_UNIT, column], columns[f.C_TICK, column], totals)
                yearly = product(
                    totals, product(totals, dollars, -slots[f.S_HELD, slot]), terms[f.T_BORROW] * nights[row]
                )
                fee = half_even(0, product(totals, yearly, f.QUANTUM), 360 * terms[f.T_BORROW_OF])
                fees[row] += fee
                totals[f.BORROWED] += fee
                slots[f.S_FEES, slot] += fee
                owners[f.W_CASH, slots[f.S_OWNER, slot]] -= fee
    totals[f.CHARGED] = t + 1


@leaf
def _collateral(raw: float, unit: int, tick: int, totals: Any) -> Any:
    """Return 102 % of a unit at a close, in whole dollars, rounded up; near a whole dollar integers say."""
    exact = raw * unit / tick * 1.02
    if abs(exact - np.rint(exact)) > 1e-9 * (exact + 1):
        return np.int64(np.ceil(exact))
    scaled = np.rint(raw * f.QUANTUM)
    if raw != scaled / f.QUANTUM or scaled * unit * 102 > f.BOUND:
        totals[f.STATUS] = f.TIE
    return -(-np.int64(scaled) * unit * 102 // (tick * f.QUANTUM * 100))
