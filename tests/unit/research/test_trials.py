"""What many trials leave of a Sharpe ratio, against the same said pair by pair."""

from decimal import Decimal
from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from msgspec import structs

from robotrader.model import StrategyConfig, StrategyId
from robotrader.research import significance
from robotrader.research.significance import moments
from robotrader.research.trials import Likeness, TrialSpec, daily_returns, deflate, independent_trials, source_hash
from robotrader.strategy.library.sma_crossover import SmaCrossover
from tests import builders as make

DAYS = np.arange(11_000, 11_400)
RETURNS = 0.01 * np.random.default_rng(5).standard_normal((400, 6)) + 0.0004
RETURNS[:, 1] = RETURNS[:, 0]
RETURNS[:, 2] = -RETURNS[:, 0]
RETURNS[:, 3] += 0.7 * RETURNS[:, 0]


def trial_spec(strategy: str = "trend", **parameters: float) -> TrialSpec:
    config = StrategyConfig(
        id=StrategyId(strategy), source=strategy, universe=(make.SPY.id,), capital=Decimal(1000), parameters=parameters
    )
    return TrialSpec(
        config=config, source_hash="s", code_hash="c", data_hash="d", first=1, last=2, limits="research",
        costs={"commission": "none"},
    )  # fmt: skip


def recorded(*tracks: tuple[np.ndarray, np.ndarray]) -> Likeness:
    alike = Likeness()
    for days, returns in tracks:
        alike = alike.with_returns(days, returns)
    return alike


def all_of(*columns: int) -> Likeness:
    return recorded(*((DAYS, RETURNS[:, k]) for k in columns))


def test_the_square_of_the_sum_is_the_sum_of_all_correlations() -> None:
    alike = all_of(*range(6))
    assert float(alike.total @ alike.total) == pytest.approx(np.corrcoef(RETURNS.T).sum())
    mean = np.mean([np.corrcoef(RETURNS[:, i], RETURNS[:, j])[0, 1] for i, j in combinations(range(6), 2)])
    assert independent_trials(6, alike) == pytest.approx(significance.effective_trials(6, mean))


def test_windows_are_alike_by_the_days_that_they_share_whatever_came_first() -> None:
    early, late, apart = slice(0, 300), slice(100, 400), slice(350, 400)
    tracks = [(DAYS[part], RETURNS[part, 0]) for part in (early, late, apart)]
    for order in ((0, 1), (1, 0)):
        alike = recorded(*(tracks[k] for k in order))
        assert (float(alike.total @ alike.total) - 2) / 2 == pytest.approx(200 / 300, abs=0.05)
    strangers = recorded(tracks[0], tracks[2])
    assert float(strangers.total @ strangers.total) == pytest.approx(2)
    assert independent_trials(2, strangers) == pytest.approx(2)


def test_the_same_run_again_is_no_new_trial_and_one_that_never_ended_is() -> None:
    assert independent_trials(5, all_of(0, 0, 0, 0, 0)) == pytest.approx(1, abs=1e-4)
    assert independent_trials(7, all_of(0, 0, 0, 0, 0)) > 2
    assert independent_trials(3, Likeness()) == 3
    assert independent_trials(0, Likeness()) == 0


def test_a_run_is_deflated_by_the_trials_of_its_family() -> None:
    series = RETURNS[:, 4]
    found = moments(series)
    assert found is not None
    alone, among = deflate(series, 1, all_of(4)), deflate(series, 1000, all_of(4, 5, 3))
    assert alone.deflated_sharpe == pytest.approx(significance.probabilistic_sharpe(found))
    assert (alone.trials, alone.effective_trials, alone.minimum_backtest_years) == (1, 1, 0)
    assert among.trials == 1000
    assert among.deflated_sharpe is not None
    assert alone.deflated_sharpe is not None
    assert among.deflated_sharpe < alone.deflated_sharpe / 10
    annual = found.sharpe * sqrt(252)
    assert among.minimum_backtest_years == pytest.approx(
        significance.minimum_backtest_length(among.effective_trials, annual)
    )


def test_trials_that_differ_by_more_than_chance_deflate_by_what_they_differ() -> None:
    spread = RETURNS[:, [4, 5, 3]] + np.array([-0.01, 0.0, 0.01])
    alike = recorded(*((DAYS, column) for column in spread.T))
    z = np.array([m.sharpe for column in spread.T if (m := moments(column))]) * sqrt(399)
    found = moments(spread[:, 2])
    assert found is not None
    variance = float(z.var(ddof=1)) / 399
    assert variance > 10 / 399
    expected = significance.deflated_sharpe(found, independent_trials(3, alike), variance)
    assert deflate(spread[:, 2], 3, alike).deflated_sharpe == pytest.approx(expected)
    few_and_like = deflate(RETURNS[:, 4], 2, all_of(4, 4))
    assert few_and_like.deflated_sharpe == pytest.approx(deflate(RETURNS[:, 4], 1, all_of(4)).deflated_sharpe, abs=1e-4)


def test_what_never_moved_or_lost_is_told_so() -> None:
    still = deflate(np.zeros(50), 4, all_of(0))
    assert (still.trials, still.deflated_sharpe, still.minimum_backtest_years) == (4, None, None)
    lost = deflate(-np.abs(RETURNS[:, 0]), 4, all_of(0))
    assert lost.minimum_backtest_years is None
    assert lost.deflated_sharpe == pytest.approx(0)


def test_days_and_returns_of_an_equity_curve() -> None:
    day = 86_400_000_000_000
    ts = np.array([3 * day + 1, 3 * day + 2, 4 * day + 1])
    days, returns = daily_returns(ts, np.array([90.0, 110.0, 99.0]), 100.0)
    assert days.tolist() == [3, 4]
    assert returns.tolist() == pytest.approx([0.1, -0.1])
    ruined = daily_returns(ts, np.array([90.0, 0.0, 0.0]), 100.0)[1]
    assert deflate(ruined, 2, Likeness().with_returns(days, ruined)).deflated_sharpe is None


def test_the_source_of_a_strategy_is_its_file_and_without_one_its_compiled_code() -> None:
    assert len({source_hash(SmaCrossover(fast=1, slow=n)) for n in (2, 3)}) == 1

    def typed(body: str) -> object:  # as in a notebook
        names: dict[str, type] = {}
        exec(f"class Typed:\n  def signals(self, panel):\n    return {body}\n", {"__name__": "notebook"}, names)  # noqa: S102
        return names["Typed"]()

    hashes = [source_hash(typed(body)) for body in ("1", "1", "2")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_of_parameters_forgets_their_order() -> None:
    one, same, other = trial_spec(fast=5, slow=20), trial_spec(slow=20, fast=5), trial_spec(fast=6)
    assert one.parameters_hash == same.parameters_hash != other.parameters_hash
    assert structs.replace(one, data_hash="x").parameters_hash == one.parameters_hash
