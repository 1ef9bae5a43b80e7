"""The login budget's file: whatever became of it, no more logins are begun than allowed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robotrader.adapters.ibkr.budget import LoginBudget
from robotrader.model import BrokerUnavailable, ConfigError

SECOND = 1_000_000_000
NOW = 1_776_175_200 * SECOND
HOUR = 3600 * SECOND


def spent(path: Path, *times: int) -> None:
    budget = LoginBudget(path, NOW)
    for ts in times:
        budget.spend(ts)


def test_two_logins_are_two_seconds_apart_and_ten_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "logins.jsonl"
    budget = LoginBudget(path, NOW)
    assert budget.next_allowed() <= NOW
    for n in range(10):
        budget.spend(NOW + 10 * n * SECOND)
        if n < 9:
            assert budget.next_allowed() == NOW + (10 * n + 2) * SECOND
    assert budget.next_allowed() == NOW + HOUR
    budget.spend(NOW + HOUR)
    assert budget.next_allowed() == NOW + 10 * SECOND + HOUR
    assert LoginBudget(path, NOW + HOUR).next_allowed() == NOW + 10 * SECOND + HOUR


@pytest.mark.parametrize("damage", [b'\n{"ts":17', b"\n\x00\xff\x00", b'\n{"ts":"soon"}', b"\n[]", b"\n" + b"9" * 30])
def test_a_line_that_cannot_be_read_counts_as_a_login_of_now(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "logins.jsonl"
    spent(path, *(NOW - n * 60 * SECOND for n in range(9, 0, -1)))
    path.write_bytes(path.read_bytes() + damage)
    assert LoginBudget(path, NOW).next_allowed() == NOW - 9 * 60 * SECOND + HOUR
    LoginBudget(path, NOW).spend(NOW + HOUR)  # on a line of its own
    assert LoginBudget(path, NOW + HOUR, per_hour=2).next_allowed() == NOW + 2 * HOUR  # the damaged one is the other


def test_a_time_that_is_still_to_come_counts_as_now(tmp_path: Path) -> None:
    path = tmp_path / "logins.jsonl"
    spent(path, NOW + 1000 * HOUR)
    assert LoginBudget(path, NOW).next_allowed() == NOW + 2 * SECOND


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_is_an_error_and_none_locks_for_more_than_an_hour(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "logins.jsonl"
    path.write_bytes(content)
    assert LoginBudget(path, NOW).next_allowed() <= NOW + HOUR


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        LoginBudget(tmp_path, NOW)
    with pytest.raises(BrokerUnavailable, match="cannot be written"):
        LoginBudget(tmp_path / "none" / "logins.jsonl", NOW).spend(NOW)
