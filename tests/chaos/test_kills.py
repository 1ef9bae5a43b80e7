"""A bounded sample of `make kills`: the trader dies twice at seeded moments, and nothing of it shows."""

import random
from pathlib import Path

from tests.chaos.kills import demo, judge

DAYS = 400


def test_a_killed_trader_leaves_what_an_undisturbed_one_leaves(tmp_path: Path) -> None:
    undisturbed, _ = demo(tmp_path / "undisturbed", DAYS)
    assert undisturbed["fills"] > 20
    report, killed = demo(tmp_path / "killed", DAYS, kill_at=random.Random(7).sample(range(200, 800), 2))
    assert killed == report["restarts"] == 2
    assert judge(report, undisturbed) == []


def test_the_judge_sees_a_difference() -> None:
    good = {"duplicate_orders": 0, "lost_fills": 0, "invariants_violated": 0, "reconciled": True, "voided": [],
            "never_received": [], "orders_hash": "a", "fills_hash": "b", "cash": "1", "equity": "1", "positions": {},
            "commission": "0", "realized_pnl": "0"}  # fmt: skip
    assert judge(good, good) == []
    assert judge({**good, "fills_hash": "c"}, good) == ["fills_hash"]
    assert judge({**good, "duplicate_orders": 1}, good) == ["duplicate_orders"]
    assert judge({**good, "voided": ["RT-1"]}, good) == ["voided"]
    assert judge({**good, "voided": ["RT-1"], "never_received": ["RT-1"]}, good) == []
