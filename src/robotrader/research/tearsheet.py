"""A tearsheet: what a recorded run says, and first of all what it does not prove.

`tearsheet` makes the value (the JSON twin); `tearsheet_page` makes the page from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats
from robotrader.research import metrics
from robotrader.research.charts import Series, thinned
from robotrader.research.recorded import RecordedRun
from robotrader.research.significance import bootstrap_intervals
from robotrader.research.tearsheet_trades import RoundTrip, attribution, costs, round_trips, scaled

ROLLING = 126
_DRAWS, _SEED = 400, 7
_ENOUGH_DAYS, _ENOUGH_TRIPS, _MOST_TRIPS, _DAILY_DAYS = 252, 30, 1_000, 60
_TIMES = (0, 1, 2, 3)
_IDLE = 0.05
_FIGURES = (("Figure", "text"), ("unit", "text"), ("Run", "row"))
_NS_PER_DAY = 86_400_000_000_000


class Caution(Struct, frozen=True, kw_only=True):
    """A reason to doubt: `level` is `stop` (the numbers prove nothing), `warn` or `note`."""

    level: str
    text: str


class Table(Struct, frozen=True, kw_only=True):
    """Named columns with their units (`%`, `money`, `count`, `number`, `text`); a None is unknown, `why` says why."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    why: str = ""


class Curve(Struct, frozen=True, kw_only=True):
    """A line over time, ns UTC."""

    name: str
    ts: tuple[int, ...]
    values: tuple[float | None, ...]

    @property
    def series(self) -> Series:
        """Return the line as charts take it."""
        return Series(self.name, np.array(self.ts, dtype=np.int64), np.array(self.values, dtype=np.float64))


class Tearsheet(Struct, frozen=True, kw_only=True):
    """All that the page shows; `returns` are daily, `sections` keyed by what they are about."""

    schema_version: int = 1
    run_id: str
    title: str
    kind: str
    first: str
    last: str
    sessions: int
    cautions: tuple[Caution, ...]
    headline: Table
    sections: dict[str, Table]
    curves: dict[str, Curve]
    returns: tuple[float, ...]
    definitions: dict[str, str]
    facts: dict[str, str]


DEFINITIONS = {
    "Total return": "final equity over starting capital, minus 1; after all costs",
    "CAGR": "the yearly growth that gives the total return, on 252 sessions a year",
    "Sharpe": "mean over standard deviation of daily returns × √252; no risk-free rate",
    "Sortino": "mean of daily returns over the root mean square of the negative ones × √252",
    "Volatility": "standard deviation of daily returns × √252",
    "Max drawdown": "deepest fall of daily equity from its highest before, capital included",
    "Calmar": "CAGR over the absolute maximum drawdown",
    "Beta": "slope of the daily returns on those of the benchmark",
    "Buy and hold": "the same capital in equal parts, in each instrument of the universe from its first close to the "
    "end; no costs, dividends only where corporate actions are known",
    "90 % interval": f"middle 90 % of {_DRAWS} stationary block bootstraps of the daily returns, fixed seed",
    "Deflated Sharpe": "probability that the Sharpe ratio is above what the best of all trials made would show by luck",
    "Value at risk, expected shortfall": "5 % quantile of daily returns, and the mean of the returns up to it",
    "Round trip": "units bought and sold again, first in, first out, by strategy and instrument; after commissions",
    "Turnover": "traded value over average equity",
}


def tearsheet(run: RecordedRun, *, title: str | None = None) -> Tearsheet:
    """Return what a run says; a run without fills or of one day is a run too."""
    capital, daily = float(run.record.capital), run.daily
    curve = np.concatenate(([capital], daily["equity"]))
    returns = curve[1:] / curve[:-1] - 1
    trips = round_trips(run)
    days = _days(daily["ts"])
    return Tearsheet(
        run_id=str(run.facts.get("run_id", "")), title=title or str(run.facts.get("strategy", "")),
        kind=str(run.facts.get("kind", "backtest")), first=days[0] if days else "", last=days[-1] if days else "",
        sessions=len(days), cautions=tuple(_cautions(run, len(returns), trips)),
        headline=_headline(run, curve, returns), sections=dict(_sections(run, curve, returns, trips)),
        curves={name: _thin(s) for name, s in _curves(run, curve, returns)}, returns=tuple(returns.tolist()),
        definitions=DEFINITIONS, facts=_provenance(run),
    )  # fmt: skip


def as_json(sheet: Tearsheet) -> bytes:
    """Return the JSON twin; money as text."""
    return msgspec.json.encode(sheet)


