"""The configuration: where each value comes from, whether it fits, and the first file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.cli.commands import run


def shown(*arguments: str, cwd: Path, environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    ran = run("config", "show", "--json", *arguments, cwd=cwd, environ=environ)
    assert ran.code == 0, ran.err
    return {row["key"]: (row["value"], row["origin"]) for row in ran.json["settings"]}


def test_show_names_the_origin_of_every_value(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[broker]\nport = 7497\naccount = "DU7654321"\n[risk]\nmax_order_quantity = 10\n')
    rows = shown("--config", str(file), "--state", str(tmp_path), cwd=tmp_path,
                 environ={"ROBOTRADER__BROKER__PORT": "4001"})  # fmt: skip
    assert rows["broker.port"] == (4001, "environment ROBOTRADER__BROKER__PORT")
    assert rows["risk.max_order_quantity"] == (10, f"file {file}")
    assert rows["risk.messages_per_s"][1] == "profile paper"
    assert rows["broker.host"] == ("127.0.0.1", "default")
    assert rows["state"] == (str(tmp_path), "command line")
    assert "7654321" not in str(rows)
    assert "broker.port" in run("config", "show", cwd=tmp_path).out


@pytest.mark.parametrize("command", ["config show", "config validate"])
def test_an_unknown_key_is_exit_5_with_a_suggestion(command: str, tmp_path: Path) -> None:
    (tmp_path / "robotrader.toml").write_text("[broker]\nprot = 1\n")
    ran = run(*command.split(), "--json", cwd=tmp_path)
    assert ran.code == 5
    assert "did you mean broker.port" in ran.json["error"]


def test_validate_says_why_a_trader_would_not_start(tmp_path: Path) -> None:
    ran = run("config", "validate", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["ok"]) == (5, False)
    assert any(reason.startswith("data.universe") for reason in ran.json["reasons"])


def test_schema_describes_the_file(tmp_path: Path) -> None:
    ran = run("config", "schema", "--json", cwd=tmp_path)
    assert ran.code == 0
    assert "Settings" in ran.json["schema"]["$defs"]


def test_init_writes_a_valid_private_file_once(tmp_path: Path) -> None:
    first = run("init", "--json", cwd=tmp_path)
    file = tmp_path / "robotrader.toml"
    assert (first.code, first.json["file"], first.json["mode"]) == (0, str(file), "0600")
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("config", "validate", "--json", cwd=tmp_path).json["ok"]
    file.write_text("# mine\n")
    assert run("init", "--json", cwd=tmp_path).code == 4
    assert file.read_text() == "# mine\n"


def test_init_writes_where_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "own.toml"
    assert run("init", "--config", str(file), cwd=tmp_path).code == 0
    assert file.is_file()
    assert not (tmp_path / "robotrader.toml").exists()
