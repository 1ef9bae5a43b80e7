"""`make lifecycle`: five strategies are submitted to the lifecycle; print how far each came, and what stopped it.

The defaults of all gates, the paper limits, 15-minute bars, a gateway simulator. Last line: JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from robotrader.model import Gate, Stage, StageJudged
from tests.lifecycle.proof import Proof, prove

SESSIONS, EDGE_UNTIL = 120, 95
STOPPED = {
    "overfit": (Gate.RESEARCH, "deflated_sharpe"), "leaking": (Gate.CODE, "rule_truncation"),
    "crashing": (Gate.SHADOW, "faults"), "greedy": (Gate.SHADOW, "virtual_denied"),
}  # fmt: skip
"""The gate that must stop each of the others, and a reason that must be on record."""
WAY = ((Stage.SHADOW, 0.0), (Stage.PAPER, 1.0), (Stage.CANARY, 0.05), (Stage.LIVE, 0.25), (Stage.LIVE, 0.5),
       (Stage.LIVE, 1.0), (Stage.SHADOW, 0.0))  # fmt: skip
WITHIN = 10


def failures(proof: Proof, edge_until: int) -> list[str]:
    """Return what is not as it must be; empty when all is."""
    found = [] if proof.verified else ["the journal does not verify"]
    way = tuple((j.stage, j.share) for j in proof.judged if j.strategy == "good" and _moved(j))
    if way != WAY:
        found.append(f"good: expected {WAY}, found {way}")
    last = proof.of("good")[-1]
    if last.gate is not Gate.GUARD or not edge_until < proof.session(last) <= edge_until + WITHIN:
        found.append(
            f"good: taken back by {last.gate} in session {proof.session(last)}, its edge ended with {edge_until}"
        )
    for name, (gate, reason) in STOPPED.items():
        told = proof.of(name)[-1] if proof.of(name) else None
        if told is None or told.gate is not gate or told.stage not in {Stage.RESEARCH, Stage.SHADOW}:
            found.append(f"{name}: expected {gate} to stop it, found {told}")
        elif reason not in {c.name for c in told.criteria if not c.met}:
            found.append(f"{name}: expected {reason} on record, found {told.reason}")
    strangers = {proof.orders.get(p.order_ref) for p in proof.record.placements} - {"good"}
    if strangers:
        found.append(f"orders on the wire of {strangers}: only the good one may send any")
    by_hand = [j for j in proof.judged if j.actor != "trader" and j.before is not Stage.RESEARCH]
    return [*found, *(f"{j.strategy}: {j.actor} had a hand in {j.stage}" for j in by_hand)]


def _moved(judged: StageJudged) -> bool:
    return judged.stage is not judged.before or judged.reason.endswith("is met")


def table(proof: Proof) -> str:
    """Return every decision as Markdown."""
    lines = ["| session | strategy | gate | decision | share | why |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {proof.session(j)} | {j.strategy} | {j.gate} | {j.before} → {j.stage} | {j.share:.0%} | {j.reason} |"
        for j in sorted(proof.judged, key=lambda j: (j.ts_event, j.strategy))
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the proof with the gates' defaults."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="robotrader-lifecycle-") as folder:
        proof = prove(Path(folder), sessions=SESSIONS, edge_until=EDGE_UNTIL)
    wrong = failures(proof, EDGE_UNTIL)
    print(table(proof), file=sys.stderr)
    for text in wrong:
        print(f"FAILED {text}", file=sys.stderr)
    print(json.dumps({"target": "lifecycle", "passed": len(STOPPED) + 1 - len(wrong), "failed": len(wrong),
                      "orders": len(proof.record.placements),
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