def _cautions(run: RecordedRun, sessions: int, trips: Sequence[RoundTrip]) -> Iterator[Caution]:
    """Yield what speaks against believing the numbers, worst first."""
    yield from sorted((Caution(level=level, text=text) for level, text in
                       (*_sample(run, sessions, len(trips)), *_selection(run), *_ease(run))),
                      key=lambda c: ("stop", "warn", "note").index(c.level))  # fmt: skip


def _sample(run: RecordedRun, sessions: int, trips: int) -> Iterator[tuple[str, str]]:
    if not run.fills:
        yield "stop", "No fill: nothing was traded, so there is nothing to judge."
    elif trips < _ENOUGH_TRIPS:
        yield "stop", f"Small sample: below {_ENOUGH_TRIPS} round trips hit rate and payoff are chance; found {trips}."
    if sessions < _ENOUGH_DAYS:
        yield "stop", f"Short history: {sessions} sessions, less than one year. Yearly figures are extrapolated."
    years, needed = sessions / metrics.SESSIONS_PER_YEAR, run.facts.get("minimum_backtest_years")
    if needed is not None and years < needed:
        yield "stop", f"{years:.1f} years are less than the {needed:.1f} that this many trials call for."


def _selection(run: RecordedRun) -> Iterator[tuple[str, str]]:
    facts, trials = run.facts, run.facts.get("trials")
    if facts.get("kind") == "live":
        return
    if trials is None:
        yield "warn", ("Number of trials unknown because this run is not in the trial ledger: how much of its Sharpe "
                       "ratio is selection cannot be said.")  # fmt: skip
    else:
        deflated, alike = facts.get("deflated_sharpe"), facts.get("effective_trials")
        said = "unknown because too few returns differ" if deflated is None else f"{deflated:.2f}"
        counted = f"{trials} {'trial' if trials == 1 else 'trials'} of this strategy"
        counted += "" if alike is None else f" ({alike:.1f} independent ones)"
        verdict = "" if deflated is None else " (0.95 is the bar)"
        yield "note" if (deflated or 0) >= 0.95 else "stop", f"{counted}: deflated Sharpe {said}{verdict}."
    checks, walked = facts.get("checks"), facts.get("walkforward")
    if checks is None:
        yield "warn", "Not checked for look-ahead with these parameters: robotrader strategy check does that."
    elif not checks["passed"]:
        yield "stop", f"The strategy failed its checks for self-deception: {', '.join(checks['failed'])}."
    else:
        unseen = "".join(f", but {rule} could not look" for rule in checks["not_applicable"])
        yield "note", f"Checked for look-ahead on {checks['data']}: passed{unseen}."
    if walked is not None and (walked["oos_sharpe"] or 0) <= 0:
        yield "warn", "Walk-forward: parameters chosen on the past earned nothing after it."


_TOO_EASY = (
    ("commission", ("none",), "no commission"), ("half_spread_bps", ("0",), "no spread"),
    ("impact", ("0", "0.0"), "no market impact"), ("borrow_rate", ("0", "0.0"), "free borrowing of shares"),
    ("fill", ("this_close",), "fills at the very close that decided"),
    ("participation", ("all",), "orders of any size fill whole"),
)  # fmt: skip


_RECORDED = (
    ("quarantined", "warn", "{} rows of data were refused by the quality rules and are missing here."),
    ("denied", "warn", "{} orders were denied by the risk gate."),
    ("data_note", "note", "Data: {}."),
)


def _ease(run: RecordedRun) -> Iterator[tuple[str, str]]:
    """Yield what was assumed in the strategy's favour, and what is known of the data."""
    facts, assumed = run.facts, run.facts.get("assumptions") or {}
    for name, values, text in _TOO_EASY:
        if assumed.get(name) in values:
            yield "note" if name == "participation" else "warn", f"Assumed: {text} ({name} {assumed[name]})."
    if facts.get("limits") == "research":
        yield "note", "Capital and rate limits were off (limit profile research)."
    if facts.get("mode", "live") != "live":
        yield "note", f"No real money: the mode was {facts['mode']}."
    used = np.nan_to_num(run.daily["gross"] / run.daily["equity"])
    if run.fills and used.mean() < _IDLE:
        yield "warn", f"Nearly all capital was idle: exposure was {used.mean() * 100:.2g} % of equity on average."
    yield from ((level, text.format(facts[name])) for name, level, text in _RECORDED if facts.get(name))


