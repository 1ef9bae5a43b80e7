"""Compiled arithmetic that decides every rounding as `Decimal` decides it; what it cannot decide is a status."""

from typing import Any

import numpy as np

from robotrader.research.kernel_layout import (
    BOUND,
    BPS,
    HUGE,
    IBKR_FIXED,
    NOT_POSITIVE,
    QUANTUM,
    RATE_DENOMINATOR,
    STATUS,
    STRENGTH,
    T_BPS,
    T_BPS_OF,
    T_COSTS,
    TIE,
    leaf,
)


@leaf
def last_bar(close: Any, column: int, t: int) -> Any:
    """Return the row of the last bar up to t, negative for none."""
    while t >= 0 and np.isnan(close[t, column]):
        t -= 1
    return t


@leaf
def product(totals: Any, a: int, b: int) -> Any:
    """Multiply; a product that int64 does not hold with ease ends the run."""
    if abs(float(a) * b) > BOUND:
        totals[STATUS] = HUGE
    return a * b


@leaf
def half_even(whole: Any, rest: Any, denominator: int) -> Any:
    """Return whole + rest / denominator, half to even."""
    whole, rest = whole + rest // denominator, rest % denominator
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


@leaf
def ticks(raw: float, moved: int, whole: int, tick: int) -> Any:
    """Round a quoted price times (whole + moved) / whole to ticks, as `Instrument.price` does; `tick` in millionths.

    In float64, and near a tie in integers, if the quote has six decimals and at most noise beyond, which then decides a
    tie. Where that does not say, or there is no positive price: minus the status.
    """
    factor = whole + moved
    steps = raw * (QUANTUM * factor) / (tick * whole)
    price = np.int64(np.rint(steps)) if steps < BOUND else np.int64(0)
    if abs(steps - np.floor(steps) - 0.5) < 1e-9 * (steps + 1):
        scaled = np.rint(raw * QUANTUM)
        quote = scaled / QUANTUM
        if abs(raw - quote) > 2e-15 * raw or abs(scaled) * factor > BOUND:
            return -TIE
        numerator, denominator = np.int64(scaled) * factor, whole * tick
        price, rest = half_even(0, numerator, denominator), 2 * (numerator % denominator) - denominator
        if raw != quote and rest == 0:
            price = numerator // denominator + (raw > quote)
        elif raw != quote and abs(rest) < 1e-14 * numerator:
            return -TIE
    return price if price > 0 else -NOT_POSITIVE


@leaf
def cost(x: tuple[Any, Any, Any], traded: tuple[int, int], notional: int, ts: int) -> Any:
    """Return what an order of (quantity, side) worth so much costs in all, as `simulation.costs` has it.

    `x` is (terms, rates, tiers) of the run.
    """
    (terms, rates, tiers), (quantity, side) = x, traded
    if terms[T_COSTS] == BPS:
        share, of = terms[T_BPS], terms[T_BPS_OF]
        return half_even(notional // of * share, notional % of * share, of)
    row = len(rates) - 1
    while row > 0 and rates[row, 0] > ts:
        row -= 1
    whole, rest = rates[row, 4] * quantity, 0
    if terms[T_COSTS] == IBKR_FIXED:
        whole += min(max(5_000 * quantity, QUANTUM), notional // 100)
    else:
        commission, share = min(max(_tiered(tiers, quantity), 350_000), notional // 100), tiers[-1, 0]
        whole += commission + commission // RATE_DENOMINATOR * share + tiers[-1, 1] * quantity
        rest += commission % RATE_DENOMINATOR * share
    if side < 0:
        whole += min(rates[row, 2] * quantity, rates[row, 3]) + notional // RATE_DENOMINATOR * rates[row, 1]
        rest += notional % RATE_DENOMINATOR * rates[row, 1]
    return half_even(whole, rest, RATE_DENOMINATOR)


@leaf
def _tiered(tiers: Any, quantity: int) -> Any:
    total, done = 0, 0
    for row in range(len(tiers) - 1):
        part = max(min(quantity, tiers[row, 0]) - done, 0)
        total, done = total + tiers[row, 1] * part, done + part
    return total


@leaf
def lots(totals: Any, budget: tuple[Any, int], share: int, value: tuple[int, int]) -> Any:
    """Return floor of share x budget / value, each a product of two, as Decimal with 28 digits finds it.

    Near a whole number float64 does not say; the difference of the products does, even where they overflow, as int64
    wraps. At equality the full size must be a whole number: else its own rounding in Decimal would decide.
    """
    parts = np.gcd(share, STRENGTH)
    share, of = share // parts, STRENGTH // parts
    left, right = float(budget[0]) * budget[1] * share, float(value[0]) * value[1] * of
    near = np.rint(left / right)
    if abs(left / right - near) > 1e-12 * (near + 1):
        return np.int64(np.floor(left / right))
    if left * 4e-12 > BOUND:
        totals[STATUS] = TIE
    found = np.int64(near)
    over = budget[0] * budget[1] * share - found * (value[0] * value[1] * of)
    if over == 0 and of > 1:
        size = np.int64(np.rint(float(budget[0]) * budget[1] / value[0]))
        if budget[0] * budget[1] - size * value[0] != 0:
            totals[STATUS] = TIE
    return found if over >= 0 else found - 1


@leaf
def above(value: int, equity: int, ratio: int, of: int) -> bool:
    """Tell whether value > equity x ratio / of, exactly: near equality by the difference, as int64 wraps."""
    left, right = float(value) * of, float(equity) * ratio
    if abs(left - right) > 1e-12 * (abs(left) + abs(right)):
        return left > right
    return value * of - equity * ratio > 0
