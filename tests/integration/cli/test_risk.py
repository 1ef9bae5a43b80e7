"""What the limits are, and what they would refuse."""

from collections import Counter
from pathlib import Path

import pytest

from robotrader import bootstrap
from robotrader.model import RiskCheck
from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "risk-check.yaml"
ALL = [check.value for check in RiskCheck]


def write(folder: Path, text: str) -> str:
    file = folder / "orders.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_the_example_breaks_each_check_of_live_once(tmp_path: Path) -> None:
    ran = run("risk", "check", str(EXAMPLE), "--profile", "live", "--json", cwd=tmp_path)
    assert ran.code == 4
    failed = [c for c in ran.json["checks"] if not c["passed"]]
    assert [c["reason_code"] for c in failed] == ALL, "one order for each check, in their order"
    assert max(Counter(c["order"] for c in failed).values()) == 1
    assert len(ran.json["checks"]) == 26 * 26
    assert all(c["reason"] for c in failed)
    assert {c["reason_code"] for c in ran.json["checks"] if c["passed"]} == {None}


def test_people_see_one_line_an_order(tmp_path: Path) -> None:
    ran = run("risk", "check", str(EXAMPLE), "--profile", "live", cwd=tmp_path)
    assert len(ran.out.splitlines()) == 27
    assert "worth more than 50,000" in ran.out


def test_orders_that_all_pass_are_exit_0_and_json_is_read_too(tmp_path: Path) -> None:
    orders = write(tmp_path, '{"orders": [{"quantity": 100}, {"side": "SELL", "quantity": 50, "type": "LMT", '
                             '"limit_price": 100.5, "instrument": "MSFT.NASDAQ"}]}')  # fmt: skip
    ran = run("risk", "check", orders, "--profile", "live", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["ok"], {c["order"] for c in ran.json["checks"]}) == (0, True, {"orders[0]", "orders[1]"})


def test_the_configured_limits_judge_where_no_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "robotrader.toml").write_text("[risk]\nmax_order_quantity = 99\n")
    ran = run("risk", "check", write(tmp_path, "- {quantity: 100}"), "--json", cwd=tmp_path)
    assert ran.code == 4
    assert [c["reason_code"] for c in ran.json["checks"] if not c["passed"]] == ["max_order_quantity"]
    assert ran.json["checks"][0]["numbers"] == {"used": 100, "limit": 99}


def test_a_fact_that_is_not_known_is_refused_where_its_limit_is_on(tmp_path: Path) -> None:
    orders = write(tmp_path, "- {facts: {losses: {peak: null}, conduct: {opposite: null}}}")
    ran = run("risk", "check", orders, "--profile", "live", "--json", cwd=tmp_path)
    assert [(c["check"], c["reason"]) for c in ran.json["checks"] if not c["passed"]] == [
        ("self_trade", "not known: own orders on the other side"), ("loss_limit", "not known: peak")
    ]  # fmt: skip


BAD = {
    "x: [": "neither YAML nor JSON",
    "[]": "expected a list of orders",
    "text": "expected a list of orders",
    "- 5": "orders[0]: expected an order, found '5'",
    "- {}\n- {quantty: 5}": "orders[1].quantty: unknown; expected one of id, strategy",
    "- {quantity: many}": "$.quantity",
    "- {quantity: -5}": "orders[0]: order RT-CHECK: expected a whole quantity",
    "- {limit_price: NaN}": "expected finite prices",
    "- {facts: {market: {bidd: 4}}}": "orders[0].facts.market.bidd: unknown; expected one of bid, ask",
    "- {facts: {losses: {equity: abc}}}": "$.losses.equity",
    "- {facts: 5}": "orders[0].facts: expected snapshot",
    "- {facts: {conduct: {opposite: [{a: 1}]}}}": "orders[0].facts.conduct.opposite.a: unknown",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_exit_7_and_says_where(text: str, tmp_path: Path) -> None:
    ran = run("risk", "check", write(tmp_path, text), "--json", cwd=tmp_path)
    assert (ran.code, ran.json["kind"]) == (7, "DataError")
    assert BAD[text] in ran.json["error"]


def test_no_file_is_exit_7_and_no_such_profile_exit_5(tmp_path: Path) -> None:
    assert run("risk", "check", "nowhere.yaml", cwd=tmp_path).code == 7
    for command in (("limits",), ("check", write(tmp_path, "- {}"))):
        ran = run("risk", *command, "--profile", "none", "--json", cwd=tmp_path)
        assert (ran.code, "research, paper, live" in ran.json["error"]) == (5, True)


def test_limits_lists_all_checks_with_their_origin_on_an_empty_state(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[risk]\nmax_order_quantity = 10\n")
    ran = run("risk", "limits", "--config", str(file), "--json", state=tmp_path / "state")
    rows = {row["check"]: row for row in ran.json["limits"]}
    assert ran.code == 0
    assert list(rows) == ALL
    assert [row["row"] for row in rows.values()] == list(range(1, 27))
    assert (rows["max_order_quantity"]["limit"], rows["max_order_quantity"]["origin"]) == (10, f"file {file}")
    assert rows["fat_finger"]["origin"] == "profile paper"
    assert (rows["price_grid"]["limit"], rows["price_grid"]["origin"]) == (None, "always on")
    assert {row["used"] for row in rows.values()} == {None}
    assert rows["max_order_notional"]["settings"] == {"max_order_notional": "50000", "max_order_equity_ratio": "0.05"}


def test_limits_shows_what_the_last_order_used(left: Left) -> None:
    ran = run("risk", "limits", "--json", state=left.state)
    found = next(row for row in ran.json["limits"] if row["check"] == "max_order_quantity")
    assert (found["used"], found["limit"]) == (100, 1_000), "the numbers that the trader judged with"


def test_a_profile_that_is_off_says_so(tmp_path: Path) -> None:
    rows = run("risk", "limits", "--profile", "research", "--json", cwd=tmp_path, state=tmp_path / "s").json["limits"]
    assert {row["origin"] for row in rows} == {"off", "profile research", "always on"}
    assert len(run("risk", "limits", cwd=tmp_path, state=tmp_path / "s").out.splitlines()) == 27


def test_a_limit_that_is_set_before_the_first_run_waits_for_it(state: Path) -> None:
    answer = ask("risk", "set", "max_order_quantity=10", "--reason", "a start", state=state)
    assert (answer["taken"], answer["changed"]) == (False, [])
    (waiting,) = bootstrap.reader(state).requests()
    assert (waiting.action, waiting.change, waiting.taken) == ("limit", "max_order_quantity=10", None)
