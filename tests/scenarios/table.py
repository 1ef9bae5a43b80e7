"""Every fault in every state of the link: what the supervisor did, and whether anything was lost or sent twice.

`make reliability` plays all cells and writes docs/reliability.md; `--check` plays a sample and compares it with the
file. Each cell is a scenario of its own: the trader is brought into the state, then the fault strikes. The strategy
decides on an entry half a minute after the close, and the entry fills at the next open.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from msgspec import Struct

from robotrader.model import LinkState
from robotrader.simulation.gateway.faults import Fault
from tests import page
from tests.parallel import workers
from tests.scenarios.judge import failures
from tests.scenarios.play import Outcome, play
from tests.scenarios.script import Expect, Scenario

CLOSE, OPEN = 300.0, 63_300.0  # 16:00 and 9:30, in seconds after the start at 15:55
_LASTS = 64_200.0
_LETTER = {
    LinkState.DISCONNECTED: "D", LinkState.CONNECTING: "C", LinkState.SYNCING: "S", LinkState.READY: "R",
    LinkState.DEGRADED: "G", LinkState.RESET_WINDOW: "W", LinkState.LOGIN_NEEDED: "L",
}  # fmt: skip


class Case(Struct, frozen=True, kw_only=True):
    """One fault: its row's name, when it strikes, the script, and whether trading may end HALTED."""

    name: str
    at: float = CLOSE
    faults: tuple[Fault, ...]
    halts: bool = False


def _case(name: str, *faults: Fault, at: float = CLOSE, halts: bool = False) -> Case:
    return Case(name=name, at=at, faults=faults, halts=halts)


def _on(message: str, do: str, **options: object) -> Fault:
    return Fault(on=message, do=do, **options)  # type: ignore[arg-type]


CASES = (
    _case("half-open for 60 s", Fault(at=CLOSE, do="half-open", seconds=60)),
    _case("connection reset", Fault(at=CLOSE, do="reset")),
    _case("EOF inside a frame", _on("currentTime", "cut", nth=61, times=1)),
    _case("gateway restart, ids roll back", Fault(at=CLOSE, do="restart", seconds=30, rollback=True)),
    _case("1100/1101 storm, five times", Fault(at=CLOSE, do="link-lost", seconds=8, restored=1101, again=16, times=5)),
    _case("1100/1102 storm, five times", Fault(at=CLOSE, do="link-lost", seconds=8, restored=1102, again=16, times=5)),
    _case("1100, orders swallowed", Fault(at=CLOSE, do="link-lost", seconds=90, restored=1102, requests="swallow")),
    _case("2103, market data farm broken", Fault(at=CLOSE, do="farm", code=2103, seconds=90)),
    _case("326, client id in use", _on("startApi", "refuse", nth=2, times=3, code=326), Fault(at=CLOSE, do="reset")),
    _case("100, over the message rate, then closed", Fault(at=CLOSE, do="error", code=100, close=True)),
    _case("162, history pacing", _on("reqHistoricalData", "refuse", nth=2, times=2, code=162)),
    _case("clock 10 s off", Fault(at=CLOSE, do="skew", seconds=10), halts=True),
    _case("openOrder and orderStatus lost", _on("openOrder", "drop", times=2), _on("orderStatus", "drop", times=2)),
    _case(  # also of the answers to comparisons: an order that none of them shows stays unknown
        "callbacks 20 s late",
        _on("openOrder", "delay", seconds=20),
        _on("orderStatus", "delay", seconds=20),
        halts=True,
    ),
    _case("every callback twice", *(_on(m, "duplicate") for m in ("openOrder", "orderStatus", "execDetails"))),
    _case("placeOrder swallowed", _on("placeOrder", "drop", times=1)),
    _case("Filled before execDetails", _on("execDetails", "hold", until="orderStatus", times=1), at=OPEN),
    _case("commission never", _on("commissionReport", "drop"), at=OPEN),
    _case("execution corrected by .02", _on("execDetails", "correct", by=0.05, times=1, wait=5), at=OPEN),
    _case("execution busted", _on("execDetails", "correct", quantity=0, times=1, wait=5), at=OPEN),
    _case("order vanishes without a word", _on("orderStatus", "vanish", times=1, wait=30), halts=True),
    _case("new permId", _on("orderStatus", "new-perm-id", times=1, wait=30), halts=True),
    _case("manual order in TWS", Fault(at=CLOSE, do="manual-order", symbol="AAA", quantity=7), at=OPEN),
    _case("broker liquidates", Fault(at=OPEN + 60, do="liquidate", symbol="AAA"), at=OPEN + 60, halts=True),
    _case("fill while disconnected", Fault(at=OPEN - 30, do="restart", seconds=90), at=OPEN),
    _case("no End of empty executions", _on("execDetailsEnd", "drop-if-empty", times=2)),
)


