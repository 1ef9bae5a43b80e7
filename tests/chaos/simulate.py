"""`make chaos SEEDS=N`: play N drawn runs, judge each, and count which faults met which states of an order.

The last line of the output is JSON. A seed that fails is printed with the command that plays it again, the same way.
A seed counts only if an order of ours was open, from the decision on, when a fault or a crash hit.
"""

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tests import page
from tests.chaos.judge import HIDDEN, explained, judged
from tests.chaos.plan import draw
from tests.chaos.world import CRASH, Played, play
from tests.parallel import workers

REACHABLE = Path(__file__).with_name("reachable.json")
ALL_CELLS_FROM = 2_000
"""So many seeds must meet every reachable cell."""
SENTENCE = (
    "{seeds} seeds, of which {counted} count: an order was on its way when a fault or a crash hit. {crashes} crashes "
    "and {orders} orders sent: {duplicates} duplicates, {lost} lost, {failed} failed. {halted} runs ended halted; in "
    "{hidden} the books differ from the broker's, and none of its messages, answers to comparisons included, said so."
)


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of a seed."""

    seed: int
    wrong: tuple[str, ...]
    hidden: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    crashes: int
    halted: str
    placed: int
    digest: str


class Report(Struct, frozen=True, kw_only=True):
    """The figures of a run of many seeds; `failed` counts seeds and empty cells, `failing` names the first seeds."""

    target: str = "chaos"
    passed: int
    failed: int
    seconds: float
    seeds: int
    counted: int
    crashes: int
    orders: int
    duplicates: int
    lost: int
    hidden: int
    halted: int
    empty_cells: list[str]
    failing: list[int]


def run(seed: int) -> Verdict:
    """Play and judge a seed."""
    hush()
    played = play(draw(seed))
    found = judged(played)
    return Verdict(
        seed=seed, wrong=tuple(s for s in found if not s.startswith(HIDDEN)),
        hidden=tuple(s for s in found if s.startswith(HIDDEN)), cells=cells(played), crashes=played.ends.count(CRASH),
        halted=explained(played).partition(":")[0], placed=len(played.record.placements), digest=played.digest,
    )  # fmt: skip


def hush() -> None:
    """Keep the logs of runs that are meant to go wrong off the screen."""
    for name in ("robotrader", "ib_async.client", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def cells(played: Played) -> tuple[tuple[str, str], ...]:
    """Return which fault met an order in which state."""
    return tuple(sorted({(hit.what, state) for hit in played.hits for state in hit.states}))


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return fault × order state as Markdown: in how many seeds they met."""
    states = sorted({state for _, state in counts})
    lines = ["| fault | " + " | ".join(states) + " |", "|---" * (len(states) + 1) + "|"]
    rows = {what: [str(counts.get((what, s), "–")) for s in states] for what in sorted({w for w, _ in counts})}
    return "\n".join([*lines, *(f"| {what} | {' | '.join(row)} |" for what, row in rows.items())])


def empty(counts: Counter[tuple[str, str]]) -> list[str]:
    """Return the reachable cells that no seed met."""
    reachable: dict[str, list[str]] = json.loads(REACHABLE.read_text(encoding="utf-8"))
    return [f"{what} × {state}" for what, states in reachable.items() for state in states if not counts[what, state]]


def reach(counts: Counter[tuple[str, str]], least: int) -> None:
    """Commit the cells that so many seeds met as those that a long run must not leave empty."""
    met = {what: sorted(s for w, s in counts if w == what and counts[w, s] >= least) for what, _ in sorted(counts)}
    REACHABLE.write_text(json.dumps({w: s for w, s in met.items() if s}, indent=1) + "\n", encoding="utf-8")


def summary(verdicts: Sequence[Verdict], seconds: float) -> Report:
    """Return the figures of a run of many seeds."""
    counts = Counter(cell for v in verdicts for cell in v.cells)
    failing, wrong = [v.seed for v in verdicts if v.wrong], [w for v in verdicts for w in v.wrong]
    missing = empty(counts) if len(verdicts) >= ALL_CELLS_FROM else []
    return Report(
        passed=len(verdicts) - len(failing), failed=len(failing) + len(missing), seconds=round(seconds, 1),
        seeds=len(verdicts), counted=sum(bool(v.cells) for v in verdicts), crashes=sum(v.crashes for v in verdicts),
        orders=sum(v.placed for v in verdicts), duplicates=sum(w.startswith("duplicate") for w in wrong),
        lost=sum(w.startswith("lost") for w in wrong),
        hidden=sum(bool(v.hidden) for v in verdicts), halted=sum(bool(v.halted) for v in verdicts),
        empty_cells=missing, failing=failing[:20],
    )  # fmt: skip


def main() -> int:
    """Play, print, and return 1 when anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="play this one only, and say all about it")
    parser.add_argument("--write", action="store_true", help="write figures and table into docs/reliability.md")
    parser.add_argument("--reach", type=int, metavar="N", help="make cells met by N seeds or more the reachable ones")
    options = parser.parse_args()
    if options.seed is not None:
        return _tell(options.seed)
    started = time.monotonic()
    with workers() as pool:
        seeds = range(options.first, options.first + options.seeds)
        verdicts = [_shown(n, verdict) for n, verdict in enumerate(pool.map(run, seeds, chunksize=8), 1)]
    counts = Counter(cell for v in verdicts for cell in v.cells)
    if options.reach:
        reach(counts, options.reach)
    report = summary(verdicts, time.monotonic() - started)
    figures = msgspec.to_builtins(report)
    if options.write:
        page.write("reliability.md", "chaos", f"{SENTENCE.format(**figures)}\n\n{table(counts)}")
    print(table(counts))
    print(json.dumps(figures))
    return 1 if report.failed else 0


def _shown(n: int, verdict: Verdict) -> Verdict:
    """Print what does not hold, and how to see it again; and now and then how far the run is."""
    if n % 1_000 == 0:
        print(f"{n} seeds", file=sys.stderr)
    for sentence in verdict.wrong:
        print(f"seed {verdict.seed}: {sentence}", file=sys.stderr)
    if verdict.wrong:
        print(f"  again: python -m tests.chaos.simulate --seed {verdict.seed}", file=sys.stderr)
    return verdict


def _tell(seed: int) -> int:
    """Play one seed and print its plan, its journal and what does not hold."""
    logging.getLogger("robotrader").setLevel(logging.INFO)
    played = play(draw(seed))
    print(played.plan)
    for row in played.rows:
        if row.kind != "raw" and '"warmup":true' not in row.payload:
            print(f"{row.seq:4d} {row.kind:7s} {row.payload[:300]}")
    for line in (*played.record.placements, *played.record.executions, *played.hits):
        print(line)
    print(f"ends: {played.ends}, {explained(played) or 'ACTIVE'}, digest {played.digest}")
    wrong = judged(played)
    print("\n".join(wrong) or "all holds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
