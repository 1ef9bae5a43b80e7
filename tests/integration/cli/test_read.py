"""Reading what a trader left: the numbers, and the way to each decision."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from robotrader import bootstrap
from robotrader.model import Action, RiskCheck
from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left

# Cash: 100000 - 40 x 102.50 - 60 x 102.00 - 1.25; marked at 90.00 on the last day, at 102.00 when it was decided.
CASH, EQUITY, DAY_PNL = Decimal("89778.75"), Decimal("98778.75"), Decimal("-1221.25")


def test_status_says_how_things_stand(left: Left) -> None:
    answer = ask("status", state=left.state)
    assert (answer["trading_state"], answer["mode"], answer["broker"]) == ("ACTIVE", "paper", "stopped")
    assert (answer["session"], answer["as_of"]) == ("2024-01-06", "2024-01-06T21:00:00Z")
    assert (Decimal(answer["cash"]), Decimal(answer["equity"])) == (CASH, EQUITY)
    assert Decimal(answer["day_pnl"]) == DAY_PNL
    (strategy,) = answer["strategies"]
    assert (strategy["id"], Decimal(strategy["pnl"])) == ("trend", EQUITY - 100_000)
    assert [alert["code"] for alert in answer["alerts"]] == ["unknown_order"]
    assert left.sold.id in answer["alerts"][0]["text"]
    text = run("status", state=left.state).out
    assert "98778.75" in text
    assert f"! the outcome of order {left.sold.id}" in text


def test_status_names_the_flag_and_what_waits(left: Left) -> None:
    bootstrap.request(left.state, Action.HALT, "smoke", "anna")
    answer = ask("status", state=left.state)
    assert answer["trading_state"] == "HALTED"
    assert [alert["code"] for alert in answer["alerts"]] == ["flag", "unknown_order", "request_waits"]
    assert "smoke" in answer["alerts"][0]["text"]
    assert "anna" in answer["alerts"][2]["text"]


def test_positions_are_valued_at_the_last_price(left: Left) -> None:
    (held,) = ask("positions", state=left.state)["positions"]
    assert (held["strategy"], held["instrument"], held["quantity"]) == ("trend", "SPY.ARCA", 100)
    numbers = {name: Decimal(held[name]) for name in ("average_price", "last_price", "market_value", "unrealized")}
    assert numbers == {"average_price": Decimal("102.2"), "last_price": 90, "market_value": 9000, "unrealized": -1220}
    assert "SPY.ARCA" in run("positions", state=left.state).out


def test_orders_carry_state_price_times_and_reason(left: Left) -> None:
    orders = ask("orders", state=left.state)["orders"]
    assert [(o["instrument"], o["side"], o["state"]) for o in orders] == [
        ("SPY.ARCA", "SELL", "UNKNOWN"), ("QQQ.NASDAQ", "BUY", "DENIED"), ("SPY.ARCA", "BUY", "FILLED")
    ]  # fmt: skip
    lost, denied, bought = orders
    assert (lost["last_state"], lost["reason"]) == ("SENDING", "no answer")
    assert denied["reason"] == "allow_list"
    assert (bought["filled"], Decimal(bought["average_price"])) == (100, Decimal("102.2"))
    assert bought["decided"] == "2024-01-05T21:00:00Z"
    assert bought["updated"][:19] >= bought["decided"][:19]  # to the second: one of them may have nanoseconds
    assert bought["price"] is None  # a market order has none


def test_orders_can_be_narrowed_down(left: Left) -> None:
    def found(*options: str) -> list[str]:
        return [o["state"] for o in ask("orders", *options, state=left.state)["orders"]]

    assert found("--limit", "1") == ["UNKNOWN"]
    assert found("--status", "filled") == ["FILLED"]
    assert found("--status", "unknown") == found("--status", "open") == ["UNKNOWN"]
    assert found("--strategy", "trend", "--limit", "2") == ["UNKNOWN", "DENIED"]
    assert found("--strategy", "other") == []
    assert run("orders", "--status", "lost", state=left.state).code == 2
    assert run("orders", "--limit", "0", state=left.state).code == 2


def test_fills_carry_order_price_and_commission(left: Left) -> None:
    last, first = ask("fills", state=left.state)["fills"]
    assert {last["order_id"], first["order_id"]} == {left.bought.id}
    assert (first["id"], first["quantity"]) == ("0001.01", 40)
    assert (first["price"], first["commission"]) == ("102.50", "1.250000")
    assert last["commission"] is None
    assert len(ask("fills", "--limit", "1", state=left.state)["fills"]) == 1


def steps(*arguments: str, state: Path) -> list[dict[str, Any]]:
    return list(ask("why", *arguments, state=state)["steps"])


def test_why_leads_from_the_bars_to_the_fills(left: Left) -> None:
    trace = steps(left.bought.id, state=left.state)
    assert list(dict.fromkeys(s["step"] for s in trace)) == [
        "bar", "signal", "sizing", "plan", "check", "verdict", "order", "fill", "outcome"
    ]  # fmt: skip
    first = {s["step"]: s for s in reversed(trace)}
    assert [s["close"] for s in trace if s["step"] == "bar"] == ["99.0", "98.0", "102.0"]
    assert (first["signal"]["strength"], first["sizing"]["target"]) == (1.0, 100)
    assert first["plan"]["text"].endswith("BUY 100")
    checks = [s for s in trace if s["step"] == "check"]
    assert len(checks) == len(RiskCheck)
    assert all(s["passed"] for s in checks)
    assert all(isinstance(s["numbers"], dict) for s in checks)
    assert [s["quantity"] for s in trace if s["step"] == "fill"] == [40, 60]
    assert [s["state"] for s in trace if s["step"] == "order"] == [
        "AUTHORIZED", "SENDING", "ACCEPTED", "PARTIALLY_FILLED", "FILLED"
    ]  # fmt: skip
    assert trace[-1]["text"].startswith("FILLED: 100 of 100 filled at 102.20")


def test_why_by_symbol_is_the_latest_decision(left: Left) -> None:
    trace = steps("spy", state=left.state)
    assert trace[-1]["id"] == left.sold.id
    assert trace[-1]["text"].startswith("UNKNOWN")
    assert steps("SPY.ARCA", state=left.state) == trace


def test_why_at_a_time_is_the_decision_that_held_then(left: Left) -> None:
    for moment in ("2024-01-05", "2024-01-05T21:00:00Z", "2024-01-06T20:59"):
        assert steps("SPY", "--at", moment, state=left.state)[-1]["id"] == left.bought.id
    held = steps("SPY", "--at", "2024-01-04", state=left.state)
    assert "no order" in held[-1]["text"]
    assert held[-1]["step"] == "plan"
    before = steps("SPY", "--at", "2024-01-03", state=left.state)
    assert Counter(s["step"] for s in before) == {"bar": 2, "decision": 1}
    assert run("why", "SPY", "--at", "soon", state=left.state).code == 2


def test_why_names_what_stopped_an_order(left: Left) -> None:
    trace = steps("QQQ", "--at", "2024-01-05", state=left.state)
    failed = [s for s in trace if s["step"] == "check" and not s["passed"]]
    assert [s["check"] for s in failed] == ["allow_list"]
    assert failed[0]["reason"] == "instrument is not allowed"
    assert trace[-1]["text"].startswith("DENIED")
    text = run("why", "QQQ", "--at", "2024-01-05", state=left.state).out
    assert "FAIL  allow_list  (instrument is not allowed; instrument QQQ.NASDAQ)" in text


def test_why_says_what_exists_instead(left: Left) -> None:
    unknown = ask("why", "IBM", state=left.state, code=1)
    assert "QQQ.NASDAQ, SPY.ARCA" in unknown["error"]
    assert left.bought.id in ask("why", "RT-NONE", state=left.state, code=1)["error"]
