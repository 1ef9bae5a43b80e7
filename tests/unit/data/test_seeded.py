"""Seeded bars are the same for ever, and look like bars."""

import numpy as np
import pytest

from robotrader.data.frame import panel_hash
from robotrader.data.panel import VALUES
from robotrader.data.seeded import SeedSpec, generate, sessions_needed
from robotrader.model import BarSpec, ConfigError, DataError
from tests.unit.data.bars import weekdays

GOLDEN = {  # a change here breaks every recorded result on seeded data: make a new generator instead
    BarSpec.DAY: "4283cd6bacb3dbd9198dba9d37dd8a53ac34b330b4a0e4db4284310f74f562d3",
    BarSpec.HOUR: "1461834a0330e1311284c8cf6f1a0fb83fc343b3319531d3a4b2eb7a5bd9f23e",
    BarSpec.MINUTE: "1aeab798396c2f5896a7a76ed2116f274a4dca7649b200d7b0c394b5b045bcad",
}


@pytest.mark.parametrize("spec", list(GOLDEN))
def test_the_numbers_never_change(spec: BarSpec) -> None:
    assert panel_hash(generate(SeedSpec(seed=7, spec=spec, bars=1_000), weekdays(1_000))) == GOLDEN[spec]


@pytest.mark.parametrize("spec", list(BarSpec))
def test_bars_are_plausible_and_in_whole_cents(spec: BarSpec) -> None:
    panel = generate(SeedSpec(seed=1, spec=spec, bars=2_000), weekdays(2_000))
    assert panel.close.shape == (2_000, 3)
    assert np.all((panel.low <= np.minimum(panel.open, panel.close)) & (panel.low > 0))
    assert np.all(panel.high >= np.maximum(panel.open, panel.close))
    assert np.all((panel.volume >= 100) & (panel.volume == np.rint(panel.volume)))
    for name in ("open", "high", "low", "close"):
        prices = getattr(panel, name)
        assert np.array_equal(prices, np.rint(prices * 100) / 100), name
    moves = np.diff(np.log(panel.close), axis=0)
    assert 0.1 < moves.std() / (0.014 * np.sqrt(min(spec.nanos, 23_400e9) / 23_400e9)) < 3


def test_intraday_bars_stay_inside_sessions() -> None:
    sessions = weekdays(3)
    panel = generate(SeedSpec(seed=1, spec=BarSpec.HOUR, bars=14), sessions)
    assert panel.opened[7] == sessions.opens[1]
    assert panel.ts[6] == sessions.closes[0]  # the last half hour
    assert all(sessions.is_open(t) for t in panel.opened.tolist())
    daily = generate(SeedSpec(seed=1, bars=3), sessions)
    assert (daily.opened.tolist(), daily.ts.tolist()) == (list(sessions.opens), list(sessions.closes))


def test_a_longer_set_begins_with_the_shorter_and_symbols_are_apart() -> None:
    long = generate(SeedSpec(seed=3, bars=500, symbols=("X", "Y")), weekdays(500))
    short = generate(SeedSpec(seed=3, bars=200, symbols=("Y",)), weekdays(500))
    for name in VALUES:
        assert np.array_equal(getattr(long, name)[:200, 1], getattr(short, name)[:, 0])
    assert not np.array_equal(long.close[:, 0], long.close[:, 1])
    assert not np.array_equal(long.close, generate(SeedSpec(seed=4, bars=500, symbols=("X", "Y")), weekdays(500)).close)


@pytest.mark.parametrize("spec", list(BarSpec))
def test_the_sessions_asked_for_are_enough(spec: BarSpec) -> None:
    made = SeedSpec(seed=0, spec=spec, bars=10_000)
    assert len(generate(made, weekdays(sessions_needed(made), hours=6.4))) == 10_000


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(DataError, match="room for 11 bars"):
        generate(SeedSpec(seed=1, bars=11), weekdays(10))
    for wrong in ({"seed": -1}, {"bars": 0}, {"symbols": ()}, {"symbols": ("A", "A")}, {"symbols": ("",)}):
        with pytest.raises(ConfigError):
            SeedSpec(**{"seed": 1, **wrong})  # type: ignore[arg-type]
