"""How jobs come to a foreign engine, and what it did goes back: files, by NumPy and the standard library only."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VALUES = ("open", "high", "low", "close", "volume")
Floats = NDArray[np.float64]
Fills = list[tuple[int, int, int, float]]
"""Row, column, signed units, price."""


class Job(NamedTuple):
    """What to play.

    `wants` is NaN where nothing is decided, shape (n_bars, n_instruments): a signed target at the end of the bar, in
    whole units or, with `shares`, as a share of the equity. `averages` (fast, slow): decide by own averages instead.
    `fill` is next_open, this_close or next_close, `fee` a share of the traded value.
    """

    key: str
    fill: str
    cash: float
    fee: float
    shares: bool
    averages: tuple[int, int] | None
    units: int
    symbols: list[str]
    ts: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    wants: Floats

    def crossed(self, fast: Floats, slow: Floats) -> Floats:
        """Return the wants of two averages, each (n_bars,): `units` where the fast one is above."""
        want = np.where(fast > slow, float(self.units), 0.0)
        want[np.isnan(slow)] = np.nan
        changed = np.diff(want, prepend=np.nan) != 0  # NaN is unlike itself: the first view is a change
        return np.where(changed, want, np.nan).reshape(-1, 1)

    def when_filled(self, wants: Floats) -> Floats:
        """Return the wants at the rows of their fills."""
        if self.fill == "this_close":
            return wants
        return np.vstack((np.full((1, wants.shape[1]), np.nan), wants[:-1]))


def write_job(folder: Path, job: Job) -> None:
    """Write a job as one file."""
    arrays = {name: value for name, value in job._asdict().items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in job._asdict().items() if name not in arrays}
    np.savez(folder / f"{job.key}.npz", head=np.array(json.dumps(rest)), **arrays)  # type: ignore[arg-type]


def read_job(path: Path) -> Job:
    """Read a job."""
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files if name != "head"}
        return Job(**json.loads(str(found["head"])), **arrays)


def merged(fills: Fills) -> Fills:
    """Return the fills in their one order; those at one row, instrument and price are one."""
    total: dict[tuple[int, int, float], int] = {}
    for row, column, units, price in fills:
        key = (int(row), int(column), round(float(price), 6))
        total[key] = total.get(key, 0) + round(units)
    return sorted((row, column, units, price) for (row, column, price), units in total.items() if units)


def serve(play: Callable[[Job], tuple[Fills, float]]) -> None:
    """Play every job of the folder that is the script's argument, and write its answer beside it."""
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        fills, equity = play(read_job(path))
        answer: dict[str, Any] = {"fills": merged(fills), "equity": float(equity)}
        path.with_suffix(".json").write_text(json.dumps(answer), encoding="utf-8")
