"""What strategies are checked on: the user's bars, and seeded ones on the same grid that provoke what bars may do."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import PRICES, VALUES, Floats, Panel
from robotrader.strategy.contract import ROUNDING

SEED = 7
ROWS, PROVOKED_ROWS = 1_000, 600
"""Newest bars that are checked, and provoked ones: at least; three warm-ups where that is more."""

DRAWS = 7
"""Rows of each kind that are drawn of a panel."""
_MOVE, _GAP, _JUMP, _NOISE = 0.02, 0.005, 0.4, 0.5  # of a bar: deviation, of its open; a jump; of bars that are noise
_TIE = 1.5 * 10.0**-ROUNDING


def checked(panel: Panel, rows: int, warm_up: int) -> Panel:
    """Return the panel's newest rows."""
    return owned(panel.rows(max(len(panel) - max(rows, 3 * warm_up), 0), len(panel)))


def owned(panel: Panel) -> Panel:
    """Return a copy with arrays of its own: nothing of the rows around it can be reached or changed."""
    arrays: dict[str, Any] = {name: getattr(panel, name).copy() for name in ("opened", "ts", *VALUES)}
    return replace(panel, **arrays)


def as_view(panel: Panel) -> Panel:
    """Return equal bars as views of larger arrays: the cells around them hold other numbers."""
    shape = (len(panel) + 8, 2 * len(panel.instruments))
    views: dict[str, Any] = {name: np.full(shape, 50.0)[4:-4, ::2] for name in VALUES}
    for name, view in views.items():
        view[:] = getattr(panel, name)
    return replace(panel, **views)


def provoked(panel: Panel) -> Panel:
    """Return seeded bars: listed late, missing for up to ten rows, standing still for 25, jumping by 40 %."""
    draw, n, k = np.random.default_rng(SEED), len(panel), len(panel.instruments)
    moves: Floats = 1 + _MOVE * draw.standard_normal((n, k)).clip(-4, 4)
    jumps = draw.random((n, k)) < 0.01
    moves[jumps] *= draw.choice([1 - _JUMP, 1 + _JUMP], jumps.sum())
    for column, start in enumerate(draw.integers(n // 4, max(n - 25, n // 4 + 1), k)):
        moves[start : start + 25, column] = 1
    walk = 50 * np.cumprod(moves, axis=0, dtype=np.float64)
    before = np.concatenate((walk[:1], walk[:-1]))
    made = _bars(panel, np.where(moves == 1, walk, before * (1 + _GAP * draw.standard_normal((n, k)))), walk, draw)
    for column in range(k):
        missing = np.zeros(n, dtype=np.bool_)
        missing[: n // 5 if column == k - 1 else 0] = True
        for start in draw.integers(0, n, max(n // 100, 1)):
            missing[start : start + draw.integers(1, 11)] = True
        for name in VALUES:
            getattr(made, name)[missing, column] = np.nan
    return made


def noise_after(panel: Panel, row: int) -> Panel:
    """Return the panel with all bars after `row` replaced by seeded ones that know nothing of each other."""
    draw, out = np.random.default_rng((SEED, row)), owned(panel)
    level = np.nan_to_num(panel.close[row], nan=50.0)
    opened, closed = (level * np.exp(_NOISE * draw.standard_normal(panel.close.shape)) for _ in range(2))
    made = _bars(panel, opened, closed, draw)
    for name in VALUES:
        getattr(out, name)[row + 1 :] = getattr(made, name)[row + 1 :]
    return out


def _bars(panel: Panel, opened: Floats, closed: Floats, draw: np.random.Generator) -> Panel:
    """Return bars in cents between these opens and closes; one that stood still has no range."""
    low, high = np.minimum(opened, closed), np.maximum(opened, closed)
    reach = np.where(opened == closed, 0, _GAP * np.abs(draw.standard_normal(opened.shape)))
    cells = (opened, high * (1 + reach), low / (1 + reach), closed)
    prices = {name: np.maximum(cell.round(2), 0.01) for name, cell in zip(PRICES, cells, strict=True)}
    return replace(panel, **prices, volume=draw.integers(1, 1_000_000, opened.shape).astype(np.float64))


def drawn_rows(panel: Panel, strengths: Floats, warm_up: int) -> list[int]:
    """Return the first four rows, and then of those after warm-up: four, a run, changes, views, missing bars, any."""
    draw, first = np.random.default_rng(SEED), min(warm_up, len(panel) // 2)
    seen = ~np.isnan(strengths)
    changed = np.zeros(len(panel), np.bool_)
    changed[1:] = ((strengths[1:] != strengths[:-1]) & seen[1:]).any(axis=1)
    start = int(draw.integers(first, len(panel)))
    chosen = {*range(4), *range(first, first + 4), *range(start, start + DRAWS)}
    missing, anything = np.isnan(panel.close).any(axis=1), np.ones(len(panel), np.bool_)
    for wanted in (changed, seen.any(axis=1), missing, anything):
        candidates = first + np.flatnonzero(np.asarray(wanted)[first:])
        chosen |= set(draw.choice(candidates, min(DRAWS, len(candidates)), replace=False).tolist())
    return sorted(row for row in chosen if row < len(panel))


def differences(expected: Floats, found: Floats) -> tuple[NDArray[np.bool_], int]:
    """Return which cells differ, and how many only by a tie, which is the last decimal of a strength."""
    views = ~np.isnan(expected), ~np.isnan(found)
    apart = np.where(views[0] & views[1], np.abs(expected - found), 0.0)
    return (views[0] != views[1]) | (apart > _TIE), int(np.count_nonzero((apart > 0) & (apart <= _TIE)))
