"""`make clients`: judge the gateway simulator by foreign clients; the last line is one JSON object."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Tally:
    """Count what passed and what did not."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one result; a set-up or a tear-down counts when it fails."""
        if report.when == "call" or report.failed:
            self.results[report.outcome] += 1


def main() -> int:
    """Run, print the line, and return pytest's exit code."""
    tally, started = Tally(), time.perf_counter()
    code = int(pytest.main(["-q", "-n", "2", str(HERE), *sys.argv[1:]], plugins=[tally]))
    failed = tally.results["failed"] + (code != 0 and not tally.results["failed"])
    found = {"target": "clients", "passed": tally.results["passed"], "failed": failed}
    print(json.dumps({**found, "seconds": round(time.perf_counter() - started, 1)}))  # noqa: T201 - its purpose
    return code


if __name__ == "__main__":
    sys.exit(main())
