"""`make crashes`: let the trader die once at every point of the canonical flows, start it again, and judge.

A flow is played undisturbed first: that counts its commits, socket writes and turns of the loop, in every life. Then it
is played once for each of them, dying there; and for a sample of pairs, dying again in the life after.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

from msgspec import Struct, structs

from robotrader.simulation.gateway.faults import Fault
from tests import page
from tests.chaos.crash import Crash, Point
from tests.chaos.judge import violations
from tests.chaos.plan import Plan
from tests.chaos.simulate import hush
from tests.chaos.world import play
from tests.parallel import workers

_RESTART = Fault(on="reqCurrentTime", do="restart", nth=3, seconds=200)

FLOWS = {
    "start-up, entry, exit, end of the day": Plan(seed=0, sessions=5),
    "two symbols, sized by percent": Plan(seed=0, sessions=4, symbols=("AAA", "BBB"), sizer="percent:0.02"),
    "partial fill": Plan(seed=0, sessions=5, participation=2e-5),
    "bracket, replaced as the position grows, shrinks and turns": Plan(
        seed=0, sessions=6, strategy="Waves", stop_loss="percent:0.1", take_profit="percent:0.1"
    ),
    "stop-out": Plan(seed=0, sessions=5, stop_loss="percent:0.01"),
    "trailing stop, and exit by age": Plan(
        seed=0, sessions=8, strategy="Waves", stop_loss="trailing_percent:0.05", time_exit="2d"
    ),
    "bracket of a partial fill": Plan(seed=0, sessions=5, participation=2e-5, stop_loss="percent:0.05"),
    "cancel by a halt": Plan(seed=0, sessions=3, halts=3, slow_s=0.5),
    "comparison asked for with an order on its way": Plan(seed=0, sessions=4, reconciles=2, slow_s=0.5),
    "stop and start": Plan(seed=0, sessions=5, stops=2),
    "reconnect with an order on its way": Plan(
        seed=0, sessions=5, faults=(Fault(on="placeOrder", do="reset"),), names=("connection reset",)
    ),
    "catch-up of missed bars": Plan(seed=0, sessions=7, faults=(_RESTART,), names=("gateway restart",)),
}


class Case(Struct, frozen=True, kw_only=True):
    """One run of a flow; `crashes` one for each of its first lives."""

    flow: str
    crashes: tuple[Crash | None, ...]

    @property
    def kind(self) -> str:
        """Return the column of the table."""
        dies = [crash for crash in self.crashes if crash is not None]
        return "twice, drawn" if len(dies) > 1 else str(dies[0].point)


class Result(Struct, frozen=True, kw_only=True):
    """What came of a case; `met` if it died as often as it should."""

    case: Case
    met: bool
    wrong: tuple[str, ...]


def singles(flow: str) -> list[Case]:
    """Play a flow undisturbed, and return a case for each point in each of its lives."""
    played = play(FLOWS[flow])
    if wrong := violations(played):
        raise AssertionError(f"{flow}, undisturbed: {'; '.join(wrong)}")
    return [
        Case(flow=flow, crashes=(*[None] * life, Crash(point=point, nth=nth)))
        for life, seen in enumerate(played.points)
        for point in Point
        for nth in range(1, seen[point] + 1)
    ]


def pairs(cases: Sequence[Case], number: int) -> list[Case]:
    """Draw cases whose next life dies as well, at a point that its recovery is likely to reach."""
    rng = Random(f"pairs {cases[0].flow}")
    recovery = [Crash(point=p, nth=n) for p in Point for n in range(1, 100 if p is Point.TURN else 15)]
    return [structs.replace(c, crashes=(*c.crashes, rng.choice(recovery))) for c in rng.choices(cases, k=number)]


def run(case: Case) -> Result:
    """Play and judge one case."""
    hush()
    played = play(structs.replace(FLOWS[case.flow], crashes=case.crashes))
    dies = sum(crash is not None for crash in case.crashes)
    return Result(case=case, met=played.ends.count("crash") == dies, wrong=tuple(violations(played)))


def table(results: Sequence[Result]) -> str:
    """Return flow × kind of point as Markdown: how many, and what went wrong."""
    kinds = [*map(str, Point), "twice, drawn"]
    lines = ["| flow | " + " | ".join(kinds) + " | duplicates | lost | other violations |",
             "|---" * (len(kinds) + 4) + "|"]  # fmt: skip
    for flow in FLOWS:
        mine = [r for r in results if r.case.flow == flow]
        points = Counter(r.case.kind for r in mine if r.met)
        wrong = Counter(w.partition(":")[0] for r in mine for w in r.wrong)
        others = sum(wrong.values()) - wrong["duplicate"] - wrong["lost"]
        figures = [*(points[kind] for kind in kinds), wrong["duplicate"], wrong["lost"], others]
        lines.append(f"| {flow} | " + " | ".join(map(str, figures)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Play all singles, or a sample of them, and the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many of the singles only")
    parser.add_argument("--flow", choices=FLOWS, help="this one only")
    parser.add_argument("--pairs", type=int, default=40, help="for each flow")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    options = parser.parse_args()
    hush()
    started = time.monotonic()
    by_flow = [singles(flow) for flow in ([options.flow] if options.flow else FLOWS)]
    cases = [case for flow in by_flow for case in flow]
    if options.sample is not None:
        cases = Random(options.sample).sample(cases, min(options.sample, len(cases)))
    cases += [case for flow in by_flow for case in pairs(flow, options.pairs)]
    with workers() as pool:
        results = list(pool.map(run, cases, chunksize=8))
    failed = [r for r in results if r.wrong or (r.case.kind != "twice, drawn" and not r.met)]
    for result in failed:
        print(f"{result.case}: {'; '.join(result.wrong) or 'the crash did not come'}", file=sys.stderr)
    if options.write:
        page.write("reliability.md", "crashes", table(results))
    print(table(results))
    print(json.dumps({"target": "crashes", "passed": len(results) - len(failed), "failed": len(failed),
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
