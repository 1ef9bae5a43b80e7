"""The restore drill, on real processes: an old backup comes back while the simulated broker has moved on."""

import signal
from pathlib import Path

from robotrader import bootstrap
from robotrader.simulation.gateway.record import GatewayRecord
from tests.chaos.real import Account, opened
from tests.integration.system.running import eventually, robotrader

SLOW = 2.0
"""Sessions a second: the replay must not end before the drill does."""


def _row(account: Account) -> int:
    return bootstrap.reader(account.state).head()


def _theirs(account: Account) -> dict[str, int]:
    held = GatewayRecord.read(account.root / "gateway").positions
    return {str(instrument): quantity for instrument, quantity in held.items() if quantity}


def _ours(account: Account) -> dict[str, int]:
    held = bootstrap.reader(account.state).positions()
    return {str(row.instrument): row.quantity for row in held if row.strategy is None and row.quantity}


def _settle(account: Account) -> None:
    """Do as the runbook says: compare, resolve, and compare again, until both sides say the same."""
    for _ in range(4):
        tickets = robotrader("reconcile", state=account.state).json["breaks"]
        if not tickets:
            break
        for ticket in tickets:
            about = ("reconcile", "resolve", ticket["id"], "--reason", "drill")
            left = robotrader(*about, state=account.state).json["breaks"]  # what it hid may be there by now
            assert ticket["id"] not in {b["id"] for b in left}
    assert _ours(account) == _theirs(account)


def test_an_old_backup_comes_back_halted_and_sends_nothing_until_an_operator_resumes(tmp_path: Path) -> None:
    with opened(tmp_path, speed=SLOW) as account:
        with account.trader() as trader:
            assert account.goes_on(orders=4)
            backup = robotrader("db", "backup", str(tmp_path / "backups" / "b.sqlite"), state=account.state)
            assert backup.code == 0, backup.err
            refused = robotrader("db", "restore", backup.json["file"], state=account.state)
            assert refused.code == 5, "a trader runs"
            assert f"pid {trader.pid}" in refused.err
            assert account.goes_on(orders=5)
            trader.send_signal(signal.SIGKILL)
            trader.wait(10)
        placed, lost_head = account.placed(), _row(account)
        restored = robotrader("db", "restore", backup.json["file"], state=account.state)
        assert restored.code == 0, restored.err
        assert restored.json["trading_state"] == "HALTED"
        assert _row(account) == backup.json["seq"] < lost_head
        with account.trader() as again:
            compared = bootstrap.reader(account.state)
            assert eventually(lambda: compared.compared() > backup.json["seq"])
            after = _row(account)
            assert eventually(lambda: _row(account) > after + 20), "bars go on"
            assert robotrader("status", state=account.state).json["trading_state"] == "HALTED"
            assert account.placed() == placed, "nothing was sent"
            _settle(account)
            assert account.placed() == placed, "nothing was sent before the operator resumed"
            resumed = robotrader("resume", "--reason", "drill", state=account.state)
            assert resumed.code == 0, resumed.err
            assert account.goes_on(orders=2)
            again.send_signal(signal.SIGTERM)
            assert again.wait(30) == 0
        assert _ours(account) == _theirs(account)
        refs = [p.order_ref for p in GatewayRecord.read(account.root / "gateway").placements if not p.modify]
        assert len(refs) == len(set(refs)), "no order was sent twice"
        assert account.epochs() == sorted(account.epochs())
        assert account.epochs()[-1] > restored.json["epoch"]
