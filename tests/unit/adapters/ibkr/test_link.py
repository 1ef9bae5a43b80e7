"""The state of the link as a table over what is known, and how far clocks are surely apart."""

from datetime import datetime
from typing import Any

import pytest

from robotrader.adapters.ibkr.link import LinkFacts, SkewWatch, judge, skew
from robotrader.adapters.ibkr.resets import ResetSchedule
from robotrader.model import NANOS_PER_SECOND, TradingState
from robotrader.risk.host import HostLimits

SCHEDULE = ResetSchedule()


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}-04:00").timestamp()) * NANOS_PER_SECOND


NOON = at("2026-04-14T12:00")  # a Tuesday
UP: dict[str, Any] = {"session": True, "sync_wanted": 2, "sync_done": 2}
REFUSED: dict[str, Any] = {"why": "nothing listens", "refused": NOON}
FARM = {"broken_farms": frozenset({"usfarm"})}
OFF, WRONG = {"clock": TradingState.REDUCING}, {"clock": TradingState.HALTED}

TABLE = [
    # facts, time, state, open, part of the reason
    ({}, NOON, "CONNECTING", False, ""),
    ({"why": "closed"}, NOON, "CONNECTING", False, "closed"),
    ({**REFUSED}, NOON, "CONNECTING", False, "nothing listens"),
    ({"why": "closed", "not_before": NOON}, NOON, "DISCONNECTED", False, "until 2026-04-14T16:00:00+00:00; closed"),
    ({**UP, "ibkr": False, "why": "1100: lost"}, NOON, "DISCONNECTED", False, "1100: lost"),
    ({**UP, "ibkr": False, "sync_wanted": 3}, NOON, "DISCONNECTED", False, ""),
    ({**UP, "ibkr": False}, at("2026-04-14T23:46"), "DISCONNECTED", False, ""),
    ({**UP, "sync_wanted": 3}, NOON, "SYNCING", False, "comparison 3"),
    ({**UP, "sync_wanted": 3, **FARM}, NOON, "SYNCING", False, ""),
    ({**UP, "sync_wanted": 3}, at("2026-04-14T23:46"), "SYNCING", False, ""),
    (UP, NOON, "READY", True, ""),
    ({**UP, "refused": NOON, "not_before": NOON}, NOON, "READY", True, ""),  # of the time without a session
    ({**UP, **FARM}, NOON, "DEGRADED", True, "usfarm is broken"),
    ({**UP, "skew_s": 0.5}, NOON, "READY", True, ""),
    ({**UP, "skew_s": 0.6, **OFF}, NOON, "DEGRADED", True, "0.6 s ahead of the broker's"),
    ({**UP, "skew_s": 2.1, **WRONG}, NOON, "DEGRADED", False, "2.1 s ahead of the broker's"),
    ({**UP, "skew_s": -2.1, **WRONG}, NOON, "DEGRADED", False, "2.1 s behind the broker's"),
    ({**UP, **FARM, "skew_s": 9.0, **WRONG}, at("2026-04-14T23:46"), "DEGRADED", False, "this host's clock is 9.0 s"),
    (UP, at("2026-04-14T23:42:59"), "READY", True, ""),
    (UP, at("2026-04-14T23:43:00"), "RESET_WINDOW", True, "restart of the gateway, 03:45 to 03:50 UTC"),
    (UP, at("2026-04-14T23:49:59"), "RESET_WINDOW", True, ""),
    (UP, at("2026-04-14T23:50:00"), "READY", True, ""),
    (UP, at("2026-04-15T00:13:00"), "RESET_WINDOW", True, "IBKR's servers"),
    (UP, at("2026-04-15T01:45:00"), "READY", True, ""),
    (UP, at("2026-04-17T22:58:00"), "RESET_WINDOW", True, ""),
    (UP, at("2026-04-18T02:59:00"), "RESET_WINDOW", True, ""),
    ({**UP, **FARM}, at("2026-04-14T23:46"), "RESET_WINDOW", True, "usfarm is broken"),
    ({**REFUSED}, at("2026-04-14T23:46"), "RESET_WINDOW", False, "nothing listens"),
    ({"not_before": NOON}, at("2026-04-14T23:46"), "RESET_WINDOW", False, ""),
    ({"foreign": "expected account DU1"}, NOON, "LOGIN_NEEDED", False, "expected account DU1"),
    ({"foreign": "expected account DU1"}, at("2026-04-14T23:46"), "LOGIN_NEEDED", False, ""),
    # a port that stays closed
    ({**REFUSED, "refused": at("2026-04-14T23:45")}, at("2026-04-15T00:04:59"), "CONNECTING", False, ""),
    ({**REFUSED, "refused": at("2026-04-14T23:45")}, at("2026-04-15T00:05:01"), "LOGIN_NEEDED", False, "15 min"),
    ({**REFUSED, "refused": at("2026-04-14T23:45")}, at("2026-04-15T01:00:00"), "LOGIN_NEEDED", False, "15 min"),
    ({**REFUSED, "refused": at("2026-04-14T23:45")}, at("2026-04-15T23:46"), "RESET_WINDOW", False, ""),
    ({**REFUSED, "refused": at("2026-04-14T18:00")}, at("2026-04-14T23:00"), "CONNECTING", False, ""),
    ({**REFUSED, "refused": at("2026-04-14T18:00")}, at("2026-04-15T00:05:01"), "LOGIN_NEEDED", False, ""),
    ({**REFUSED, "refused": at("2026-04-17T23:45")}, at("2026-04-18T03:14"), "CONNECTING", False, ""),
    ({**REFUSED, "refused": at("2026-04-17T23:45")}, at("2026-04-18T03:16"), "LOGIN_NEEDED", False, ""),
    # after Sunday 01:00 the login before it is void
    ({**REFUSED, "opened": NOON, "refused": at("2026-04-19T00:50")}, at("2026-04-19T00:59"), "RESET_WINDOW", False, ""),
    ({**REFUSED, "opened": NOON, "refused": at("2026-04-19T00:50")}, at("2026-04-19T01:00"), "LOGIN_NEEDED", False, ""),
    ({**REFUSED, "opened": at("2026-04-19T01:00"), "refused": at("2026-04-19T09:00")}, at("2026-04-19T09:01"),
     "CONNECTING", False, ""),
    ({"opened": NOON, "why": "closed"}, at("2026-04-19T09:01"), "CONNECTING", False, "closed"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "now", "state", "is_open", "words"), TABLE)