def _prepared(state: LinkState, at: float) -> dict[str, object]:
    """Return what brings the trader into a state before `at` and keeps it there for a while."""
    faults: dict[LinkState, tuple[Fault, ...]] = {
        LinkState.DISCONNECTED: (Fault(at=at - 60, do="link-lost", seconds=120, restored=1102),),
        LinkState.CONNECTING: (Fault(at=at - 60, do="restart", seconds=90),),
        LinkState.SYNCING: (Fault(at=at - 8, do="reset"), _on("positionEnd", "delay", nth=3, times=2, seconds=8)),
        LinkState.DEGRADED: (Fault(at=at - 60, do="farm", code=2105, seconds=240),),
    }
    minute = "15:59" if at < OPEN else "09:29"
    return {"faults": faults.get(state, ()), "restart_at": minute if state is LinkState.RESET_WINDOW else "23:45"}


STATES = (LinkState.CONNECTING, LinkState.SYNCING, LinkState.READY, LinkState.DEGRADED, LinkState.DISCONNECTED,
          LinkState.RESET_WINDOW)  # fmt: skip


def scenario(case: Case, state: LinkState) -> Scenario:
    """Return the scenario of one cell."""
    prepared = _prepared(state, case.at)
    faults = (*prepared["faults"], *case.faults)  # type: ignore[misc]
    return Scenario(
        id="cell", title=f"{case.name} in {state}", mutant="", start="2024-03-04 15:55", lasts=_LASTS, tick=30.0,
        faults=faults, restart_at=str(prepared["restart_at"]), expect=Expect(orders=0, fills=0),
    )  # fmt: skip


class Cell(Struct, frozen=True, kw_only=True):
    """What came of one cell: its text for the table, and what should not have happened.

    `syncs`: seconds from each session that opened, or link that was restored, until the trader was READY.
    """

    case: str
    state: str
    text: str
    wrong: tuple[str, ...]
    syncs: tuple[float, ...]


def run_cell(place: tuple[int, int]) -> Cell:
    """Play one cell."""
    logging.getLogger("robotrader").setLevel(logging.CRITICAL)
    case, state = CASES[place[0]], STATES[place[1]]
    with tempfile.TemporaryDirectory() as folder:
        made = scenario(case, state)
        outcome = play(made, Path(folder))
    return Cell(case=case.name, state=state, text=_text(case, outcome), wrong=tuple(_wrong(case, made, outcome)),
                syncs=tuple(_syncs(outcome)))  # fmt: skip


