"""The harness stops what a test may not do; a guard that cannot fail guards nothing."""

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import forbidden

OTHER_MACHINE = "192.0.2.1"  # RFC 5737: documentation, belongs to nobody
STOPPED = pytest.fail.Exception


def test_no_test_reaches_another_machine() -> None:
    for unit in (True, False):
        for event in ("socket.connect", "socket.bind", "socket.sendto"):
            assert forbidden(event, (None, (OTHER_MACHINE, 80)), unit=unit)
            assert forbidden(event, (None, ("0.0.0.0", 80)), unit=unit)  # noqa: S104
        assert forbidden("socket.getaddrinfo", ("example.org", 80), unit=unit)


def test_loopback_is_open_to_all_but_unit_tests() -> None:
    for address in (("127.0.0.1", 80), ("::1", 80, 0, 0), ("localhost", 80), "/tmp/local.socket"):  # noqa: S108
        assert not forbidden("socket.connect", (None, address), unit=False)
        assert forbidden("socket.connect", (None, address), unit=True)
    assert not forbidden("socket.getaddrinfo", (None, 80), unit=True)


def test_a_unit_test_cannot_connect() -> None:
    with socket.socket() as sock, pytest.raises(STOPPED, match="may not leave this machine"):
        sock.connect((OTHER_MACHINE, 80))


def test_a_unit_test_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(STOPPED, match="touches no disk"):
        (tmp_path / "file").write_text("text", encoding="utf-8")
    with pytest.raises(STOPPED, match="touches no disk"):
        sqlite3.connect(tmp_path / "journal.sqlite")
    sqlite3.connect(":memory:").close()
    assert Path(__file__).read_text(encoding="utf-8")  # reading is allowed: sample data, package resources


def test_a_unit_test_cannot_sleep_or_start_a_program() -> None:
    with pytest.raises(STOPPED, match="pure"):
        sys.audit("time.sleep", 1)  # what the interpreter announces before it sleeps
    with pytest.raises(STOPPED, match="pure"):
        subprocess.run([sys.executable, "--version"], check=True)


def test_home_is_not_the_users(users_environ: dict[str, str]) -> None:
    assert os.environ["HOME"] != users_environ.get("HOME")
    assert not [name for name in os.environ if name.startswith(("ROBOTRADER_", "XDG_"))]