def test_states(facts: dict[str, Any], now: int, state: str, is_open: bool, words: str) -> None:
    found = judge(LinkFacts(**facts), SCHEDULE, now)
    assert found[:2] == (state, is_open)
    assert words in found[2]


def test_the_table_has_every_state() -> None:
    states = {row[2] for row in TABLE}
    assert states == {"DISCONNECTED", "CONNECTING", "SYNCING", "READY", "DEGRADED", "RESET_WINDOW", "LOGIN_NEEDED"}


def test_without_a_schedule_no_reset_and_no_login_is_known() -> None:
    assert judge(LinkFacts(**UP), None, at("2026-04-14T23:46"))[0] == "READY"
    assert judge(LinkFacts(**{**REFUSED, "opened": 1}), None, at("2027-04-14T23:46"))[0] == "CONNECTING"


@pytest.mark.parametrize(
    ("host_s", "waited_s", "certain_s"),
    [
        (1000.0, 0.0, 0.0),
        (1001.0, 0.0, 0.0),  # told 1000: it was 1000.999
        (1001.5, 0.0, 0.5),
        (1001.5, 0.5, 0.0),  # the answer may have been on its way for half a second
        (1006.0, 1.0, 4.0),
        (999.5, 0.0, -0.5),
        (999.5, 3.0, -0.5),
    ],
)
def test_skew_is_what_neither_cut_off_fractions_nor_delay_explain(
    host_s: float, waited_s: float, certain_s: float
) -> None:
    assert skew(host_s, 1000, waited_s) == pytest.approx(certain_s)


def test_the_worst_of_the_last_minute_counts() -> None:
    watch = SkewWatch(HostLimits())

    def beat(second: float, ahead_s: float) -> tuple[float, str]:
        worst, state = watch.compare(NOON + round(second * NANOS_PER_SECOND), round(NOON / 1e9 + second - ahead_s), 0.0)
        return round(worst, 3), state

    assert beat(0, 0) == (0.0, "ACTIVE")
    assert beat(5.5, 1.5) == (0.5, "ACTIVE")  # told in whole seconds: half a second of it is certain
    assert beat(10, 2) == (1.0, "REDUCING")
    assert beat(15, 3) == (2.0, "REDUCING")
    assert beat(20, -3) == (-3.0, "HALTED")
    assert beat(25, 0) == (-3.0, "HALTED")
    assert beat(79, 0) == (-3.0, "HALTED")
    assert beat(80, 0) == (0.0, "ACTIVE")
