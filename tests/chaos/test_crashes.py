"""A bounded sample of `make crashes`: one crash at drawn points of every flow, and one after it."""

from concurrent.futures import ProcessPoolExecutor
from random import Random

import pytest

from tests.chaos.crashes import FLOWS, Case, pairs, run, singles
from tests.chaos.simulate import hush

POINTS, PAIRS = 16, 3


@pytest.mark.timeout(300)
def test_no_crash_duplicates_or_loses_an_order() -> None:
    hush()
    rng, cases = Random(1), list[Case]()
    for flow in FLOWS:
        points = singles(flow)
        cases += [*rng.sample(points, POINTS), *pairs(points, PAIRS)]
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(run, cases, chunksize=4))
    assert {str(r.case): r.wrong for r in results if r.wrong} == {}
    assert all(r.met for r in results if len(r.case.crashes) == 1)
