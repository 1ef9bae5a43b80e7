"""The trial ledger of a state folder, and backtests that are counted in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from robotrader.bootstrap.research import PESSIMISTIC, Costs, backtest
from robotrader.model import StrategyConfig

if TYPE_CHECKING:
    from robotrader.adapters.sql.trials import TrialLedger
    from robotrader.data.panel import Panel
    from robotrader.research.backtest import BacktestResult
    from robotrader.research.trials import Trial, TrialSpec


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
        `minimum_backtest_years`.
    """
    from robotrader.research.trials import daily_returns, deflate

    with trial_ledger(state) as ledger:
        (number,) = ledger.begin([trial_spec(config, panel, data_hash=data_hash, limits=limits, costs=costs)])
        result = backtest([config], panel, limits=limits, costs=costs, **options)
        days, returns = daily_returns(panel.ts, result.equity, float(config.capital))
        ledger.finish(days, {number: returns})
        found = deflate(returns, *ledger.family(config.id))
    return result, {"trial": number, **structs.asdict(found)}
