"""Stages of a running trader's strategies, changed from the command line."""

from pathlib import Path

from tests.integration.system.running import eventually, robotrader
from tests.integration.system.test_kill import place_opened

_SLOW = ("--speed", "4")
"""Steps a second: the bars must not end before the commands do."""


def test_an_operator_takes_a_strategy_back_and_the_record_says_who_and_why(place: Path) -> None:
    with place_opened(place, *_SLOW) as account, account.trader():
        assert eventually(lambda: account.holds() > 0)
        armed = robotrader("arm", "--reason", "a drill", state=account.state)
        assert (armed.code, armed.json["armed"]) == (0, True)
        asked = robotrader("strategy", "promote", "hold", state=account.state)
        assert (asked.code, asked.json["met"], asked.json["reason"]) == (1, False, "there is no [lifecycle] section")
        back = robotrader("strategy", "demote", "hold", "--reason", "a drill", state=account.state)
        assert (back.code, back.json["before"], back.json["stage"]) == (0, "PAPER", "SHADOW")
        assert eventually(lambda: account.holds() == 0)
        history = robotrader("strategy", "history", "hold", state=account.state).json["history"]
        assert [(row["gate"], row["stage"], row["reason"]) for row in history] == [
            ("operator", "PAPER", "there is no [lifecycle] section"), ("operator", "SHADOW", "a drill"),
        ]  # fmt: skip
        assert all(row["actor"].startswith("cli:") for row in history)
        (listed,) = robotrader("strategy", "list", state=account.state).json["staged"]
        assert (listed["id"], listed["stage"]) == ("hold", "SHADOW")
        (shown,) = robotrader("status", state=account.state).json["strategies"]
        assert shown["stage"] == "SHADOW"
    assert robotrader("db", "verify", state=account.state).json["ok"] is True


def test_what_nobody_configured_has_no_stage(place: Path) -> None:
    with place_opened(place, *_SLOW) as account:
        unknown = robotrader("strategy", "promote", "other", state=account.state)
        assert (unknown.code, "found other" in unknown.err) == (5, True)
