"""Sweeps, walk-forwards and Monte Carlo as rows, and as pages of HTML without scripts or outside references."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robotrader.research import charts
from robotrader.research.charts import Series, quantity
from robotrader.research.montecarlo import QUANTILES, SHOWN, Scenario
from robotrader.research.search import Space
from robotrader.research.sweep import Swept, Tried
from robotrader.research.walkforward import Walked

_MOST_MAPS, _MOST_ROWS = 6, 25
_PERCENT = frozenset({"total_return", "cagr", "max_drawdown", "volatility"})


class Table(NamedTuple):
    """Rows of text under columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Page(NamedTuple):
    """What a page shows, warnings first; charts are SVG."""

    title: str
    subtitle: str
    cautions: Sequence[str]
    charts: Sequence[str]
    tables: Sequence[Table]


def write_page(page: Page, file: Path) -> None:
    """Write the page; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only where a page is made
    from markupsafe import Markup  # noqa: PLC0415

    made = Environment(loader=PackageLoader("robotrader.research"), autoescape=True, undefined=StrictUndefined)
    drawn = [Markup(chart) for chart in page.charts]  # noqa: S704 - `charts` escapes its texts
    text = made.get_template("study.html").render(page=page, charts=drawn, theme=Markup(charts.THEME))  # noqa: S704 - ours
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def write_rows(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write rows as Parquet, making its folder if need be."""
    import polars as pl  # noqa: PLC0415 - only where files are written

    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)


def row_of(tried: Tried) -> dict[str, Any]:
    """Return a set of parameters as a row: the trial's number, parameters, ratios (None where there is none), fills."""
    found = tried.outcomes[0] if tried.outcomes else None
    said = {name: value if np.isfinite(value) else None for name, value in found.figures.items()} if found else {}
    return {
        "trial": tried.trial, **tried.parameters,
        **{name: said.get(name) for name in (*SHOWN, "sortino", "volatility")},
        "fills": found.fills if found else None, "engine": found.engine if found else None,
        "error": tried.error or None,
    }  # fmt: skip


def sweep_page(found: Swept, space: Space, metric: str, title: str) -> Page:
    """Return a sweep's page: its warnings, a map of each pair of parameters, the best sets."""
    rows = sorted(map(row_of, found.tried), key=lambda r: -np.inf if r[metric] is None else r[metric], reverse=True)
    refused, failed = len(found.tried) - found.ran, sum(bool(t.error) for t in found.tried if t.trial is not None)
    luck = (
        f"The best of {found.ran} sets is the luckiest of them. Deflated Sharpe ratio: {number(found.deflated_sharpe)} "
        "(the probability that it is more than luck, counting every trial of this strategy ever made)."
    )
    fit = (
        f"Probability of overfitting: {number(found.pbo)} (how often the best of one half of the time is below the "
        "median in the other)."
    )
    cautions = [luck, fit, f"{refused} sets were refused by the strategy, {failed} failed."]
    columns = ("trial", *space, metric, *(m for m in SHOWN if m != metric), "fills")
    best = [[_cell(name, r[name]) for name in columns] for r in rows[:_MOST_ROWS]]
    return Page(title, f"{found.ran} sets in {found.seconds:.1f} s", cautions, maps(rows, space, metric),
                [Table(f"The best {len(best)} by {metric}", columns, best)])  # fmt: skip


def maps(rows: Sequence[Mapping[str, Any]], space: Space, metric: str) -> list[str]:
    """Draw the metric over each pair of parameters, the best of whatever the others were; bars for a single one."""
    names, unit = [name for name, values in space.items() if len(values) > 1], "%" if metric in _PERCENT else ""
    if len(names) == 1:
        values = _best(rows, space, names, metric)
        labels = [str(v) for v in space[names[0]]]
        return [charts.bars(labels, values.tolist(), title=f"{metric} by {names[0]}", unit=unit)]
    title = f"{metric}, best of the others" if len(names) > 2 else metric
    return [
        charts.heat_map(space[a], space[b], _best(rows, space, (a, b), metric), row_label=a, column_label=b,
                        title=title, unit=unit)
        for a, b in list(combinations(names, 2))[:_MOST_MAPS]
    ]  # fmt: skip


def _best(rows: Sequence[Mapping[str, Any]], space: Space, names: Sequence[str], metric: str) -> Any:
    where = [{value: k for k, value in enumerate(space[name])} for name in names]
    out = np.full([len(w) for w in where], np.nan)
    for row in rows:
        at = tuple(w[row[name]] for w, name in zip(where, names, strict=True))
        out[at] = np.fmax(out[at], np.nan if row[metric] is None else row[metric])
    return out


