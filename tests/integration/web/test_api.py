"""The API says what the journal says: typed, documented, and different as soon as the journal is."""

import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import Action, ConfigError, TradingState
from robotrader.ports import JournalBusy
from robotrader.web.app import create_app
from robotrader.web.requests import RequestAck
from tests.integration.web.dashboard import SIMULATED, Dashboard, run
from tests.unit.web.fake_journal import (
    CLOSE,
    DAY,
    FakeReader,
    decision_row,
    denial_row,
    fill_row,
    mark,
    order_row,
    seeded,
)

READS = ("status", "positions", "orders", "fills", "equity", "strategies", "denials", "decisions", "requests")


@pytest.fixture
def dash(tmp_path: Path) -> Dashboard:
    return Dashboard(seeded(), tmp_path)


def change(journal: FakeReader) -> None:
    """Change something that every endpoint shows."""
    journal.set_state(TradingState.HALTED, "odd")
    journal.position_rows[0] = structs.replace(journal.position_rows[0], quantity=1)
    journal.order_rows.insert(0, order_row(61))
    journal.fill_rows.insert(0, fill_row(order_row(61)))
    journal.denial_rows.insert(0, denial_row(4))
    journal.decision_rows.insert(0, decision_row(order_row(61)))
    journal.marks.append(mark(CLOSE + DAY, Decimal("1300000.00")))
    journal.book_rows[0] = structs.replace(journal.book_rows[0], equity=Decimal(1))
    journal.submit(Action.HALT, "odd", "cli")


def test_every_endpoint_is_empty_on_an_empty_journal_and_changes_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        empty = Dashboard(FakeReader(), tmp_path / "empty")
        await empty.sign_in()
        dash = Dashboard(seeded(), tmp_path / "full")
        await dash.sign_in()
        before = {name: await dash.json(f"/api/v1/{name}") for name in READS}
        change(dash.journal)
        for name in READS:
            nothing = await empty.json(f"/api/v1/{name}")
            assert nothing.get("equity" if name == "equity" else name, []) == []
            assert await dash.json(f"/api/v1/{name}") != before[name], name

    run(scenario)


def test_absent_is_null_and_money_is_text(dash: Dashboard, tmp_path: Path) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        status = await dash.json("/api/v1/status")
        assert status["broker"]["equity"] == "1262057.94"
        assert (status["trading_state"], status["mode"], status["account"]) == ("ACTIVE", "PAPER", "···4567")
        assert status["clock"] == "2013-03-01T21:00:00Z"
        fill = (await dash.json("/api/v1/fills"))["fills"][0]
        assert (fill["commission"], fill["price"]) == (None, "25.92")
        empty = Dashboard(FakeReader(), tmp_path / "empty")
        await empty.sign_in()
        status = await empty.json("/api/v1/status")
        assert status["trading_state"] is None
        assert set(status["broker"].values()) == {None}

    run(scenario)


