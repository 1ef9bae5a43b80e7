"""Use an installed RoboTrader as a stranger would: no network, no Node.js, no source tree. Prints one JSON object.

Runs with the Python of a clean environment, so it imports nothing of the test set. Arguments: ``isolated`` when it was
started in a new network namespace (else ``open``), the state folder, the static files to ask for.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
START_LIMIT_S = 30.0


def raise_loopback() -> None:
    """Switch the loopback interface on: in a new network namespace it is down."""
    request = struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, request)


def network_is_gone() -> bool:
    """Tell whether another machine is unreachable at once (RFC 5737 address: belongs to nobody)."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("192.0.2.1", 80)) == errno.ENETUNREACH  # no route, not merely no answer


def command(*args: str) -> str:
    """Run ``robotrader`` to its end and return what it printed."""
    robotrader = Path(sys.executable).with_name("robotrader")
    return subprocess.run([robotrader, *args], check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout


def fetch(url: str, limit_s: float) -> bytes:
    """Get a page, waiting for the server to come up."""
    deadline = threading.Event()
    timer = threading.Timer(limit_s, deadline.set)
    timer.start()
    try:
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback http
                    return bytes(response.read())
            except urllib.error.HTTPError:
                raise
            except OSError:
                if deadline.wait(0.1):
                    raise
    finally:
        timer.cancel()


def dashboard(state: str, assets: list[str]) -> dict[str, Any]:
    """Start the dashboard, read its health and its static files, and stop it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    robotrader = Path(sys.executable).with_name("robotrader")
    server = subprocess.Popen(
        [robotrader, "dashboard", "--port", str(port), "--state", state, "--json"], stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        health = fetch(f"{url}/healthz", START_LIMIT_S)
        sizes = {asset: len(fetch(f"{url}/static/vendor/{asset}", 5)) for asset in assets}
        return {"health": health.decode(), "sizes": sizes}
    finally:
        server.terminate()
        server.wait(timeout=20)


def main() -> None:
    """Run everything; any failure ends the program."""
    network, state, *assets = sys.argv[1:]
    if network == "isolated":
        raise_loopback()
    options = ("--state", state)
    result = {
        "isolated": network_is_gone(),
        "node": shutil.which("node") or shutil.which("npm"),
        "version": command("--version"),
        "help": command("--help"),
        "backtest": json.loads(command("backtest", "sma_crossover", "--data", "sample:AAPL", "--json", *options)),
        "dashboard": dashboard(state, assets),
    }
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
