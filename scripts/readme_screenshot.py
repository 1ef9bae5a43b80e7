"""Take the README's picture: start a demo, wait until it has something to show, picture its page, stop it all.

Run it as ``.venv/bin/python scripts/readme_screenshot.py [OUT.png]``; it needs a Chromium, see ``screenshot.py``.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNTIL = "2005-01-01"
SPEED = 150  # sessions a second: some eight seconds to get there
SMALLEST_BYTES, LARGEST_BYTES = 50_000, 300_000  # an error page is small
POLL_S, STOP_S, GIVE_UP_S = 0.5, 60, 180.0


def main() -> int:
    """Take the picture; 1 when the demo ends early, no browser is there, or the file is too small or too large."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "overview.png"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would the demo
    with tempfile.TemporaryDirectory(prefix="robotrader-picture-") as state:
        command = ["demo", "--state", state, "--speed", str(SPEED), "--port", "0"]
        demo = subprocess.Popen([*_robotrader(), *command], stderr=subprocess.PIPE, text=True)
        try:
            link = _link(demo)
            taken = _has_traded(demo, state) and _picture(link, out)
        finally:
            demo.send_signal(signal.SIGINT)  # the demo stops its processes in order
            demo.communicate(timeout=STOP_S)
    if not taken:
        return 1
    size = out.stat().st_size
    print(f"{out.name}: {size:,} bytes")
    return 0 if SMALLEST_BYTES < size < LARGEST_BYTES else 1


def _robotrader() -> list[str]:
    return [sys.executable, "-m", "robotrader"]


def _link(demo: subprocess.Popen[str]) -> str:
    """Return the one-time link that the demo prints."""
    assert demo.stderr is not None  # noqa: S101 - it was started with a pipe
    for line in demo.stderr:
        if found := re.search(r"http://\S+/login#\S+", line):
            return found[0]
    raise SystemExit("readme_screenshot: the demo ended without a link")


def _has_traded(demo: subprocess.Popen[str], state: str) -> bool:
    """Wait until the replay is where the picture should be; False when the demo ended before."""
    pause = threading.Event()
    for _ in range(int(GIVE_UP_S / POLL_S)):
        asked = subprocess.run([*_robotrader(), "status", "--json", "--state", state], capture_output=True, check=True)
        if (json.loads(asked.stdout)["session"] or "") >= UNTIL:
            return True
        if demo.poll() is not None:
            return False
        pause.wait(POLL_S)
    return False


def _picture(link: str, out: Path) -> bool:
    out.parent.mkdir(parents=True, exist_ok=True)
    size = ["--width", "1400", "--height", "1080", "--viewport"]
    script = ROOT / "scripts" / "screenshot.py"
    return subprocess.run([sys.executable, script, link, out, *size], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
