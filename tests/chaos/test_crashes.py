"""A bounded sample of `make crashes`: one crash at drawn points of every flow, and one after it."""

from random import Random

from msgspec import structs

from tests.chaos.crash import Crash, Point
from tests.chaos.crashes import FLOWS, Case, pairs, run, singles
from tests.chaos.judge import explained, violations
from tests.chaos.simulate import hush
from tests.chaos.world import play
from tests.parallel import workers

POINTS, PAIRS = 16, 3


def test_no_crash_duplicates_or_loses_an_order() -> None:
    hush()
    rng, cases = Random(1), list[Case]()
    for flow in FLOWS:
        points = singles(flow)
        cases += [*rng.sample(points, POINTS), *pairs(points, PAIRS)]
    with workers() as pool:
        results = list(pool.map(run, cases, chunksize=4))
    assert {str(r.case): r.wrong for r in results if r.wrong} == {}
    assert all(r.met for r in results if len(r.case.crashes) == 1)


def test_an_entry_that_died_before_its_stop_was_sent_is_given_up_and_trading_goes_on() -> None:
    hush()
    plan, states = FLOWS["stop-out"], set[tuple[str, ...]]()
    for nth in range(20, 36):
        played = play(structs.replace(plan, crashes=(Crash(point=Point.AFTER_WRITE, nth=nth),)))
        states.add(tuple(str(w.state) for w in played.trader.orders)[:2])
        assert (violations(played), explained(played)) == ([], "")
    assert ("VOIDED", "VOIDED") in states, "none of these crashes is the one between the two writes"
