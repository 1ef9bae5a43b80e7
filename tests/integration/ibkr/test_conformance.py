"""The adapter passes the suite of its port on the gateway simulator, at every server version that matters."""

from functools import partial

import pytest

from tests.conformance.broker import CHECKS, Check, check_broker
from tests.integration.ibkr.simulated import simulated


@pytest.mark.parametrize("version", [157, 170, 178, 200])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_broker(check: Check, version: int) -> None:
    check_broker(partial(simulated, server_version=version), [check])
