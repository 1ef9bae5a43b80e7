"""The nine sessions, each held once however many tests and test processes ask for it."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.clients.matrix import hold
from tests.clients.session import Seen


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Give a folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "clients"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def session(shared: Path) -> Callable[[str, int], Seen]:
    """Give what a client saw at a server version; whoever asks first holds the session, the others wait."""

    def seen(client: str, version: int) -> Seen:
        folder = shared / f"{client}-{version}"
        folder.mkdir(exist_ok=True)
        kept = folder / "seen.json"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_bytes(msgspec.json.encode(hold(client, version, folder)))
        return msgspec.json.decode(kept.read_bytes(), type=Seen)

    return seen
