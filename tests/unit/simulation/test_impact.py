"""The square-root law: what an order's size does to its own price."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from math import log

import numpy as np
import pytest

from robotrader.simulation.impact import Impact
from tests import builders as make

D = Decimal
SPY = make.SPY.id


def closes(*values: float, volume: float = 10_000.0) -> Impact:
    panel = make.daily_panel([[v] for v in values], volume=[[volume] for _ in values])
    return Impact(panel, D(1))


def at(day: int) -> int:
    return make.T0 + day * make.DAY


def test_the_first_session_has_none_as_no_volume_is_known() -> None:
    assert closes(100.0, 100.0).share(SPY, at(0), 500) == 0


def test_few_returns_are_taken_for_three_percent_a_day() -> None:
    # 0.03 x sqrt(400 / 10,000) = 0.006; the last digit is rounded up
    assert D("0.006") <= closes(100.0, 100.0).share(SPY, at(1), 400) <= D("0.006001")


def test_five_returns_are_measured() -> None:
    prices = (100.0, 101.0, 100.0, 101.0, 100.0, 101.0, 100.0)
    returns = [log(b / a) for a, b in pairwise(prices[:6])]
    expected = float(np.std(returns, ddof=1)) * (900 / 10_000) ** 0.5
    assert float(closes(*prices).share(SPY, at(6), 900)) == pytest.approx(expected, abs=1.1e-6)


def test_it_looks_back_twenty_sessions_and_not_at_its_own() -> None:
    volumes = [[1e9]] * 5 + [[10_000.0]] * 20 + [[1e9]]
    panel = make.daily_panel([[100.0 + k % 2] for k in range(26)], volume=volumes)
    expected = float(np.std([log(101 / 100), log(100 / 101)] * 10, ddof=1)) * (100 / 10_000) ** 0.5
    assert float(Impact(panel, D(1)).share(SPY, at(25), 100)) == pytest.approx(expected, rel=1e-3)


def test_it_grows_with_the_coefficient_and_the_root_of_the_size_up_to_a_half() -> None:
    panel = make.daily_panel([[100.0]] * 2, volume=[[10_000.0]] * 2)
    one, double = Impact(panel, D(1)).share(SPY, at(1), 100), Impact(panel, D(2)).share(SPY, at(1), 100)
    assert float(double) == pytest.approx(2 * float(one), abs=2e-6)
    assert float(Impact(panel, D(1)).share(SPY, at(1), 400)) == pytest.approx(2 * float(one), abs=2e-6)
    assert Impact(panel, D(1)).share(SPY, at(1), 10**9) == D("0.5")


def test_minutes_of_a_day_share_the_sessions_before_it() -> None:
    days = make.daily_panel([[100.0]] * 4, volume=[[5_000.0]] * 4)
    ts = np.array([at(0) - 60, at(0), at(1) - 60, at(1)])
    minutes = Impact(replace(days, ts=ts, opened=ts - 60), D(1))
    assert minutes.share(SPY, at(0), 400) == 0
    assert minutes.share(SPY, at(1) - 60, 400) == minutes.share(SPY, at(1), 400)
    assert D("0.006") <= minutes.share(SPY, at(1), 400) <= D("0.006001"), "two halves make 10,000"


def test_a_missing_bar_is_no_volume_of_nothing() -> None:
    nan = float("nan")
    panel = make.daily_panel([[100.0], [nan], [100.0]], volume=[[10_000.0], [nan], [10_000.0]])
    assert D("0.006") <= Impact(panel, D(1)).share(SPY, at(2), 400) <= D("0.006001")
    assert Impact(make.daily_panel([]), D(1)).rows.shape == (0, 2)
