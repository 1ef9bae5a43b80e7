"""Default deny. Routes come from the application's own map, so a route added tomorrow is tested tomorrow."""

import re
from pathlib import Path

import pytest
from quart import Quart

from robotrader.web.security import HEADERS, PUBLIC, SAFE_METHODS
from tests.integration.web.dashboard import Dashboard, run
from tests.unit.web.fake_journal import FakeReader, seeded

OWN = "http://127.0.0.1:8787"


def routes(app: Quart, *, unsafe: bool) -> list[tuple[str, str, str]]:
    """List (method, path, endpoint) of every route, with its parameters filled in."""

    def filled(rule: str) -> str:
        return re.sub(r"<path:[^>]+>", "css/app.css", re.sub(r"<any\(([^,)]+)[^>]*>", r"\1", rule))

    return [
        (method, filled(rule.rule), rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
        if (method not in SAFE_METHODS) == unsafe
    ]


@pytest.fixture
def dash(tmp_path: Path) -> Dashboard:
    return Dashboard(seeded(), tmp_path)


def test_the_map_has_what_it_should(dash: Dashboard) -> None:
    unsafe = {path for _, path, _ in routes(dash.app, unsafe=True)}
    assert unsafe == {"/login", "/logout", "/halt", "/api/v1/requests"}
    assert {"static", "healthz", "dashboard.login", "dashboard.redeem"} == PUBLIC


def test_nothing_is_read_without_a_session(dash: Dashboard) -> None:
    async def scenario() -> None:
        for method, path, endpoint in routes(dash.app, unsafe=False):
            answer = await dash.request(method, path, headers={})
            if endpoint in PUBLIC:
                assert answer.status_code == 200, path
            elif path.startswith("/api/") or path == "/events":
                assert answer.status_code == 401, path
            else:
                assert (answer.status_code, answer.headers["Location"]) == (303, "/login"), path

    run(scenario)


def test_what_does_not_exist_is_not_told_without_a_session(dash: Dashboard) -> None:
    async def scenario() -> None:
        assert (await dash.get("/api/v1/nothing")).status_code == 401
        assert (await dash.get("/nothing")).status_code == 303
        await dash.sign_in()
        assert (await dash.get("/api/v1/nothing")).status_code == 404
        assert (await dash.get("/nothing")).status_code == 404

    run(scenario)


BAD = {
    "no session": ({"Cookie": ""}, 401),
    "no token": ({"X-CSRF-Token": ""}, 403),
    "another token": ({"X-CSRF-Token": "0" * 64}, 403),
    "token that is no ASCII": ({"X-CSRF-Token": "\xe9" * 64}, 403),
    "foreign origin": ({"Origin": "http://evil.example"}, 403),
    "another local page": ({"Origin": "http://127.0.0.1:9999"}, 403),
    "null origin": ({"Origin": "null"}, 403),
    "cross-site": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "same-site": ({"Sec-Fetch-Site": "same-site", "Origin": OWN}, 403),
    "foreign host": ({"Host": "evil.example"}, 421),
    "rebound host": ({"Host": "evil.example:8787", "Origin": "http://evil.example:8787"}, 421),
    "look-alike host": ({"Host": "127.0.0.1.evil.example"}, 421),
}


@pytest.mark.parametrize("case", BAD)
def test_no_change_is_made_by_a_bad_request(dash: Dashboard, case: str) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        headers, status = BAD[case]
        good = {"X-CSRF-Token": dash.csrf, "Idempotency-Key": "key-00000001", "Origin": OWN}
        for method, path, endpoint in routes(dash.app, unsafe=True):
            if endpoint in PUBLIC and ({"Cookie", "X-CSRF-Token"} & headers.keys()):
                continue  # the login is what gives session and token; its code stands for both
            body = {"json": {"action": "halt"}} if path.startswith("/api/") else {"form": {"idempotency_key": "k" * 8}}
            answer = await dash.request(method, path, headers=good | headers, **body)
            assert answer.status_code == status, (case, method, path)
        assert dash.journal.request_rows == []

    run(scenario)


def test_the_same_requests_are_good_without_the_fault(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        for origin in ({"Origin": OWN}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {}):
            form = {"csrf_token": dash.csrf, "idempotency_key": "k" * 8, "reason": ""}
            assert (await dash.post("/halt", form=form, headers=origin)).status_code == 303
        assert (await dash.ask(action="halt")).status_code == 202
        assert len(dash.journal.request_rows) == 2

    run(scenario)


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:8787", "127.0.0.1:9000"])
def test_every_loopback_name_is_ours(dash: Dashboard, host: str) -> None:
    async def scenario() -> None:
        assert (await dash.get("/healthz", Host=host)).status_code == 200

    run(scenario)


@pytest.mark.parametrize("host", ["example.org", "[::1", "0.0.0.0", "", "127.0.0.1@evil.example"])  # noqa: S104
def test_a_foreign_host_gets_nothing_not_even_the_health(dash: Dashboard, host: str) -> None:
    async def scenario() -> None:
        for path in ("/healthz", "/login", "/static/css/app.css", "/", "/api/v1/status"):
            assert (await dash.get(path, Host=host)).status_code in {400, 421}, path

    run(scenario)


def test_every_answer_is_hardened(dash: Dashboard) -> None:
    async def scenario() -> None:
        public = ("/", "/login", "/healthz", "/api/v1/status", "/static/css/app.css")
        answers = [await dash.get(path) for path in public]
        answers.append(await dash.get("/", Host="evil.example"))
        await dash.sign_in()
        answers += [await dash.get(path) for path in ("/", "/nothing", "/halt", "/api/v1/orders", "/api/openapi.json")]
        for answer in answers:
            for name, value in HEADERS.items():
                assert answer.headers[name] == value
            assert not [name for name in dict(answer.headers) if name.lower().startswith("access-control")]

    run(scenario)


def test_scripts_and_styles_have_their_types(dash: Dashboard) -> None:
    async def scenario() -> None:
        types = {"js/main.js": "text/javascript", "css/app.css": "text/css", "icon.svg": "image/svg+xml"}
        for path, mime in types.items():
            assert (await dash.get(f"/static/{path}")).mimetype == mime

    run(scenario)


def test_only_assets_are_served(dash: Dashboard) -> None:
    async def scenario() -> None:
        for path in ("../app.py", "%2e%2e/app.py", "/etc/passwd", "css", ""):
            assert (await dash.get(f"/static/{path}")).status_code in {303, 404}, path

    run(scenario)


def test_the_session_guard_needs_no_journal(tmp_path: Path) -> None:
    """Login and health work while the journal cannot be read."""

    async def scenario() -> None:
        broken = Dashboard(FakeReader(), tmp_path)
        broken.journal.error = RuntimeError("no such file")
        assert (await broken.get("/healthz")).status_code == 200
        assert (await broken.get("/login")).status_code == 200

    run(scenario)


def test_a_body_has_a_limit(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        answer = await dash.post(
            "/api/v1/requests", data=b"x" * (1024 * 1024 + 1),
            headers={"Content-Type": "application/json", "X-CSRF-Token": dash.csrf, "Idempotency-Key": "k" * 8},
        )  # fmt: skip
        assert answer.status_code == 413

    run(scenario)