def _headline(run: RecordedRun, curve: Floats, returns: Floats) -> Table:
    """Return the ratios of the run beside their intervals and the benchmark's."""
    bench = np.concatenate((curve[:1], run.daily["benchmark"]))
    known = bool(len(bench) > 1 and np.isfinite(bench).all())
    found = [{k: _said(v[0]) for k, v in metrics.ratios(c[:, None]).items()} for c in (curve, bench)]
    moved = len(returns) > 1 and np.ptp(returns) > 0
    drawn = bootstrap_intervals(returns, seed=_SEED, draws=_DRAWS) if moved else None
    rows = []
    for name, key, unit in _RATIOS:
        ends = getattr(drawn, key, None) or (None, None)
        theirs = found[1][key] if known else None
        rows.append((name, unit, found[0][key], *ends, theirs))
    calmar = [f["cagr"] / -f["max_drawdown"] if f["cagr"] is not None and f["max_drawdown"] else None for f in found]
    rows.append(("Calmar", "number", calmar[0], None, None, calmar[1] if known else None))
    against = metrics.beta(returns, bench[1:] / bench[:-1] - 1) if known else None
    rows.append(("Beta", "number", against, None, None, 1.0 if against is not None else None))
    missing = "" if known else "The benchmark is unknown because no closes of the universe were recorded. "
    return Table(
        title="Against buy and hold",
        columns=(("Figure", "text"), ("unit", "text"), ("Run", "row"), ("90 % from", "row"), ("90 % to", "row"),
                 ("Buy and hold", "row")),
        rows=tuple(rows), note="Intervals are made for Sharpe, CAGR and drawdown.",
        why=missing + "A ratio is unknown because too few daily returns differ.",
    )  # fmt: skip


_RATIOS = (
    ("Total return", "total_return", "%"), ("CAGR", "cagr", "%"), ("Sharpe", "sharpe", "number"),
    ("Sortino", "sortino", "number"), ("Volatility", "volatility", "%"), ("Max drawdown", "max_drawdown", "%"),
)  # fmt: skip


