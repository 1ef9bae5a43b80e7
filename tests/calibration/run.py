"""`make calibration`: every claim on 1,000 fixed seeds; `--write` puts the table into docs/significance.md."""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.calibration.claims import CLAIMS, judge

PAGE = Path(__file__).parents[2] / "docs" / "significance.md"
MARK = "<!-- written by make calibration ARGS=--write -->\n"


def main() -> int:
    """Try the claims, print a table and one line of JSON; 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="write docs/significance.md")
    options = parser.parse_args()
    started, failed = time.perf_counter(), 0
    lines = ["| claim | promised | found | 99 % interval | holds |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        found = judge(claim, options.seeds)
        failed += not found.keeps(claim)
        cells = (claim.text, claim.bound, f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}",
                 "yes" if found.keeps(claim) else "NO")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        sys.stderr.write(lines[-1] + "\n")
    if options.write:
        head, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
        PAGE.write_text(f"{head}{MARK}\n{options.seeds:,} seeds each.\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    seconds = round(time.perf_counter() - started, 1)
    counts = {"passed": len(CLAIMS) - failed, "failed": failed, "seeds": options.seeds, "seconds": seconds}
    sys.stdout.write(json.dumps({"target": "calibration", **counts}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