def _wrong(case: Case, made: Scenario, outcome: Outcome) -> list[str]:
    """Return what must not happen in any cell; how many orders leave depends on fault and state."""
    orders, trader = [p for p in outcome.record.placements if p.code == 0 and not p.modify], outcome.trader
    expect = Expect(
        orders=len(orders), fills=len(outcome.record.executions), max_loss=2_000.0, logins_an_hour=20,
        positions={i.partition(".")[0]: q for i, q in outcome.record.positions.items()},
        unknown=sum(w.unresolved for w in trader.orders.open_orders()),
        trading_state=trader.states.of((None, None))[0] if case.halts else "ACTIVE",
    )  # fmt: skip
    made = Scenario(**{**{f: getattr(made, f) for f in made.__struct_fields__}, "expect": expect})
    ours = {i: q for i in trader.instruments if (q := trader.ledger.quantity(i))}
    found = failures(made, outcome)
    if ours != dict(outcome.record.positions):
        found.append(f"we hold {ours}, the broker {dict(outcome.record.positions)}")
    return found


def _syncs(outcome: Outcome) -> Iterator[float]:
    """Yield how long each comparison took that ended READY; one that the link cut short begins anew."""
    for before, after in pairwise(outcome.links):
        if (before.state, after.state) == (LinkState.SYNCING, LinkState.READY):
            yield outcome.seconds(after.ts_event) - outcome.seconds(before.ts_event)


def reconnects(cells: Sequence[Cell]) -> str:
    """Return how long it took to be READY again, over all cells."""
    syncs = sorted(s for cell in cells for s in cell.syncs)
    p50, p99 = (syncs[min(int(len(syncs) * q), len(syncs) - 1)] for q in (0.5, 0.99))
    return (
        f"From the first byte of a new session, or the word that the link is restored, to READY, in {len(syncs)} "
        f"reconnections of the table above (seconds of the simulated clock, the waits for late reports included): "
        f"p50 {p50:.1f} s, p99 {p99:.1f} s, longest {syncs[-1]:.1f} s."
    )


def _text(case: Case, outcome: Outcome) -> str:
    """Write a cell: the states from the fault on, seconds until it was READY for good, and what became of the entry."""
    after = [link for link in outcome.links if case.at - 1 <= outcome.seconds(link.ts_event) < case.at + 7_200]
    path = "".join(_LETTER[state] for state, _ in groupby(link.state for link in after))
    ready = [outcome.seconds(link.ts_event) - case.at for link in after if link.state is LinkState.READY]
    orders, fills = len(outcome.record.placements), len(outcome.record.executions)
    entry = "filled" if fills else "sent" if orders else "no entry"
    halted = ", HALTED" if outcome.trader.states.of((None, None))[0] != "ACTIVE" else ""
    told = ", ticket" if outcome.trader.breaks else halted
    return f"{path or '–'}{f' {ready[-1]:.0f} s' if ready else ''}, {entry}{told}"


def table(cells: Sequence[Cell]) -> str:
    """Return the table as Markdown."""
    lines = ["| fault | " + " | ".join(STATES) + " |", "|---" * (len(STATES) + 1) + "|"]
    for name, row in groupby(cells, key=lambda c: c.case):
        lines.append("| " + " | ".join([name, *(c.text + (" **wrong**" if c.wrong else "") for c in row)]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Play all cells, or a sample of them, and write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=int, default=0, metavar="N", help="play N cells only and write nothing")
    options = parser.parse_args()
    started = time.monotonic()
    places = [(c, s) for c in range(len(CASES)) for s in range(len(STATES))]
    if options.check:
        places = random.Random(options.check).sample(places, options.check)
    with workers() as pool:
        cells = list(pool.map(run_cell, places))
    said = (page.DOCS / "reliability.md").read_text(encoding="utf-8")
    wrong = [f"{c.case} in {c.state}: {sentence}" for c in cells for sentence in c.wrong]
    if options.check:
        wrong += [f"{c.case} in {c.state}: the page does not say '{c.text}'" for c in cells if c.text not in said]
    else:
        page.write("reliability.md", "table", table(cells))
        page.write("reliability.md", "reconnect", reconnects(cells))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    bad = len({sentence.partition(":")[0] for sentence in wrong})
    print(json.dumps({"target": "reliability", "passed": len(cells) - bad, "failed": bad,
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
