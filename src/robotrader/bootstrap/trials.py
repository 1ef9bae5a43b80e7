"""The trial ledger of a state folder, and backtests that are counted in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from robotrader.bootstrap.research import PESSIMISTIC, Costs, backtest
from robotrader.model import StrategyConfig, StrategyId

if TYPE_CHECKING:
    from robotrader.adapters.sql.trials import TrialLedger
    from robotrader.data.panel import Panel
    from robotrader.research.backtest import BacktestResult
    from robotrader.research.recorded import RecordedRun
    from robotrader.research.trials import Trial, TrialSpec

Configured = tuple[str, Mapping[str, int | float]]
"""Source and parameters of a strategy."""


def trial_ledger(state: Path) -> "TrialLedger":
    """Open the trial ledger of a state folder to write, creating it if need be; close it, or use it in `with`.

    Raises
    ------
    ConfigError
        It cannot be written.
    """
    from robotrader.adapters.clocks import SystemClock
    from robotrader.adapters.sql.trials import LEDGER, TrialLedger

    return TrialLedger(state / LEDGER, SystemClock().now)


def recorded_trials(state: Path, strategy: str | None = None) -> "tuple[list[Trial], dict[str, float]]":
    """Return the trials of a strategy, or all, and what they are worth as independent ones by strategy."""
    from robotrader.adapters.sql.trials import LEDGER
    from robotrader.research.trials import independent_trials

    if not (state / LEDGER).exists():
        return [], {}
    with trial_ledger(state) as ledger:
        found = ledger.trials(strategy)
        return found, {name: independent_trials(*ledger.family(name)) for name in {t.spec.config.id for t in found}}


def trial_spec(
    config: StrategyConfig, panel: "Panel", *, data_hash: str, limits: str = "research", costs: Costs = PESSIMISTIC,
    **more: Any,
) -> "TrialSpec":  # fmt: skip
    """Say what a trial of a configured strategy on a panel would run; `more`: its `purpose` and `parent`.

    Raises
    ------
    ConfigError
        The strategy cannot be loaded: nothing would run, so nothing is to be counted.
    """
    from robotrader.research.report import code_hash
    from robotrader.research.trials import TrialSpec, source_hash
    from robotrader.strategy.loading import load_strategy

    strategy = load_strategy(config.source, config.parameters)
    return TrialSpec(
        config=config, source_hash=source_hash(strategy), code_hash=code_hash(), data_hash=data_hash,
        first=int(panel.ts[0]), last=int(panel.ts[-1]), limits=limits,
        costs={name: str(value) for name, value in structs.asdict(costs).items()}, **more,
    )  # fmt: skip


def counted_backtest(
    state: Path, config: StrategyConfig, panel: "Panel", *, data_hash: str, costs: Costs = PESSIMISTIC,
    limits: str = "research", **options: Any,
) -> "tuple[BacktestResult, dict[str, Any]]":  # fmt: skip
    """Run a backtest as `backtest` does, written into the trial ledger before it runs.

    Returns
    -------
    tuple
        The result, and fields of its summary: `trial`, `trials`, `effective_trials`, `deflated_sharpe`,
        `minimum_backtest_years`, `source_hash`, `parameters`, and `checks` and `walkforward`, None where nobody looked.
    """
    from robotrader.research.trials import daily_returns, deflate

    with trial_ledger(state) as ledger:
        spec = trial_spec(config, panel, data_hash=data_hash, limits=limits, costs=costs)
        known = {"source_hash": spec.source_hash, "parameters": _parameters((config.source, config.parameters))}
        (number,) = ledger.begin([spec])
        result = backtest([config], panel, limits=limits, costs=costs, **options)
        days, returns = daily_returns(panel.ts, result.equity, float(config.capital))
        ledger.finish(days, {number: returns})
        found = deflate(returns, *ledger.family(config.id))
        known |= _evidence(ledger, {"strategy": config.id, "data_hash": data_hash, **known})
    return result, {"trial": number, **structs.asdict(found), **known}


def _parameters(configured: Configured) -> dict[str, int | float]:
    """Return all parameters of a strategy, those that nobody gave at their defaults."""
    from robotrader.strategy.loading import load_strategy

    declared = load_strategy(*configured).PARAMETERS
    return {**{name: p.default for name, p in declared.items()}, **configured[1]}


def keep_evidence(
    state: Path, kind: str, strategy: StrategyId, configured: Configured, *, data_hash: str, found: Mapping[str, Any]
) -> None:
    """Remember what `kind` (check, walkforward) found about a strategy, for the tearsheets of its runs."""
    from robotrader.research.trials import Evidence, Purpose, source_hash
    from robotrader.strategy.loading import load_strategy

    seen = Evidence(
        kind=Purpose(kind), strategy=strategy, source_hash=source_hash(load_strategy(*configured)),
        parameters=_parameters(configured), data_hash=data_hash, found=dict(found),
    )  # fmt: skip
    with trial_ledger(state) as ledger:
        ledger.keep(seen)


def known_since(state: Path, run: "RecordedRun") -> dict[str, Any]:
    """Return what is known by now of a recorded backtest, as `counted_backtest` tells it; nothing of one of elsewhere.

    A check is of that code with those parameters, on any data; a walk-forward of that code on that data.
    """
    from robotrader.adapters.sql.trials import LEDGER
    from robotrader.research.trials import daily_returns, deflate

    facts = run.facts
    if not (state / LEDGER).exists() or "trial" not in facts:
        return {}
    with trial_ledger(state) as ledger:
        specs = [t.spec for t in ledger.trials(facts["strategy"]) if t.number == facts["trial"]]
        if [(s.source_hash, s.data_hash) for s in specs] != [(facts.get("source_hash"), facts["data_hash"])]:
            return {}
        _, returns = daily_returns(run.ts, run.equity, float(run.record.capital))
        luck = structs.asdict(deflate(returns, *ledger.family(facts["strategy"])))
        return {**luck, **_evidence(ledger, facts)}


def _evidence(ledger: "TrialLedger", facts: Mapping[str, Any]) -> dict[str, Any]:
    same = {"check": ("source_hash", "parameters"), "walkforward": ("source_hash", "data_hash")}
    found: dict[str, dict[str, Any]] = {}
    for ts, seen in ledger.kept(facts["strategy"]):
        if all(getattr(seen, name) == facts.get(name) for name in same[seen.kind]):
            found.setdefault(seen.kind, {"ts": ts, **seen.found})
    return {"checks": found.get("check"), "walkforward": found.get("walkforward")}
