"""Each server version that the simulator offers is spoken as its clients expect: every gate is where it belongs."""

import sys
from pathlib import Path

import pytest

from tests.clients.matrix import SESSION, options
from tests.clients.script import faults
from tests.clients.session import gateway, perform

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("client", "last"), [("ib_async-2.1", 178), ("ibapi-10.46", 200)])
def test_every_version_is_spoken_without_error(client: str, last: int, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.clients.versions", "157", str(last))
    with gateway(tmp_path, *options(tmp_path), command=command) as said:
        seen = perform(client, list(said["ports"].values()), [one.instruction for one in SESSION])
    versions = [int(version) for version in said["ports"]]
    assert [one.version for one in seen] == versions
    found = [f"{one.version}: {line}" for one in seen for line in faults(SESSION, one)]
    assert len(versions) == last - 157
    assert not found, "\n".join(found[:20])
