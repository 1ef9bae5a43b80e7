"""S25 and S26 on real processes: whatever is started, stopped or deleted, one trader writes and sends."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.chaos.real import FIRST, SECOND, opened
from tests.integration.system.running import eventually, robotrader

SPEED, SLOW = 20.0, 5.0
"""Sessions a second; slow where processes start while a trader trades: it must not come to the replay's end."""
CONFIG, FENCED, NO_SESSION = 5, 4, 6


def test_s25_a_second_trader_is_refused_and_the_first_goes_on(place: Path, undisturbed: dict[str, Any]) -> None:
    with opened(place, speed=SLOW) as account:
        with account.trader() as first:
            assert account.goes_on()
            second = robotrader("trade", "--config", account.settings(SECOND), state=account.state)
            assert second.code == CONFIG
            assert f"pid {first.pid}" in second.err
            assert account.goes_on()
        account.to_the_end()
        assert account.placed(SECOND) == 0
        assert account.wrong(undisturbed) == []


def test_s25_with_the_lock_deleted_one_of_two_traders_ends_at_once(place: Path) -> None:
    """Whether the newer finds the pause that it needs to take the journal is chance; that only one goes on is not.

    Each of them lets time pass in lock-step, so that orders may be a session later than in an undisturbed run.
    """
    with opened(place, speed=SLOW) as account, account.trader() as older:
        assert account.goes_on(orders=1)
        (account.state / "run" / "trader.lock").unlink()
        with account.trader(SECOND) as newer:
            assert eventually(lambda: newer.poll() is not None or older.poll() is not None)
            loser, winner = (newer, older) if newer.poll() is not None else (older, newer)
            assert loser.returncode == FENCED
            assert "another trader" in loser.communicate()[1]
            assert winner.wait(60) == 0
        assert account.epochs() == sorted(account.epochs())
        assert account.senders() <= {(FIRST, 1), (SECOND, 2)}
        assert account.wrong() == []


def test_s26_a_trader_that_wakes_up_after_another_took_over_sends_nothing(
    place: Path, undisturbed: dict[str, Any]
) -> None:
    with opened(place, speed=SPEED) as account, account.trader() as sleeper:
        assert account.goes_on()
        account.freeze(sleeper)
        before = account.placed(FIRST)
        assert robotrader("trade", "--config", account.settings(FIRST), state=account.state).code == CONFIG
        (account.state / "run" / "trader.lock").unlink()
        same_client = robotrader("trade", "--config", account.settings(FIRST), state=account.state)
        assert same_client.code == NO_SESSION  # the gateway refuses a client id that is connected
        with account.trader(SECOND) as newer:
            assert account.goes_on(SECOND)
            os.kill(sleeper.pid, signal.SIGCONT)
            assert sleeper.wait(30) == FENCED
            newer.wait(60)
        assert account.placed(FIRST) == before
        assert account.senders() == {(FIRST, 1), (SECOND, 2)}
        assert account.epochs() == sorted(account.epochs())
        assert account.wrong(undisturbed) == []
