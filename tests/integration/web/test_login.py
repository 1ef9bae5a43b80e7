"""Signing in: a link works once and for ten minutes, a session ends in time, and neither is kept in the clear."""

from pathlib import Path

from robotrader.web.security import COOKIE
from robotrader.web.sessions import LOGIN_CODE_S, LOGINS_PER_MINUTE, issue_login_code
from tests.integration.web.dashboard import Dashboard, run
from tests.unit.web.fake_journal import seeded

HOUR = 3_600.0


def files(state_dir: Path) -> list[Path]:
    return [path for path in state_dir.rglob("*") if path.is_file()]


def test_a_link_signs_in_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        code = issue_login_code(tmp_path, now=lambda: dash.now)
        first = await dash.post("/login", form={"code": code})
        assert (first.status_code, first.headers["Location"]) == (303, "/")
        cookie = first.headers["Set-Cookie"]
        for part in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in cookie
        assert "Domain" not in cookie
        assert (await dash.post("/login", form={"code": code})).status_code == 403

    run(scenario)


def test_a_link_expires_and_a_newer_one_replaces_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        old = issue_login_code(tmp_path, now=lambda: dash.now)
        dash.now += LOGIN_CODE_S + 1
        assert (await dash.post("/login", form={"code": old})).status_code == 403
        replaced = issue_login_code(tmp_path, now=lambda: dash.now)
        issue_login_code(tmp_path, now=lambda: dash.now)
        assert (await dash.post("/login", form={"code": replaced})).status_code == 403

    run(scenario)


def test_guessing_is_slow(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        code = issue_login_code(tmp_path, now=lambda: dash.now)
        for _ in range(LOGINS_PER_MINUTE):
            assert (await dash.post("/login", form={"code": "guess"})).status_code == 403
        answer = await dash.post("/login", form={"code": code})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
        dash.now += 60
        assert (await dash.post("/login", form={"code": code})).status_code == 303

    run(scenario)


def test_secrets_are_kept_as_hashes_in_files_of_the_owner(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        code = issue_login_code(tmp_path, now=lambda: dash.now)
        await dash.sign_in()
        issue_login_code(tmp_path, now=lambda: dash.now)
        assert len(files(tmp_path)) == 2
        for path in files(tmp_path):
            assert path.stat().st_mode & 0o777 == 0o600
            for secret in (code, dash.session, dash.csrf):
                assert secret not in path.read_text()

    run(scenario)


def test_a_session_outlives_a_restart_but_not_its_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        await dash.sign_in()
        dash.restart()
        for _ in range(20):  # in use it lasts a week
            dash.now += 8 * HOUR
            assert (await dash.get("/api/v1/status")).status_code == 200
        dash.now += 9 * HOUR
        assert (await dash.get("/api/v1/status")).status_code == 401

    run(scenario)


def test_an_idle_session_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        await dash.sign_in()
        dash.now += 12 * HOUR + 1
        answer = await dash.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")

    run(scenario)


def test_signing_out_ends_the_session_everywhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        await dash.sign_in()
        answer = await dash.post("/logout", form={"csrf_token": dash.csrf})
        assert answer.status_code == 303
        assert f"{COOKIE}=;" in answer.headers["Set-Cookie"]
        assert (await dash.get("/api/v1/status")).status_code == 401
        dash.restart()
        assert (await dash.get("/api/v1/status")).status_code == 401

    run(scenario)


def test_a_new_login_ends_the_old_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(seeded(), tmp_path)
        await dash.sign_in()
        old = dash.session
        await dash.sign_in()
        assert dash.session != old
        assert (await dash.get("/api/v1/status", Cookie=f"{COOKIE}={old}")).status_code == 401

    run(scenario)


def test_damaged_files_sign_nobody_in_and_stop_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        web = tmp_path / "web"
        web.mkdir()
        (web / "sessions.json").write_text("{not json")
        (web / "login-code.json").write_text("[]")
        dash = Dashboard(seeded(), tmp_path)
        assert (await dash.post("/login", form={"code": "x"})).status_code == 403
        await dash.sign_in()
        assert (await dash.get("/")).status_code == 200

    run(scenario)
