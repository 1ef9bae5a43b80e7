"""`make mutants`: plant each bug of the design's list and show what kills it; a survivor fails. Last line: JSON."""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.hunt import Hunt, hunt, sound
from tests.mutants.planted import MUTANTS
from tests.page import write


def table(hunts: list[Hunt]) -> str:
    """Return the table as Markdown."""
    lines = [
        f"{sum(h.killed for h in hunts)} of {len(hunts)} are killed.",
        "",
        "| planted bug | killed by |",
        "|---|---|",
    ]
    for h in hunts:
        killers = ", ".join(f"`{t.rpartition('/')[2]}`" for t in h.killers)
        lines.append(f"| {h.name} | {killers if h.killed else '**survives**'} |")
    return "\n".join(lines)


def main() -> int:
    """Hunt all mutants, or those whose names contain one of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; default: all, and write docs/reliability.md")
    names = parser.parse_args().names
    started = time.monotonic()
    wanted = [m for m in MUTANTS if not names or any(name in m.name for name in names)]
    wrong = sound(sorted({test for m in wanted for test in m.tests}))
    if wrong:
        print(f"the tests fail without any bug:\n{wrong}", file=sys.stderr)
    with ThreadPoolExecutor(2) as pool:
        hunts = list(pool.map(hunt, wanted))
    for h in hunts:
        what = f"killed by {', '.join(h.killers)}" if h.killed else f"SURVIVES {', '.join(h.silent)}"
        print(f"{h.name}: {what}, {h.seconds:.1f} s", file=sys.stderr)
    killed = 0 if wrong else sum(h.killed for h in hunts)
    if killed == len(MUTANTS):
        write("reliability.md", "mutants", table(hunts))
    print(json.dumps({"target": "mutants", "passed": killed, "failed": len(hunts) - killed,
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 0 if killed == len(hunts) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
