"""What every library strategy earned on public real data, and what is left of it; `--write` makes docs/results.md.

The verdicts are computed from the numbers. Every strategy is in, with its default parameters, whatever it shows.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robotrader import api, bootstrap
from robotrader.data.panel import Floats, Times
from robotrader.research.metrics import SESSIONS_PER_YEAR, ratios
from robotrader.research.recorded import RecordedRun, record_backtest
from robotrader.research.significance import bootstrap_intervals
from robotrader.research.tearsheet_trades import costs, scaled
from robotrader.research.trials import Likeness, daily_returns, deflate
from robotrader.strategy.loading import LIBRARY

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results.md"
SHARED = ROOT.parent / "shared" / "data"
CAPITAL = 1_000_000
HOLD, GOOD = "buy and hold", "passes every test here"
CONFIDENCE = 0.95
SEED, DRAWS = 7, 1_000


class Row(NamedTuple):
    """What is said of one strategy; Sharpe ratios are annual, `low` and `high` the ends of their 90 % interval.

    `turnover` and `cost` are a year's, as shares of the average equity; `hold` is the Sharpe ratio of buy and hold.
    """

    name: str
    total: float
    sharpe: float
    low: float
    high: float
    drawdown: float
    turnover: float
    cost: float
    doubled: float
    first: float
    second: float
    deflated: float
    hold: float


TESTS: dict[str, Callable[[Row], bool]] = {
    "worse than buy and hold": lambda row: not row.sharpe > row.hold,
    "its interval reaches zero": lambda row: not row.low > 0,
    "does not survive deflation": lambda row: not row.deflated >= CONFIDENCE,
    "does not survive twice the costs": lambda row: not row.doubled > 0,
    "earned in one half only": lambda row: not (row.first > 0 and row.second > 0),
}
"""What a strategy fails, in words; a figure that nobody knows fails, too."""


def verdict(row: Row) -> str:
    """Say what the numbers say."""
    if not row.sharpe > 0:
        return "loses money" if row.sharpe <= 0 else "did not trade"
    return "; ".join(words for words, fails in TESTS.items() if fails(row)) or GOOD


class Run(NamedTuple):
    """A backtest with its daily returns, and those of the benchmark."""

    record: RecordedRun
    days: Times
    returns: Floats
    hold: Floats


def play(name: str, data: api.Data) -> Run:
    """Run a strategy with its default parameters, an equal part of the equity for each instrument."""
    size = f"percent:{1 / len(data.panel.ids):.4f}"
    result = api.backtest(name, data, cash=CAPITAL, sizer=size)
    record = record_backtest(result.metrics, data.panel, result.raw, configs=[result.config], actions=data.actions)
    days, returns = daily_returns(data.panel.ts, result.raw.equity, CAPITAL)
    held = np.concatenate(([CAPITAL], record.daily["benchmark"]))
    return Run(record, days, returns, held[1:] / held[:-1] - 1)


def sharpe(returns: Floats) -> float:
    """Return the annual Sharpe ratio, NaN where nothing moved."""
    return figure(returns, "sharpe")


def figure(returns: Floats, name: str) -> float:
    """Return a ratio of daily returns."""
    curve: Floats = np.cumprod(np.concatenate(([1.0], 1 + returns)), dtype=np.float64)
    return float(ratios(curve[:, None])[name][0])


def row_of(name: str, run: Run, trials: int, alike: Likeness) -> Row:
    """Measure a run; it is one of so many trials."""
    facts, years, half = run.record.facts, len(run.returns) / SESSIONS_PER_YEAR, len(run.returns) // 2
    paid = costs(run.record)
    low, high = bootstrap_intervals(run.returns, seed=SEED, draws=DRAWS).sharpe or (np.nan, np.nan)
    deflated = deflate(run.returns, trials, alike).deflated_sharpe
    return Row(
        name=name, total=facts["total_return"], sharpe=sharpe(run.returns), low=low, high=high,
        drawdown=facts["max_drawdown"], turnover=facts["turnover"] / years,
        cost=float(paid.total or 0) / float(run.record.equity.mean()) / years,
        doubled=float(scaled(run.record, paid, [2])["sharpe"][0]),
        first=sharpe(run.returns[:half]), second=sharpe(run.returns[half:]),
        deflated=np.nan if deflated is None else deflated, hold=sharpe(run.hold),
    )  # fmt: skip


def rows_of(sets: Sequence[api.Data]) -> list[list[Row]]:
    """Run every library strategy on every set; each run is a trial of the one search for a strategy that works."""
    runs = [{name: play(name, data) for name in sorted(LIBRARY)} for data in sets]
    alike, trials = Likeness(), sum(len(found) for found in runs)
    for run in (run for found in runs for run in found.values() if np.ptp(run.returns) > 0):
        alike = alike.with_returns(run.days, run.returns)
    return [
        [*(row_of(name, run, trials, alike) for name, run in found.items()), _hold(next(iter(found.values())).hold)]
        for found in runs
    ]


def _hold(returns: Floats) -> Row:
    low, high = bootstrap_intervals(returns, seed=SEED, draws=DRAWS).sharpe or (np.nan, np.nan)
    half, said = len(returns) // 2, sharpe(returns)
    total, drawdown = figure(returns, "total_return"), figure(returns, "max_drawdown")
    return Row(HOLD, total, said, low, high, drawdown, turnover=0, cost=0, doubled=said,
               first=sharpe(returns[:half]), second=sharpe(returns[half:]), deflated=np.nan, hold=said)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, buy and hold without a verdict."""
    head = ("strategy", "total return", "Sharpe (90 % interval)", "max drawdown", "turnover a year", "costs a year",
            "Sharpe at twice the costs", "Sharpe, first and second half", "deflated Sharpe", "verdict")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 2) + "---|"]
    for r in rows:
        held = r.name == HOLD
        cells = (
            r.name, f"{r.total:.0%}", f"{r.sharpe:.2f} ({r.low:.2f} to {r.high:.2f})", f"{r.drawdown:.0%}",
            f"{r.turnover:.1f}", f"{r.cost:.1%}", f"{r.doubled:.2f}", f"{r.first:.2f}, {r.second:.2f}",
            "–" if held else f"{r.deflated:.2f}", "the benchmark" if held else verdict(r),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines).replace("-0%", "0%").replace("-0.00", "0.00")