def _sections(
    run: RecordedRun, curve: Floats, returns: Floats, trips: Sequence[RoundTrip]
) -> Iterator[tuple[str, Table]]:
    ts = run.daily["ts"]
    yield "monthly", _monthly(metrics.monthly(ts, curve))
    found = metrics.tails(returns) if len(returns) > 1 and np.ptp(returns) > 0 else dict.fromkeys(_TAILS)
    yield "tails", Table(
        title="Shape of the daily returns", columns=_FIGURES,
        rows=tuple((text, unit, found[name]) for name, (text, unit) in _TAILS.items()),
        note="A normal distribution has skewness 0, excess kurtosis 0 and 0.27 % of days beyond 3 deviations.",
        why="Unknown because fewer than two daily returns differ.",
    )  # fmt: skip
    falls = metrics.worst_drawdowns(np.concatenate((ts[:1], ts)), curve)
    yield "drawdowns", Table(
        title="Worst drawdowns", columns=(("Peak", "text"), ("Trough", "text"), ("Recovered", "text"), ("Depth", "%"),
                                          ("Days", "count")),
        rows=tuple(
            (_day(f.peak), _day(f.trough), _day(f.recovery) if f.recovery else "not yet", f.depth,
             ((f.recovery or int(ts[-1])) - f.peak) // _NS_PER_DAY) for f in falls
        ),
        why="Equity never fell below its highest.",
    )  # fmt: skip
    yield "exposure", _exposure(run, returns)
    yield from _cost_tables(run)
    yield from _trade_tables(run, trips)
    yield from _folds(run.facts.get("walkforward"))


_TAILS = {
    "best_day": ("Best day", "%"), "worst_day": ("Worst day", "%"), "positive_days": ("Days with a gain", "%"),
    "skewness": ("Skewness", "number"), "excess_kurtosis": ("Excess kurtosis", "number"),
    "value_at_risk": ("Value at risk, 5 %", "%"), "expected_shortfall": ("Expected shortfall, 5 %", "%"),
    "beyond_3_sigma": ("Days beyond 3 deviations", "%"),
}  # fmt: skip


def _monthly(found: Mapping[str, float]) -> Table:
    years: dict[str, list[float | None]] = {}
    for month, value in found.items():
        years.setdefault(month[:4], [None] * 12)[int(month[5:]) - 1] = value
    rows = tuple((y, *row, float(np.prod([1 + v for v in row if v is not None])) - 1) for y, row in years.items())
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Year")
    return Table(title="Monthly returns", columns=(("Year", "text"), *((n, "heat") for n in names)), rows=rows,
                 why="Unknown because no day was recorded.")  # fmt: skip


def _exposure(run: RecordedRun, returns: Floats) -> Table:
    daily, years = run.daily, max(len(returns), 1) / metrics.SESSIONS_PER_YEAR
    known = bool(len(returns) and np.isfinite(daily["gross"]).any())
    gross, net = (daily[name] / daily["equity"] if known else None for name in ("gross", "net"))
    mean = float(np.nanmean(run.equity)) if len(run.equity) else 0.0
    spun = metrics.turnover(run.fills, mean) if mean else None
    return Table(
        title="Exposure and turnover", columns=_FIGURES,
        rows=(
            ("Days with a position", "%", None if gross is None else float((gross > 0).mean())),
            ("Average gross exposure", "%", None if gross is None else float(np.nanmean(gross))),
            ("Highest gross exposure", "%", None if gross is None else float(np.nanmax(gross))),
            ("Average net exposure", "%", None if net is None else float(np.nanmean(net))),
            ("Turnover, times average equity", "number", spun),
            ("Turnover a year", "number", None if spun is None else spun / years),
        ),
        note="Of equity, at each day's end.", why="Exposure is unknown because the run recorded none.",
    )  # fmt: skip


def _cost_tables(run: RecordedRun) -> Iterator[tuple[str, Table]]:
    paid, capital = costs(run), run.record.capital
    parts = (("Commission and fees", paid.commission), ("Spread", paid.spread), ("Market impact", paid.impact),
             ("Borrow fees", paid.borrow), ("All", paid.total))  # fmt: skip
    live = "Unknown because a live fill does not say what the price would have been without it."
    yield "costs", Table(
        title="Costs", columns=(("Kind", "text"), ("Amount", "money"), ("Of capital", "%")),
        rows=tuple((name, v, None if v is None else float(v / capital)) for name, v in parts), why=live,
        note="Spread: the assumed half spread on all that was traded; impact: the rest of the slippage.",
    )  # fmt: skip
    found = scaled(run, paid, _TIMES) if paid.total is not None and len(run.daily["ts"]) else None
    names = ("total_return", "cagr", "sharpe", "max_drawdown")
    yield "sensitivity", Table(
        title="If costs were higher or lower",
        columns=(("Costs", "text"), ("Total return", "%"), ("CAGR", "%"), ("Sharpe", "number"), ("Max drawdown", "%")),
        rows=tuple((f"× {t}", *(_said(found[n][k]) for n in names)) for k, t in enumerate(_TIMES)) if found else (),
        note="Computed from the recorded costs, not run again: the same trades, each day's costs taken so many times.",
        why=live if paid.total is None else "A ratio is unknown because too few daily returns differ.",
    )  # fmt: skip


def _trade_tables(run: RecordedRun, trips: Sequence[RoundTrip]) -> Iterator[tuple[str, Table]]:
    won, lost = ([float(t.pnl) for t in trips if sign * t.pnl > 0] for sign in (1, -1))
    payoff = float(np.mean(won) / -np.mean(lost)) if won and lost else None
    held = float(np.mean([t.closed - t.opened for t in trips])) / _NS_PER_DAY if trips else None
    yield "trades", Table(
        title="Round trips", columns=_FIGURES,
        rows=(
            ("Orders", "count", run.facts.get("orders")), ("Fills", "count", len(run.fills)),
            ("Round trips", "count", len(trips)),
            ("Times back to flat", "count", metrics.round_trips(run.fills, run.record.booked)),
            ("Hit rate", "%", len(won) / len(trips) if trips else None),
            ("Payoff: average gain over average loss", "number", payoff),
            ("Average holding, days", "number", held),
            ("Average profit", "money", sum((t.pnl for t in trips), Decimal(0)) / len(trips) if trips else None),
        ),
        why="Unknown because there is no round trip, or none of them lost (payoff).",
    )  # fmt: skip
    yield "trips", Table(
        title="Round trips, newest first",
        columns=(("Instrument", "text"), ("Side", "text"), ("Units", "count"), ("Opened", "text"), ("Closed", "text"),
                 ("Entry", "price"), ("Exit", "price"), ("Profit", "money")),
        rows=tuple(
            (t.instrument, "long" if t.side.sign > 0 else "short", int(t.quantity), _day(t.opened), _day(t.closed),
             t.entry, t.exit, t.pnl) for t in list(reversed(trips))[:_MOST_TRIPS]
        ),
        note=f"The newest {_MOST_TRIPS:,} of {len(trips):,}." if len(trips) > _MOST_TRIPS else "",
        why="No position was closed.",
    )  # fmt: skip
    total = Decimal(str(run.facts["final_equity"])) - run.record.capital
    parts = attribution(run, total)
    yield "attribution", Table(
        title="Profit by instrument",
        columns=(("Instrument", "text"), ("Fills", "count"), ("Traded", "money"), ("Commission", "money"),
                 ("Profit", "money")),
        rows=(*((p.instrument, p.fills, p.traded, p.commission, p.pnl) for p in parts),
              ("All", len(run.fills), sum(p.traded for p in parts), sum(p.commission for p in parts), total)),
        note="Profit counts open positions at their last price.",
    )  # fmt: skip


def _folds(walked: Mapping[str, Any] | None) -> Iterator[tuple[str, Table]]:
    """Yield the folds of the walk-forward of this strategy on these data."""
    if walked is None:
        return
    chosen = [" ".join(f"{name}={value}" for name, value in (f["parameters"] or {}).items()) for f in walked["folds"]]
    sharpes = [tuple((f[part] or {}).get("sharpe") for part in ("is", "oos")) for f in walked["folds"]]
    rows = tuple(
        (f["test_first"][:10], f["test_last"][:10], text or None, *both, f["fills"])
        for f, text, both in zip(walked["folds"], chosen, sharpes, strict=True)
    )
    said = [f"{walked[name]:.2f}" if walked[name] is not None else "unknown" for name in ("is_sharpe", "oos_sharpe")]
    yield "folds", Table(
        title="Walk-forward folds", rows=rows,
        columns=(("Test from", "text"), ("to", "text"), ("Chosen before", "text"), ("Sharpe in training", "number"),
                 ("Sharpe in test", "number"), ("Fills", "count")),
        note=f"Sharpe ratio of all training {said[0]}, of all tests {said[1]}.",
        why="Unknown because nothing could be chosen, or too few daily returns differ.",
    )  # fmt: skip


def _curves(run: RecordedRun, curve: Floats, returns: Floats) -> Iterator[tuple[str, Series]]:
    """Yield the lines of the page; equity is that of every bar where the run is too short for days."""
    daily, ts = run.daily, run.daily["ts"]
    short = len(ts) < _DAILY_DAYS
    yield "equity", Series("run", run.ts if short else ts, run.equity if short else daily["equity"])
    fall = curve / np.maximum.accumulate(curve) - 1
    yield "drawdown", Series("run", ts, fall[1:])
    if len(ts) and np.isfinite(daily["benchmark"]).all():
        bench = np.concatenate((curve[:1], daily["benchmark"]))
        yield "benchmark", Series("buy and hold", ts, daily["benchmark"])
        yield "benchmark_drawdown", Series("buy and hold", ts, (bench / np.maximum.accumulate(bench) - 1)[1:])
    for name, values in metrics.rolling(returns, ROLLING).items():
        yield f"rolling_{name}", Series(name, ts, values)
    for name in ("gross", "net"):
        yield name, Series(name, ts, daily[name] / daily["equity"])


def _thin(series: Series) -> Curve:
    kept = thinned(series)
    return Curve(name=kept.name, ts=tuple(kept.ts.tolist()), values=tuple(_said(v) for v in kept.values))


def _provenance(run: RecordedRun) -> dict[str, str]:
    """Return what ran, on what: enough to run it again."""
    named = ("run_id", "engine", "limits", "code_version", "code_hash", "data_hash", "orders_hash", "fills_hash",
             "as_of", "adjust", "trial", "account", "mode")  # fmt: skip
    found = {n.replace("_", " "): str(run.facts[n]) for n in named if run.facts.get(n) is not None}
    for c in run.record.configs:
        parameters = ", ".join(f"{k}={v}" for k, v in c.parameters.items()) or "defaults"
        found[f"strategy {c.id}"] = (f"{c.source}; parameters: {parameters}; sizer {c.sizer}; capital {c.capital:,f}; "
                                     f"universe {', '.join(c.universe)}")  # fmt: skip
    return found | {f"assumed {k}".replace("_", " "): str(v) for k, v in (run.facts.get("assumptions") or {}).items()}


def _said(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _days(ts: Any) -> list[str]:
    return [str(day) for day in ts.astype("datetime64[ns]").astype("datetime64[D]")]


def _day(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("datetime64[D]"))
