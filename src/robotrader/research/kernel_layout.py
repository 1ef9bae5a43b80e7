"""How the compiled kernel holds a backtest: few flat arrays of numbers, as every further one costs at each access.

Money is int64 in `model.MONEY` quanta, prices are int64 in ticks, strengths int64 in billionths. A slot is one
instrument of one strategy, an owner a strategy, a column an instrument of the panel.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import platformdirs


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let an import not find modules that it would load only to see whether they are there."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # None: there is no such module
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


with _absent("coverage", "scipy"):  # 0.4 s of every start
    import numba
    from numba.np import arraymath

arraymath._HAVE_BLAS = True  # noqa: SLF001 - asked for when it is used: a user's own compiled code may need it

P = ParamSpec("P")
R = TypeVar("R")
_numba: Any = numba  # its types know nothing of the options below

QUANTUM = 1_000_000
"""Quanta of money in one unit of currency, and steps of a quoted price (six decimals) in 1.0."""
STRENGTH = 1_000_000_000
RATE_DENOMINATOR = 100_000_000
BOUND = 4e18
"""What int64 holds, with room for a sum."""
NO_LIMIT = 1 << 62

FIXED, NOTIONAL, EQUITY, ATR = range(4)
BPS, IBKR_FIXED, IBKR_TIERED = range(3)
NEXT_OPEN, THIS_CLOSE, NEXT_CLOSE = range(3)
GOOD, FULL, TIE, HUGE, UNSEEN, NOT_POSITIVE, CROSSED, PARTIAL = range(8)
MARKET, STOP, LIMIT = range(3)
PERCENT, OF_ATR = 1, 2
ENDED, AUTHORIZED, WORKING = range(3)
FILLED, OVER, RESIZED, ACCEPTED, DECIDE, LOOK = range(6)
"""News of an order (of a slot: it decides, or looks at its protection), in the row NEWS_FIELDS."""
SUBMIT, PLACE, CANCEL, REPLACE, DENY = range(5)
"""Commands, in the row WORK_FIELDS."""

# fields of slots, columns and owners (field first), of orders and fills (field last), and the single numbers
SLOT_FIELDS = (
    S_COLUMN, S_OWNER, S_HELD, S_WORKING, S_BEFORE, S_AGAIN, S_FEES, S_SINCE, S_LONG, S_ENDED,
) = range(10)  # fmt: skip
COLUMN_FIELDS = C_TICK, C_UNIT, C_LOT, C_ALLOWED, C_HELD, C_BUYS, C_SELLS, C_HEAD, C_TAIL = range(9)
OWNER_FIELDS = (
    W_SIZER, W_NUMERATOR, W_DENOMINATOR, W_RESIZE, W_CASH, W_EQUITY, W_EQUITY_ROW,
    W_STOP, W_STOP_SHARE, W_STOP_OF, W_TARGET, W_TARGET_SHARE, W_TARGET_OF, W_TRAILS, W_AGE,
) = range(15)  # fmt: skip
ORDER_FIELDS = O_ROW, O_SLOT, O_SIZE, O_DENIED, O_LEAVES, O_NOTIONAL, O_PAID, O_NEXT = range(8)
FILL_FIELDS = F_ORDER, F_ROW, F_QUANTITY, F_PRICE, F_TS, F_COMMISSION = range(6)
LINK_FIELDS = (
    L_KIND, L_SIZE, L_PRICE, L_TS, L_ATTEMPT, L_PARENT, L_GROUP, L_STATE, L_ASKED, L_CANCELING, L_SPENT, L_MARK,
    L_SENT, L_PLACED, L_RESTED, L_QUEUED, L_FILLED, L_TOLD, L_AT, L_ASKED_AT,
) = range(20)  # fmt: skip
"""What an order has beside ORDER_FIELDS where strategies have stops, targets or time exits; SIZE and PRICE are what it
was sent with, AT where it stands, ASKED and ASKED_AT quantity and price that were asked for, TOLD a new quantity."""
NEWS_FIELDS = N_KIND, N_SUBJECT, N_TS = range(3)
WORK_FIELDS = K_KIND, K_ORDER, K_TS = range(3)
TOTAL_FIELDS = (
    ORDERS, FILLS, RESTING, AGAIN, SLIPPAGE, STATUS, BATCH, CHARGED, BORROWED, NEWS, WORK, SEEN, SENT, RESTED, EXPOSED,
) = range(15)  # fmt: skip
TERM_FIELDS = (
    T_FILL, T_DAILY, T_SPREAD, T_SPREAD_OF, T_COSTS, T_BPS, T_BPS_OF, T_MAX_QUANTITY, T_MAX_NOTIONAL, T_ORDER_EQUITY,
    T_ORDER_EQUITY_OF, T_POSITION_EQUITY, T_POSITION_EQUITY_OF, T_MESSAGES, T_ONE, T_BURSTS, T_DUPLICATES, T_MAX_AGE,
    T_COLLAR, T_BORROW, T_BORROW_OF,
) = range(21)  # fmt: skip
"""Ratios are a numerator and what it is of; limits that are off are -1. Ages in ns."""
SHARES = PARTICIPATION, ADV_RATIO = range(2)
"""Shares of a volume, float64; -1 is off."""
QUANTITY, VALUE, COLLAR, _FAT_FINGER, GRID, DUPLICATE, ALLOWED, RATE, POSITION, _STATE = (1 << n for n in range(10))
"""Bits of the gate's checks, in the order of `risk.checks.CHECKS`."""