def test_listings_have_pages(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        seen: list[str] = []
        path = "/api/v1/orders?limit=25"
        while True:
            page = await dash.json(path)
            seen += [order["id"] for order in page["orders"]]
            if page["next"] is None:
                break
            path = f"/api/v1/orders?limit=25&after={page['next']}"
        assert seen == [row.working.order.id for row in dash.journal.order_rows]
        order = seen[0]
        assert len((await dash.json(f"/api/v1/decisions?order={order}"))["decisions"]) == 1
        assert (await dash.json("/api/v1/decisions?order=RT-NONE"))["decisions"] == []
        assert len((await dash.json("/api/v1/equity?max_points=10"))["equity"]) == 10

    run(scenario)


@pytest.mark.parametrize(
    "path", ["orders?limit=0", "orders?limit=501", "orders?limit=x", "orders?surprise=1", "equity?max_points=1",
             "orders?after=99999999999999999999", f"decisions?order={'x' * 41}"],
)  # fmt: skip
def test_bad_queries_are_refused_with_a_problem(dash: Dashboard, path: str) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answer = await dash.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        problem = await answer.get_json(force=True)
        assert problem["status"] == 400
        assert problem["detail"]

    run(scenario)


def test_a_request_is_passed_on_with_its_author_and_answered_when_durable(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answer = await dash.ask(action="halt", reason="odd fills")
        assert answer.status_code == 202
        assert await answer.get_json() == {"request_id": "req-1", "action": "halt", "recorded": True, "flagged": True}
        row = dash.journal.request_rows[0]
        assert (row.action, row.reason) == (Action.HALT, "odd fills")
        assert row.actor.startswith("dashboard session ")
        assert dash.session not in row.actor
        listed = (await dash.json("/api/v1/requests"))["requests"][0]
        assert (listed["action"], listed["taken"]) == ("halt", False)

    run(scenario)


def test_the_same_key_is_the_same_request(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answers = await asyncio.gather(*(dash.ask(action="halt", reason="twice") for _ in range(5)))
        assert {a.status_code for a in answers} == {202}
        assert len(dash.journal.request_rows) == 1
        assert (await dash.ask(action="reduce", reason="twice")).status_code == 409
        assert (await dash.ask(key="key-00000002", action="halt")).status_code == 202
        assert len(dash.journal.request_rows) == 2

    run(scenario)


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.LOCKED, None])
def test_reduce_does_not_loosen_a_halt(dash: Dashboard, state: TradingState | None) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        if state is None:
            dash.journal.submit(Action.HALT, "odd", "cli")  # asked for, and not yet taken
        else:
            dash.journal.set_state(state, "odd")
        before = list(dash.journal.request_rows)
        answer = await dash.ask(action="reduce")
        assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
        assert (await answer.get_json(force=True))["detail"] == (
            f"Trading is halted, which is stricter; go on from the console: robotrader reduce --state {dash.state_dir}"
        )
        assert dash.journal.request_rows == before
        assert (await dash.ask(key="key-00000002", action="halt")).status_code == 202

    run(scenario)


def test_reduce_is_taken_while_trading_is_active_or_reducing(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        assert (await dash.ask(action="reduce")).status_code == 202
        dash.journal.set_state(TradingState.REDUCING, "odd")
        assert (await dash.ask(key="key-00000002", action="reduce")).status_code == 202
        dash.journal.set_state(TradingState.HALTED, "odd")
        assert (await dash.ask(action="reduce")).status_code == 202  # the first one again, not a new one
        assert len(dash.journal.request_rows) == 2

    run(scenario)


BAD_BODIES: dict[str, dict[str, Any]] = {
    "unknown field": {"json": {"action": "halt", "force": True}},
    "unknown action": {"json": {"action": "flatten"}},
    "no action": {"json": {"reason": "x"}},
    "no object": {"json": ["halt"]},
    "empty reason": {"json": {"action": "halt", "reason": ""}},
    "long reason": {"json": {"action": "halt", "reason": "x" * 201}},
    "broken JSON": {"data": b"{", "headers": {"Content-Type": "application/json"}},
    "no UTF-8": {"data": b'{"action": "\xff\xfe"}', "headers": {"Content-Type": "application/json"}},
    "no JSON type": {"data": b'{"action": "halt"}', "headers": {"Content-Type": "text/plain"}},
    "no key": {"json": {"action": "halt"}, "headers": {"Idempotency-Key": ""}},
    "long key": {"json": {"action": "halt"}, "headers": {"Idempotency-Key": "x" * 129}},
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_are_refused(dash: Dashboard, case: str) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        body = dict(BAD_BODIES[case])
        headers = {"X-CSRF-Token": dash.csrf, "Idempotency-Key": "key-00000001"} | body.pop("headers", {})
        answer = await dash.post("/api/v1/requests", headers=headers, **body)
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        assert dash.journal.request_rows == []

    run(scenario)


def test_resume_is_for_the_console(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answer = await dash.ask(action="resume", reason="all well")
        assert answer.status_code == 403
        assert "robotrader resume --state" in (await answer.get_json(force=True))["detail"]
        assert (await dash.get("/resume")).status_code == 404
        assert dash.journal.request_rows == []

    run(scenario)


def test_a_busy_journal_is_told_and_may_be_tried_again(dash: Dashboard, tmp_path: Path) -> None:
    tries: list[str] = []

    def submit(action: Action, reason: str, actor: str) -> RequestAck:
        tries.append(threading.current_thread().name)
        if len(tries) == 1:
            raise JournalBusy("The journal is busy: write the HALT file instead.")
        return dash.journal.submit(action, reason, actor)

    async def scenario() -> None:
        dash.app = create_app(lambda: dash.journal, submit, SIMULATED, state_dir=tmp_path, now=lambda: dash.now)
        await dash.sign_in()
        answer = await dash.ask(action="reduce")
        assert answer.status_code == 503
        assert "busy" in (await answer.get_json(force=True))["detail"]
        assert (await dash.ask(action="reduce")).status_code == 202
        assert threading.main_thread().name not in tries  # a locked database must not stop the page

    run(scenario)


def test_a_request_that_nobody_keeps_is_refused(dash: Dashboard, tmp_path: Path) -> None:
    def submit(action: Action, reason: str, actor: str) -> RequestAck:
        return RequestAck(request_id="r", action=action, recorded=False, flagged=action is Action.HALT)

    async def scenario() -> None:
        dash.app = create_app(lambda: dash.journal, submit, SIMULATED, state_dir=tmp_path, now=lambda: dash.now)
        await dash.sign_in()
        assert (await dash.ask(action="reduce")).status_code == 409
        assert (await dash.ask(key="key-00000002", action="halt")).status_code == 202  # the flag file holds it

    run(scenario)


def test_a_journal_of_another_version_is_a_problem_not_a_crash(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        dash.journal.error = ConfigError("The journal has schema 9, this version reads 3: run robotrader db migrate.")
        answer = await dash.get("/api/v1/status")
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert "db migrate" in (await answer.get_json(force=True))["detail"]

    run(scenario)


def test_a_wrong_method_says_which_are_right(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answer = await dash.request("DELETE", "/api/v1/requests", headers={"X-CSRF-Token": dash.csrf})
        assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))

    run(scenario)


def test_the_document_describes_every_route_and_every_type(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        document = await dash.json("/api/openapi.json")
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]) == {f"/api/v1/{name}" for name in READS}
        types = document["components"]["schemas"]
        for ref in references(document):
            assert ref.removeprefix("#/components/schemas/") in types, ref
        post = document["paths"]["/api/v1/requests"]["post"]
        assert post["requestBody"]["required"] is True
        assert set(post["responses"]) == {"202", "400", "401", "403", "409", "503"}
        assert list(post["responses"]["403"]["content"]) == ["application/problem+json"]
        assert "Order" in types
        ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
        assert len(ids) == len(set(ids))

    run(scenario)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_no_viewer_loads_code_from_elsewhere(dash: Dashboard) -> None:
    assert not [r.rule for r in dash.app.url_map.iter_rules() if r.endpoint.endswith("_ui")]
