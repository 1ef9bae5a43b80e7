"""Settings and throttle of the dashboard; what needs a server or a disk is in tests/integration/web."""

import pytest

from robotrader.model import ConfigError
from robotrader.web.config import WebConfig
from robotrader.web.security import HEADERS
from robotrader.web.sessions import Throttle, csrf_token, login_url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "dash.example.org", ""])  # noqa: S104
def test_only_loopback_may_be_bound(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        WebConfig(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_fine(host: str) -> None:
    assert WebConfig(host=host).host == host


def test_the_code_of_a_login_link_is_a_fragment() -> None:
    assert login_url("127.0.0.1", 8787, "abc") == "http://127.0.0.1:8787/login#abc"
    assert login_url("::1", 8787, "abc") == "http://[::1]:8787/login#abc"


def test_five_failures_a_minute_are_enough() -> None:
    clock = [100.0]
    throttle = Throttle(lambda: clock[0])
    for _ in range(5):
        assert throttle.wait_s() == 0
        throttle.fail()
    assert throttle.wait_s() == 60
    clock[0] += 59
    assert throttle.wait_s() == 1
    clock[0] += 1
    assert throttle.wait_s() == 0


def test_csrf_tokens_differ_by_session_and_say_nothing_of_it() -> None:
    assert csrf_token("one") == csrf_token("one") != csrf_token("two")
    assert "one" not in csrf_token("one")


def test_the_content_policy_allows_nothing_inline_and_no_other_host() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    for word in ("unsafe", "http:", "https:", "*"):
        assert word not in policy
