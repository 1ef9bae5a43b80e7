"""Three clients that we did not write, at three server versions, perform the same session with the same result."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.matrix import SESSION, VERSIONS, compare, hold
from tests.clients.orders import execution
from tests.clients.script import faults
from tests.clients.session import DRIVERS, NEWEST, Seen

SHOWN = 20
REFERENCE = ("ib_async-2.1", 157)
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client", DRIVERS)
def test_a_client_sees_what_the_script_says_and_logs_no_error(
    client: str, version: int, session: Callable[[str, int], Seen]
) -> None:
    seen = session(client, version)
    assert seen.version == min(version, NEWEST[client])
    assert not (found := faults(SESSION, seen)), "\n".join(found[:SHOWN])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client", DRIVERS)
def test_clients_see_the_same_but_for_the_gates_of_their_versions(
    client: str, version: int, session: Callable[[str, int], Seen]
) -> None:
    assert not (found := compare(session(*REFERENCE), session(client, version))), "\n".join(found[:SHOWN])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_facade_of_ib_async_connects_to_all_that_has_happened(
    version: int, session: Callable[[str, int], Seen]
) -> None:
    found = session("ib_async-2.1", version).facade
    assert found["positions"] == [["AAPL", 175], ["IBM", -10]]
    assert found["portfolio"] == [["AAPL", 175, 128.3], ["IBM", -10, 50]]
    assert found["values"] == {"AccountType": "INDIVIDUAL", "NetLiquidation": "1002949.70"}
    assert (found["fills"][0], found["fills"][-1]) == ([execution(2), 10], [execution(16), 10])
    assert (found["trades"], found["open"]) == (24, 0)


def test_the_same_session_gives_the_same_answers(session: Callable[[str, int], Seen], tmp_path: Path) -> None:
    assert hold("ibapi-10.46", 200, tmp_path) == session("ibapi-10.46", 200)
