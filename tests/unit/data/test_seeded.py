"""Seeded bars are the same for ever, and look like bars."""

from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
from msgspec import structs

from robotrader.data.frame import BarFrame, panel_hash
from robotrader.data.inspection import inspect
from robotrader.data.live_gate import LiveGate, judge_quote
from robotrader.data.panel import VALUES, Panel
from robotrader.data.quality import Rule
from robotrader.data.seeded import SeedSpec, actions, generate, quotes, sessions_needed
from robotrader.model import BarSpec, ConfigError, DataError
from tests.unit.data.bars import MINUTE, weekdays

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


DISTURBED = SeedSpec(
    seed=11, symbols=("A", "B"), spec=BarSpec.MINUTE, bars=20_000, splits=3, jumps=4, gaps=5, bad_ticks=10
)
GOLDEN_DISTURBED = "ffa63fb40fb33f8bf59ec0a65dd2a3a46a1585360a7811178aea218eea44dcd0"
GOLDEN_QUOTES = "cef127db3217655be9310630f9cf4d93960f3944d927412e432353e6a1622ca2"
HALF_DAYS = structs.replace(  # every fifth session closes early
    weekdays(60), closes=tuple(c - (180 * MINUTE if k % 5 == 4 else 0) for k, c in enumerate(weekdays(60).closes))
)


def frame(panel: Panel, k: int) -> BarFrame:
    """Return one column's bars as a file would hold them."""
    there = np.flatnonzero(~np.isnan(panel.close[:, k]))
    cells = {name: getattr(panel, name)[there, k] for name in VALUES}
    return BarFrame(
        symbols=("AB"[k],), row=there + 1, symbol=np.zeros(len(there), np.int64), start=panel.opened[there],
        end=panel.ts[there], **cells,
    )  # fmt: skip


def test_the_gate_finds_what_was_planted_and_nothing_else() -> None:
    panel, plain = generate(DISTURBED, HALF_DAYS), generate(quiet(DISTURBED), HALF_DAYS)
    for k in range(2):
        found = inspect(frame(panel, k), spec=BarSpec.MINUTE, sessions=HALF_DAYS, actions=actions(DISTURBED, HALF_DAYS))
        assert {rule: found.by_rule[rule] for rule in (Rule.SWAPPED, Rule.POSITIVE, Rule.RANGE, Rule.VOLUME)} == {
            Rule.SWAPPED: 2, Rule.POSITIVE: 2, Rule.RANGE: 2, Rule.VOLUME: 2,
        }  # fmt: skip
        assert found.by_rule[Rule.JUMP] == 4 + 2 * 2  # a slipped point jumps there and back
        assert found.by_rule[Rule.GAP] == 5 + 8  # a bar that was set aside leaves a gap too
        assert set(found.by_rule) == {*(q.rule for q in found.quarantined), Rule.JUMP, Rule.GAP}
        clean = inspect(frame(plain, k), spec=BarSpec.MINUTE, sessions=HALF_DAYS)
        assert (clean.quarantined, clean.warnings, clean.flags) == ((), (), {})
        unknown = inspect(frame(panel, k), spec=BarSpec.MINUTE, sessions=HALF_DAYS)
        assert unknown.by_rule[Rule.JUMP] == found.by_rule[Rule.JUMP] + 3  # nobody told of the splits


def test_a_live_feed_of_the_set_gets_the_verdicts_of_the_file() -> None:
    panel, told = generate(DISTURBED, HALF_DAYS), actions(DISTURBED, HALF_DAYS)
    gate, live = LiveGate(HALF_DAYS, told), Counter[tuple[str, Rule]]()
    for _, _, bars in panel.cross_sections():
        live.update((bar.instrument, finding.rule) for bar in bars for finding in gate.judge(bar))
    files = Counter[tuple[str, Rule]]()
    for k in range(2):
        found = inspect(frame(panel, k), spec=BarSpec.MINUTE, sessions=HALF_DAYS, actions=told)
        files.update({(panel.ids[k], rule): count for rule, count in found.by_rule.items()})
    assert live == files
    assert sum(files.values()) == 58


def quiet(spec: SeedSpec) -> SeedSpec:
    return structs.replace(spec, splits=0, jumps=0, gaps=0, bad_ticks=0)


def test_what_disturbs_a_set_never_changes_either() -> None:
    assert panel_hash(generate(DISTURBED, HALF_DAYS)) == GOLDEN_DISTURBED
    made = quotes(generate(SeedSpec(seed=7, bars=500), weekdays(500)), seed=7, crossed=3)
    text = "".join(f"{q.instrument} {q.ts_event} {q.bid!r} {q.ask!r} {q.bid_size} {q.ask_size}\n" for q in made)
    assert sha256(text.encode()).hexdigest() == GOLDEN_QUOTES


def test_prices_and_volumes_change_units_at_a_split() -> None:
    spec = SeedSpec(seed=5, symbols=("A.NYSE",), bars=300, splits=2)
    raw, plain = generate(spec, weekdays(300)), generate(quiet(spec), weekdays(300))
    told = actions(spec, weekdays(300))
    assert [(a.symbol, a.kind) for a in told] == [("A", "split")] * 2
    days = [weekdays(300).dates.index(a.ex_date) for a in told]
    assert np.array_equal(raw.close[: days[0]], plain.close[: days[0]])
    ratio = 1.0
    for action, begin, end in zip(told, days, [*days[1:], 300], strict=True):
        assert action.last_cum_day == weekdays(300).dates[begin - 1]
        assert action.known_at < action.ex_at < raw.opened[begin]
        ratio *= action.new / action.old
        assert np.allclose(raw.close[begin:end] * ratio, plain.close[begin:end], atol=0.02 * max(ratio, 1))
        assert np.allclose(raw.volume[begin:end] / ratio, plain.volume[begin:end], rtol=0.001)


def test_quotes_stand_around_the_close_and_as_many_are_crossed_as_asked() -> None:
    panel = generate(SeedSpec(seed=7, bars=500, gaps=2), weekdays(500))
    made = quotes(panel, seed=7, crossed=3)
    assert len(made) == panel.bar_count < 1_500
    rules = [finding.rule for quote in made for finding in judge_quote(quote)]
    assert rules == [Rule.CROSSED] * 9
    assert [q.ts_event for q in made] == sorted(q.ts_event for q in made)
    closes = {
        (iid, int(ts)): c for k, iid in enumerate(panel.ids) for ts, c in zip(panel.ts, panel.close[:, k], strict=True)
    }
    for quote in made:
        close = closes[quote.instrument, quote.ts_event]
        assert min(quote.bid, quote.ask) - 0.015 <= close <= max(quote.bid, quote.ask) + 0.015
        assert abs(quote.ask - quote.bid) < 0.045


def test_more_disturbance_than_fits_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 0 to 5 gaps in 100 bars, found 6"):
        SeedSpec(seed=1, bars=100, gaps=6)
    with pytest.raises(ConfigError, match="bad_ticks"):
        SeedSpec(seed=1, bars=100, bad_ticks=-1)
    with pytest.raises(DataError, match="more than 2 sessions"):
        generate(SeedSpec(seed=1, spec=BarSpec.MINUTE, bars=700, splits=2), weekdays(5))