_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}
"""No reference counts: the kernel makes no arrays, and counting those that it is given took most of the time."""


class Run(NamedTuple):
    """One backtest: bars of shape (n,) and (n, columns), strengths (n, slots), and what changes.

    `impact` is of shape (n, columns) as in `simulation.impact`, or empty; `nights` since the bar before, and the fees
    for what is borrowed over them, in quanta, are of shape (n,), or empty; so are the rows of the last three.

    `rates` are rows of: in force since (ns UTC), SEC fee in RATE_DENOMINATOR, TAF, its maximum and CAT in quanta;
    `tiers` of: up to so many units, quanta a unit; their last row is what a tiered plan passes on: a share of the
    commission in RATE_DENOMINATOR, quanta a unit.
    """

    opened: Any
    ts: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    strengths: Any
    slots: Any
    columns: Any
    owners: Any
    orders: Any
    fills: Any
    totals: Any
    terms: Any
    shares: Any
    rates: Any
    tiers: Any
    impact: Any
    nights: Any
    fees: Any
    links: Any
    news: Any
    work: Any


class Desk(NamedTuple):
    """What of a run changes with its orders: each array more that a function is given takes time to compile."""

    slots: Any
    columns: Any
    owners: Any
    orders: Any
    links: Any
    news: Any
    work: Any
    totals: Any


def _cache() -> Path:
    """Return where compiled code is kept: beside the source, or in the user's cache where that is read-only.

    The name holds a hash of all kernel modules: Numba itself only looks at the one that a function is in.
    """
    folder = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("kernel*.py")))
    home = folder / "__pycache__" if os.access(folder, os.W_OK) else platformdirs.user_cache_path("robotrader")
    return home / f"kernel-{hashlib.sha256(sources).hexdigest()[:12]}"


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call of all, and keep the code on disk."""
    before, _numba.config.CACHE_DIR = _numba.config.CACHE_DIR, str(_cache())
    try:
        return cast(Callable[P, R], _numba.njit(cache=True, **_OPTIONS)(function))
    finally:
        _numba.config.CACHE_DIR = before


def leaf(function: Callable[P, R]) -> Callable[P, R]:
    """Compile what only compiled code calls."""
    return cast(Callable[P, R], _numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Make part of the compiled caller: to hand over so many arrays would cost more than the work."""
    return cast(Callable[P, R], _numba.njit(inline="always")(function))
