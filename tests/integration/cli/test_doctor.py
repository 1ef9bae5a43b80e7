"""Doctor: one line a check, and an exit code that a script can use."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import run
from tests.integration.system.running import process

NAMES = [
    "python", "packages", "config", "state folder", "disk", "journal", "halt flag", "time zones", "calendar",
    "web assets", "dashboard port", "broker",
]  # fmt: skip


def examine(*arguments: str, state: Path, cwd: Path, code: int = 0) -> dict[str, dict[str, Any]]:
    ran = run("doctor", "--json", *arguments, state=state, cwd=cwd)
    assert ran.code == code, ran.out
    assert ran.json["ok"] is (code == 0)
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert all(check["fix"] for check in checks.values() if check["status"] != "pass")
    return checks


def test_a_fresh_machine_is_fit(state: Path, tmp_path: Path) -> None:
    checks = examine(state=state, cwd=tmp_path)
    assert list(checks) == NAMES
    assert {name for name, check in checks.items() if check["status"] == "warn"} >= {"config", "broker"}
    assert not state.exists()
    assert "warn  broker" in run("doctor", state=state, cwd=tmp_path).out


def test_what_is_wrong_is_named_with_its_cure(state: Path, tmp_path: Path) -> None:
    (tmp_path / "robotrader.toml").write_text("[broker]\nprot = 1\n")
    state.mkdir()
    (state / "HALT").write_text("storm\n")
    (state / "journal.sqlite").write_bytes(b"no database at all " * 100)
    checks = examine(state=state, cwd=tmp_path, code=1)
    failed = {name for name, check in checks.items() if check["status"] == "fail"}
    assert failed == {"config", "journal"}
    assert "not checked" in checks["broker"]["reason"]
    assert "broker.port" in checks["config"]["reason"]
    assert (checks["halt flag"]["status"], "storm" in checks["halt flag"]["reason"]) == ("warn", True)


def configured(folder: Path, port: int) -> None:
    assert run("init", cwd=folder).code == 0
    file = folder / "robotrader.toml"
    file.write_text(file.read_text().replace("port = 4002", f"port = {port}"))


def test_a_gateway_is_greeted_in_its_own_protocol(state: Path, tmp_path: Path) -> None:
    with process("gateway-sim", "--json", state=state) as gateway:
        assert gateway.stdout is not None
        configured(tmp_path, json.loads(gateway.stdout.readline())["port"])
        broker = examine(state=state, cwd=tmp_path)["broker"]
    assert (broker["status"], "server version 200" in broker["reason"]) == ("pass", True)


@pytest.mark.parametrize("listening", [False, True])
def test_what_does_not_speak_the_api_is_a_warning(listening: bool, state: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        configured(tmp_path, server.getsockname()[1])
        if not listening:
            server.close()
        broker = examine(state=state, cwd=tmp_path)["broker"]
    assert broker["status"] == "warn"
    assert "does not speak the API" in broker["reason"]


def test_a_port_that_is_taken_is_a_warning(state: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "robotrader.toml").write_text(f"[dashboard]\nport = {port}\n")
        found = examine(state=state, cwd=tmp_path, code=1)["dashboard port"]
    assert (found["status"], str(port) in found["reason"]) == ("warn", True)
