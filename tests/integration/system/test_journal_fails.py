"""S22 and S23 on real processes: a journal that takes nothing lets nothing out, and loses nothing."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from robotrader import bootstrap
from robotrader.adapters.halt_file import NAME as HALT
from robotrader.adapters.host import RESERVE
from robotrader.model import OrderState
from tests.chaos.real import Account, opened
from tests.integration.system.running import robotrader

CANNOT_GO_ON = 4
SIZES_KB = range(1_900, 3_950, 150)
"""Below 4 MB, where the write-ahead file is begun again and needs no more room."""


def test_s22_a_journal_locked_for_longer_than_the_patience_ends_the_trader_and_lets_nothing_out(
    place: Path, undisturbed: dict[str, Any]
) -> None:
    with opened(place, speed=20.0) as account:
        with account.trader() as child:
            assert account.goes_on()
            with account.locked():
                rows, placed = len(account.epochs()), account.placed()
                assert child.wait(30) == CANNOT_GO_ON
                assert "database is locked" in (account.state / HALT).read_text()
                assert account.placed() <= placed + 1  # what had been committed may just have been on its way
                assert len(account.epochs()) == rows
                again = robotrader("trade", "--config", account.settings(), state=account.state)
                assert again.code != 0
                assert "locked" in again.err
                halted = robotrader("halt", "--reason", "the journal is locked", state=account.state)
                assert (account.state / HALT).exists(), halted.out
            assert "database is locked" in child.communicate()[1]
        assert robotrader("resume", "--reason", "drill", state=account.state).code == 0
        account.to_the_end()
        assert account.wrong(undisturbed) == []


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int], None]]:
    """Mount a disk, and give what sets its size in KB; skips the test, aloud, where mounting is not allowed."""
    folder.mkdir()
    done = _mount("size=1m", "drill", str(folder), "-t", "tmpfs")
    if done.returncode:
        pytest.skip(f"S23 NOT RUN: a small disk cannot be mounted here ({done.stderr.strip()}): run it as root")
    try:
        yield lambda kb: _mount(f"remount,size={kb}k", str(folder)).check_returncode()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(options: str, *rest: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["mount", "-o", options, *rest], capture_output=True, text=True, check=False)


def test_s23_a_disk_full_in_the_middle_of_orders_ends_the_trader_aloud_and_room_lets_it_go_on(
    place: Path, undisturbed: dict[str, Any]
) -> None:
    """A disk that grows a little each time is full at another commit each time, until it was between T1 and T2.

    Where that is missed, it was at least full before the broker's answer could be kept.
    """
    met: set[OrderState] = set()
    with small_disk(place / "trader") as resize, opened(place) as account:
        for kb in SIZES_KB:
            resize(kb)
            full = robotrader("trade", "--config", account.settings(), state=account.state)
            assert full.code == CANNOT_GO_ON
            assert "disk is full" in full.err
            (account.state / HALT).unlink()  # raised even here: there is room for a name, if not for its reason
            met |= _states(account)
            if OrderState.AUTHORIZED in met:
                break
        assert met & {OrderState.AUTHORIZED, OrderState.SENDING}
        resize(65_536)
        account.to_the_end()
        assert account.wrong(undisturbed) == []


def test_s23_a_full_disk_leaves_a_halt_in_the_room_that_was_kept_for_it_and_a_restart_keeps_to_it(place: Path) -> None:
    with small_disk(place / "trader") as resize, opened(place, speed=20.0) as account:
        resize(65_536)
        reserve, ballast = account.state / RESERVE, account.state / "ballast"
        with account.trader() as child:
            assert account.goes_on()
            assert reserve.exists()
            _fill(ballast)
            assert child.wait(60) == CANNOT_GO_ON
        assert not reserve.exists()
        assert "disk is full" in (account.state / HALT).read_text()
        ballast.unlink()
        placed = account.placed()
        account.to_the_end()
        assert account.placed() == placed
        assert robotrader("status", state=account.state).json["trading_state"] == "HALTED"


def _fill(ballast: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4_096)):
            pass


def _states(account: Account) -> set[OrderState]:
    return {row.working.state for row in bootstrap.reader(account.state).orders(limit=1_000)}
