"""The rules one by one: what they are shown, what they say, and what they cannot judge."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from robotrader.data.panel import VALUES, Floats, Panel
from robotrader.model import StrategyError
from robotrader.strategy import checks
from robotrader.strategy.check_data import as_view, checked, differences, drawn_rows, noise_after, owned, provoked
from robotrader.strategy.checks import Outcome, RuleResult, check_strategy
from robotrader.strategy.contract import strengths
from tests import builders as make
from tests.unit.strategy.strategies import Constant

NAN = float("nan")
WALK = 100 + np.cumsum(np.random.default_rng(1).standard_normal((300, 2)).round(2), axis=0)
PANEL = make.daily_panel(WALK.tolist())


class Saying(Constant):
    """Say what a function says, with three bars of warm-up."""

    def __init__(self, function: Callable[[Panel], Floats], bars: int = 3) -> None:
        super().__init__(say=0.0, bars=bars)
        self._function = function

    def signals(self, panel: Panel) -> Floats:
        return self._function(panel)


def held(panel: Panel) -> Floats:
    return np.ones(panel.close.shape)


def found(
    function: Callable[[Panel], Floats], *, bars: int = 3, panel: Panel = PANEL, clock: Callable[[], float] = float,
    elsewhere: Callable[[Panel], Floats] | None = None,
) -> dict[str, RuleResult]:  # fmt: skip
    results = check_strategy(
        lambda: Saying(function, bars), panel, clock=clock,
        elsewhere=elsewhere or (lambda shown: strengths(Saying(function, bars), shown)),
    )  # fmt: skip
    return {result.rule: result for result in results}


def outcomes(results: dict[str, RuleResult]) -> dict[str, str]:
    return {rule: result.outcome for rule, result in results.items()}


# -------------------------------------------------------------------------------------------------- what they are shown
def cells(panel: Panel) -> Floats:
    return np.stack([getattr(panel, name) for name in VALUES])


def bars_are_possible(panel: Panel) -> bool:
    there = ~np.isnan(panel.close)
    ends = np.stack((panel.open, panel.close))
    inside = (panel.low <= ends.min(axis=0)) & (ends.max(axis=0) <= panel.high) & (panel.low > 0) & (panel.volume > 0)
    return bool(inside[there].all()) and bool((np.isnan(cells(panel)) == ~there).all())


def test_noise_replaces_all_bars_after_the_row_and_none_before() -> None:
    before = cells(PANEL).copy()
    noisy = noise_after(PANEL, 120)
    assert np.array_equal(cells(noisy)[:, :121], before[:, :121])
    assert (cells(noisy)[:4, 121:] != before[:4, 121:]).mean() > 0.99
    assert np.array_equal(cells(PANEL), before)
    assert np.array_equal(noisy.ts, PANEL.ts)
    assert bars_are_possible(noisy)
    assert np.array_equal(cells(noise_after(PANEL, 120)), cells(noisy)), "the same noise every time"
    assert noise_after(PANEL, 121).close[-1, 0] != noisy.close[-1, 0], "and another for every row"


def test_noise_after_a_missing_bar_is_a_price() -> None:
    close = WALK.copy()
    close[100] = NAN
    assert not np.isnan(noise_after(make.daily_panel(close.tolist()), 100).close[101:]).any()


def test_provoked_bars_are_possible_seeded_and_have_what_provokes() -> None:
    made = provoked(PANEL)
    assert np.array_equal(cells(made), cells(provoked(PANEL)), equal_nan=True)
    assert np.array_equal(made.ts, PANEL.ts)
    assert made.ids == PANEL.ids
    assert bars_are_possible(made)
    missing = np.isnan(made.close)
    assert missing[:60, -1].all(), "one instrument is listed late"
    assert missing[60:].any(axis=0).all(), "bars are missing later, too"
    moves = np.abs(np.diff(made.close, axis=0) / made.close[:-1])
    assert np.nanmax(moves) > 0.3, "prices jump"
    still = "".join("x" if same else " " for same in made.high[:, 0] == made.low[:, 0])
    assert max(map(len, still.split())) > 10, "prices stand still"


def test_few_bars_and_one_instrument_can_be_provoked() -> None:
    one = PANEL.columns((make.SPY.id,))
    for rows in (1, 2, 30):
        assert provoked(one.rows(0, rows)).close.shape == (rows, 1)


def test_the_newest_bars_are_checked_and_three_warm_ups_at_least() -> None:
    assert checked(PANEL, 100, 10).ts.tolist() == PANEL.ts[200:].tolist()
    assert len(checked(PANEL, 100, 50)) == 150
    assert len(checked(PANEL, 1_000, 5)) == 300


def test_what_is_owned_is_shared_with_nobody_and_a_view_is_not_owned() -> None:
    mine, view = owned(PANEL), as_view(PANEL)
    for name in VALUES:
        assert not np.shares_memory(getattr(mine, name), getattr(PANEL, name))
        assert np.array_equal(getattr(view, name), getattr(PANEL, name))
        assert getattr(view, name).base is not None
    assert mine.close.base is None


def test_drawn_rows_hold_the_first_ones_changes_views_and_missing_bars() -> None:
    said = np.full(WALK.shape, NAN)
    said[50:60], said[150:] = 0.5, 0.5
    said[200:] = 1.0
    close = WALK.copy()
    close[250, 1] = NAN
    panel = make.daily_panel(close.tolist())
    rows = drawn_rows(panel, said, 20)
    assert {0, 1, 2, 3, 20, 21, 22, 23, 50, 150, 200, 250} <= set(rows)
    assert rows == sorted(set(rows))
    assert rows == drawn_rows(panel, said, 20)
    assert 0 <= rows[0] <= rows[-1] < 300


def test_rows_are_drawn_though_there_are_fewer_than_the_warm_up() -> None:
    assert drawn_rows(PANEL.rows(0, 2), held(PANEL.rows(0, 2)), 50) == [0, 1]


# ----------------------------------------------------------------------------------------------------- how they compare
@pytest.mark.parametrize(
    ("expected", "seen", "differs", "ties"),
    [(0.5, 0.5, False, 0), (NAN, NAN, False, 0), (0.5, 0.500000001, False, 1), (0.5, 0.500000002, True, 0),
     (NAN, 0.0, True, 0), (0.0, NAN, True, 0), (1.0, -1.0, True, 0)],
)  # fmt: skip
def test_strengths_differ_beyond_a_tie_of_the_last_decimal(
    expected: float, seen: float, differs: bool, ties: int
) -> None:
    bad, tied = differences(np.array([[expected]]), np.array([[seen]]))
    assert (bool(bad[0, 0]), tied) == (differs, ties)


def test_a_strategy_that_keeps_the_rules_passes_them() -> None:
    assert outcomes(found(held)) == dict.fromkeys(checks.RULES, Outcome.PASSED)


def test_ties_are_told_and_are_no_failure() -> None:
    def nearly(panel: Panel) -> Floats:
        return held(panel) * (0.5 + 1e-9 * (len(panel) % 2))

    result = found(nearly)["truncation"]
    assert result.outcome is Outcome.PASSED
    assert result.numbers["ties"] > 0
    assert "ties" in result.found


def test_the_first_strength_that_differs_is_told_with_its_bar_and_both_values() -> None:
    def ends_flat(panel: Panel) -> Floats:
        out = held(panel)
        out[-1, 1] = NAN
        return out

    result = found(ends_flat)["truncation"]
    assert result.outcome is Outcome.FAILED
    assert result.hint
    first = result.first
    assert first is not None
    assert (first.data, first.ts, first.cut) == ("data", int(PANEL.ts[0]), int(PANEL.ts[0]))
    assert (first.instrument, first.full, first.found) == (make.QQQ.id, 1.0, None)
    assert result.numbers["different"] == result.numbers["drawn"]


def test_a_window_is_compared_with_the_history_that_ends_with_it_not_with_what_came_later() -> None:
    def peeks(panel: Panel) -> Floats:
        out = np.full(panel.close.shape, NAN)
        out[:-1] = np.sign(np.diff(panel.close, axis=0))
        return out

    assert {rule for rule, is_ in outcomes(found(peeks)).items() if is_ is Outcome.FAILED} == {
        "truncation", "future_noise", "lag",
    }  # fmt: skip


@pytest.mark.parametrize(("declared", "expected"), [(5, Outcome.PASSED), (4, Outcome.FAILED)])
def test_a_warm_up_that_is_one_bar_too_short_is_found(declared: int, expected: Outcome) -> None:
    def over_four_bars(panel: Panel) -> Floats:
        out = np.full(panel.close.shape, NAN)
        out[4:] = np.sign(panel.close[4:] - panel.close[:-4])
        return out

    assert found(over_four_bars, bars=declared)["warm_up"].outcome is expected


# ----------------------------------------------------------------------------------------------- what they cannot judge
def test_a_warm_up_longer_than_the_data_cannot_be_judged() -> None:
    result = found(held, bars=10, panel=PANEL.rows(0, 10))["warm_up"]
    assert (result.outcome, result.found) == (Outcome.NOT_APPLICABLE, "needs more than 10 bars")


def test_nothing_is_compared_while_the_contract_is_broken() -> None:
    def raises(panel: Panel) -> Floats:
        raise ZeroDivisionError("by nothing")

    results = found(raises)
    assert results["contract"].outcome is Outcome.FAILED
    assert results["contract"].found == "constant: signals() raised ZeroDivisionError: by nothing"
    assert results["truncation"].found == "mend contract first"
    assert set(outcomes(results).values()) == {Outcome.FAILED, Outcome.NOT_APPLICABLE}


def test_a_strategy_that_fails_in_another_process_is_not_deterministic() -> None:
    def fails(_panel: Panel) -> Floats:
        raise StrategyError("no such file there")

    result = found(held, elsewhere=fails)["determinism"]
    assert (result.outcome, result.found) == (Outcome.FAILED, "no such file there")


def test_another_answer_in_another_process_is_found() -> None:
    result = found(held, elsewhere=lambda panel: -held(panel))["determinism"]
    assert result.outcome is Outcome.FAILED
    assert "another process" in result.found


def test_what_only_a_second_call_with_the_same_bars_shows_is_found() -> None:
    class Streak(Constant):
        last, streak = 0, 0

        def signals(self, panel: Panel) -> Floats:
            self.streak = self.streak + 1 if len(panel) == self.last else 1
            self.last = len(panel)
            return held(panel) / self.streak

    results = check_strategy(lambda: Streak(say=0, bars=3), PANEL.rows(0, 299), clock=float, elsewhere=held)
    assert [r.rule for r in results if r.outcome is Outcome.FAILED] == ["determinism"]
    assert "asked again" in results[2].found


def test_a_lag_says_nothing_of_few_positions() -> None:
    def flat(panel: Panel) -> Floats:
        return np.zeros(panel.close.shape)

    assert found(flat)["lag"].outcome is Outcome.NOT_APPLICABLE


# ------------------------------------------------------------------------------------------------------ numbers by hand
def ticking(*seconds: float) -> Callable[[], float]:
    """Return a clock by which the timed calls take these seconds."""

    def times() -> Iterator[float]:
        now = 0.0
        for took in seconds:
            yield now
            now += took
            yield now

    return times().__next__


def test_the_fastest_of_three_decisions_counts() -> None:
    result = found(held, clock=ticking(9, 0.1, 9, 0.3))["time_budget"]
    assert result.outcome is Outcome.PASSED
    assert result.numbers["seconds_per_bar"] == pytest.approx(0.1)
    assert result.numbers["seconds_per_row"] == pytest.approx(0.001)
    assert found(held, clock=ticking(9, 0.11, 9))["time_budget"].outcome is Outcome.FAILED


def test_a_backtest_that_is_too_slow_is_found() -> None:
    assert found(held, clock=ticking(0, 0, 0, 0.61))["time_budget"].outcome is Outcome.FAILED


def test_a_position_is_kept_while_there_is_no_view() -> None:
    said = np.array([[NAN, 0.5], [1.0, NAN], [NAN, NAN], [-1.0, 0.0]])
    assert checks._held(said).tolist() == [[0.0, 0.5], [1.0, 0.5], [1.0, 0.5], [-1.0, 0.0]]


def test_the_t_value_of_the_gross_return_by_hand() -> None:
    prices = np.array([[100.0], [110.0], [99.0], [108.9], [NAN]])  # +10 %, -10 %, +10 %, none
    held_rows = np.array([[1.0], [-1.0], [0.0], [1.0], [1.0]])
    # at once: +0.1, +0.1, 0, 0: mean 0.05, deviation 0.05
    # one bar later: -0.1, -0.1, 0: mean -1/15, deviation sqrt(2)/30
    assert checks._t_value(held_rows, prices, 0) == pytest.approx(2.0)
    assert checks._t_value(held_rows, prices, 1) == pytest.approx(-(1 / 15) / (2**0.5 / 30) * 3**0.5)


def test_progress_is_told_before_every_rule() -> None:
    told: list[int] = []
    check_strategy(lambda: Saying(held), PANEL, clock=float, elsewhere=held, progress=told.append)
    assert told == list(range(len(checks.RULES)))
