"""A bounded sample of `make chaos`; the same seed is the same run; a planted bug does not get through."""

import json
from itertools import takewhile
from typing import Any

import pytest

from robotrader.engine.settlement import Settlement
from robotrader.model import OrderState
from tests.chaos import simulate
from tests.chaos.crash import Crash, Point
from tests.chaos.judge import violations
from tests.chaos.plan import FAULTS, Plan, draw
from tests.chaos.simulate import REACHABLE, Verdict, hush, run, summary
from tests.chaos.world import CRASH, play
from tests.parallel import workers

SEEDS = range(1, 61)


def test_a_sample_of_seeds_holds_and_most_of_them_count() -> None:
    with workers() as pool:
        verdicts = list(pool.map(run, SEEDS, chunksize=4))
    assert {v.seed: v.wrong for v in verdicts if v.wrong} == {}
    assert sum(bool(v.cells) for v in verdicts) > len(SEEDS) / 2
    assert any(v.crashes for v in verdicts)


def test_a_seed_is_the_same_run_each_time() -> None:
    hush()
    seed = next(s for s in SEEDS if draw(s).crashes and draw(s).shuffled and draw(s).faults)
    first, again = play(draw(seed)), play(draw(seed))
    assert CRASH in first.ends
    assert len(first.rows) > 50
    assert (first.digest, first.hits, first.ends, first.points) == (again.digest, again.hits, again.ends, again.points)


def _resending(settle: Any) -> Any:
    """Plant a bug: send again, before the comparison, what was not acknowledged."""

    async def planted(settlement: Settlement, *about: Any, **more: Any) -> Any:
        orders = settlement.trader.orders
        last = max((w.broker_order_id or 0 for w in orders), default=0)
        for n, working in enumerate([w for w in orders if w.state is OrderState.SENDING], 1):
            settlement.broker.submit(working.order, last + n)
        return await settle(settlement, *about, **more)

    return planted


def test_an_order_that_is_sent_again_after_a_restart_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settlement, "settle", _resending(Settlement.settle))
    verdicts = takewhile(lambda v: not any(w.startswith("duplicate") for w in v.wrong), map(run, SEEDS))
    assert len(list(verdicts)) < len(SEEDS)


def test_a_crash_ends_a_life_and_the_next_one_goes_on() -> None:
    hush()
    played = play(Plan(seed=0, crashes=(Crash(point=Point.AFTER_WRITE, nth=30),)))
    assert played.ends == [CRASH, "the source of time ended"]
    assert played.points[0][Point.AFTER_WRITE] == 30
    assert violations(played) == []


def test_a_long_run_fails_for_a_cell_that_no_seed_met(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict(
        seed=1, wrong=(), hidden=(), cells=(("half-open", "SENDING"),), crashes=0, halted="", placed=1, digest=""
    )
    assert summary([verdict], 0.0).failed == 0
    monkeypatch.setattr(simulate, "ALL_CELLS_FROM", 1)
    report = summary([verdict], 0.0)
    assert "connection reset × SENDING" in report.empty_cells
    assert "half-open × SENDING" not in report.empty_cells
    assert report.failed == len(report.empty_cells)


def test_every_reachable_cell_names_a_fault_that_is_drawn_or_a_crash() -> None:
    cells = json.loads(REACHABLE.read_text(encoding="utf-8"))
    assert cells.keys() <= FAULTS.keys() | {f"crash {point}" for point in Point}
    assert len(cells) > len(FAULTS) / 2