def walk_page(found: Walked, metric: str, title: str) -> Page:
    """Return a walk-forward's page: what was lost outside the sample, the joined test days, every fold."""
    lost, stable = number(found.degradation, percent=True), number(found.parameter_stability)
    seen = f"Sharpe ratio where it was chosen {number(found.is_sharpe)}, in the tests {number(found.oos_sharpe)}"
    known = "Not counted in training: the warm-up, and the last days whose position was changed only after the window."
    cautions = [f"{seen}; lost: {lost}. Stability of the choice: {stable}.", known]
    curve = Series("tests", found.ts, np.cumprod(1 + found.returns) - 1)
    drawn = [charts.line([curve], title="Return of the joined tests", unit="%")]
    labels = [str(f["fold"]) for f in found.folds]
    for side, text in (("is", "training"), ("oos", "test")):
        values = [np.nan if f[side][metric] is None else f[side][metric] for f in found.folds]
        drawn.append(charts.bars(labels, values, title=f"{metric} by fold, {text}"))
    if found.paths:
        low, middle, high = (number(float(q)) for q in np.nanquantile(found.paths, [0.05, 0.5, 0.95]))
        paths = f"{len(found.paths)} paths: Sharpe ratio {middle}, nine in ten between {low} and {high}."
        cautions.append(f"Combinatorial cross-validation, {paths}")
        drawn.append(charts.histogram(np.array(found.paths), title="Sharpe ratio of the paths", bins=11))
    columns = ("fold", "training", "test", "chosen", "purged", "in training", "in test", "return", "fills")
    table = Table(f"Folds, by {metric}", columns, [_fold_row(f, metric) for f in found.folds])
    return Page(title, f"{len(found.folds)} folds, {found.sets} sets", cautions, drawn, [table])


def _fold_row(fold: Mapping[str, Any], metric: str) -> list[str]:
    spans = [f"{day(fold[f'{part}_first'])} – {day(fold[f'{part}_last'])}" for part in ("train", "test")]
    chosen = " ".join(f"{name}={value}" for name, value in (fold["parameters"] or {"nothing": "chosen"}).items())
    return [
        str(fold["fold"]), *spans, chosen, str(fold["purged"]), _cell(metric, fold["is"][metric]),
        _cell(metric, fold["oos"][metric]), _cell("total_return", fold["oos"]["total_return"]), str(fold["fills"]),
    ]  # fmt: skip


def montecarlo_page(found: Sequence[Scenario], base: Mapping[str, float | None], title: str) -> Page:
    """Return a Monte Carlo's page: intervals of each ratio by scenario, and the numbers."""
    drawn = []
    for name in ("sharpe", "cagr", "max_drawdown"):
        there = [s for s in found if name in s.quantiles]
        low, middle, high = ([s.quantiles[name][q] for s in there] for q in QUANTILES)
        unit, labels = "%" if name in _PERCENT else "", [s.name for s in there]
        drawn.append(charts.intervals(labels, low, middle, high, title=f"{name}: 5 %, median, 95 %", unit=unit))
    tables = [
        Table(name, ("scenario", "runs", *QUANTILES), [
            [s.name, str(s.runs), *(_cell(name, s.quantiles[name][q]) for q in QUANTILES)]
            for s in found if name in s.quantiles], note=f"as it was: {_cell(name, base.get(name))}")
        for name in SHOWN
    ]  # fmt: skip
    notes = Table("What was changed", ("scenario", "change", "runs that lost"),
                  [[s.name, s.note, _cell("cagr", s.losing)] for s in found])  # fmt: skip
    cautions = ["Every scenario starts from the same result: what was chosen by looking at it is in all of them."]
    return Page(title, "How much of the result is luck of order, days, parameters, timing, costs and start",
                cautions, drawn, [*tables, notes])  # fmt: skip


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return number(value, percent=name in _PERCENT) if isinstance(value, float) else str(value)


def number(value: float | None, *, percent: bool = False) -> str:
    """Write a ratio to three digits; unknown is a dash."""
    return "–" if value is None else quantity(value, "%" if percent else "")


def day(ts: int) -> str:
    """Return the UTC date of ns."""
    return datetime.fromtimestamp(ts // 1_000_000_000, tz=UTC).date().isoformat()
