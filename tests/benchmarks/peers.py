"""Other engines on the same workloads in the same run, by the scripts of `../shared/peers` where that folder is there.

Each script has its own environment, made by `make peers-env`; what is missing is left out, and said so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parents[3] / "shared" / "peers"
VENV = Path(os.environ.get("PEERS_VENV", ".venv-peers"))


class Peer(NamedTuple):
    """One script on one workload: `best` of what it repeats when warm, else its only run."""

    workload: str
    name: str
    venv: str
    command: tuple[str, ...]


PEERS = (
    Peer("W1", "vectorbt, Rust", "vectorbt", ("peer_vectorbt.py", "w1", "--mode", "rust", "--warm", "5")),
    Peer("W1", "vectorbt, Numba", "vectorbt", ("peer_vectorbt.py", "w1", "--mode", "numba", "--warm", "5")),
    Peer("W1", "backtesting.py", "backtesting", ("peer_backtestingpy.py", "w1")),
    Peer("W1", "nautilus_trader", "nautilus", ("peer_nautilus_v2.py", "w1")),
    Peer("W1", "bt", "bt", ("peer_bt.py", "w1")),
    Peer("W2", "vectorbt, Rust", "vectorbt", ("peer_vectorbt.py", "w2", "--mode", "rust", "--warm", "3")),
    Peer("W2", "vectorbt, Numba", "vectorbt", ("peer_vectorbt.py", "w2", "--mode", "numba", "--warm", "3")),
    Peer("W2", "bt", "bt", ("peer_bt.py", "w2")),
    Peer("W2", "nautilus_trader", "nautilus", ("peer_nautilus_v2.py", "w2")),
)


class Found(NamedTuple):
    """What a peer took, its best run and its whole process, in seconds."""

    peer: Peer
    seconds: float
    wall: float


def measured(home: Path) -> list[Found]:
    """Run every peer that is there, its data in `home`, and return what it took."""
    found = []
    for peer in PEERS:
        python = VENV / peer.venv / "bin" / "python"
        if not (SCRIPTS / peer.command[0]).exists() or not python.exists():
            print(f"bench: {peer.name} on {peer.workload} is left out: no script or no environment", file=sys.stderr)
            continue
        started = os.times().elapsed
        ran = subprocess.run(
            [str(python.absolute()), "-W", "ignore", str(SCRIPTS / peer.command[0]), *peer.command[1:]],
            env={**os.environ, "PEERS_HOME": str(home)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        wall = os.times().elapsed - started
        (told,) = [json.loads(line[2:]) for line in ran.stdout.splitlines() if line.startswith("@@")]
        found.append(Found(peer, min([told["run_s"], *told.get("warm_s", [])]), wall))
    return found


def least(found: list[Found], workload: str, *names: str) -> float | None:
    """Return the least seconds of these engines on a workload, None where none ran."""
    return min(
        (f.seconds for f in found if f.peer.workload == workload and f.peer.name.startswith(names)), default=None
    )