def passing(rows: Sequence[Row]) -> str:
    """Say in one sentence what a table comes to."""
    judged = [row for row in rows if row.name != HOLD]
    good = [row.name for row in judged if verdict(row) == GOOD]
    named = f": {', '.join(good)}" if good else ""
    return (
        f"Of {len(judged)} strategies {len(good) or 'none'} {'pass' if len(good) > 1 else 'passes'} every test{named}."
    )


def shared(state: Path) -> Iterator[api.Data]:
    """Yield the daily bars of the shared folder, raw and with their corporate actions, where there are some."""
    if (files := sorted((SHARED / "us_daily").glob("*.csv.gz"))) and (
        file := SHARED / "corporate_actions.csv.gz"
    ).exists():
        bootstrap.import_actions(file, state)
        bootstrap.import_data(files, state, symbol=None, spec=None, who="results", progress=lambda _bytes: None)
        yield api.load("lake", state=state)


HEAD = """\
# Results of the library

Written by `make results ARGS=--write`. Every strategy of the library is here, with its default parameters, after costs
and whatever it shows; the verdicts are computed. Read them before you trust any of these strategies with money.

**How.** One million of capital, and an equal part of the equity for each instrument that a strategy wants whole. Orders
fill at the next open; commission (IBKR Pro Fixed), half a spread, impact and borrow fees are on at their defaults
([what is assumed](guide/backtesting.md#what-is-assumed)). Buy and hold is the same capital in equal parts from each
first close, without costs. Cash earns nothing, which speaks against strategies that are often out.

**What a verdict tests.** A Sharpe ratio above that of buy and hold; a 90 % interval (stationary block bootstrap,
{draws:,} draws) above zero; a deflated Sharpe ratio of at least {confidence:.2f}, given that all runs of this page are
trials of one search; a positive Sharpe ratio at twice the costs; a positive one in each half of the time.
`{good}` does not mean that a strategy will earn: only that this data does not speak against it.

**What flatters them.** The instruments were chosen when it was known what became of them: none went bankrupt, all grew
to be, or stayed, among the largest (survivorship). Buy and hold is flattered most. The rules and their usual parameters
come from books and papers that were written after much of this data, after trials that nobody counted: the true number
is far above {trials}, and every deflated Sharpe ratio here is too high.
"""


def page(sets: Sequence[api.Data], rows: Sequence[Sequence[Row]]) -> str:
    """Return the page."""
    runs = sum(len(found) - 1 for found in rows)
    parts = [HEAD.format(draws=DRAWS, confidence=CONFIDENCE, good=GOOD, trials=runs)]
    for data, found in zip(sets, rows, strict=True):
        first, last = np.array([data.panel.ts[0], data.panel.ts[-1]], "datetime64[ns]").astype("datetime64[D]")
        symbols = ", ".join(i.symbol for i in data.panel.instruments)
        note = (
            "raw prices, splits and dividends booked; sample data of QuantConnect's Lean, not shipped"
            if (data.chosen["name"] == "lake")
            else f"`{data.chosen['name']}`: {data.note}"
        )
        title = f"{symbols}, {first} to {last}"
        parts.append(f"\n## {title}\n\n{note[0].upper()}{note[1:]}.\n\n{table(found)}\n\n{passing(found)}\n")
    return "".join(parts)


def main() -> int:
    """Run everything, print the tables and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/results.md")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="robotrader-results-") as folder:
        sets = [api.load("sample:all", state=folder), *shared(Path(folder))]
        rows = rows_of(sets)
    found = page(sets, rows)
    print(found, file=sys.stderr)
    if options.write:
        PAGE.write_text(found, encoding="utf-8")
    judged = sum(len(part) - 1 for part in rows)
    print(json.dumps({"target": "results", "runs": judged, "sets": len(rows),
                      "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
