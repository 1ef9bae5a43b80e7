"""What the audit hook of a strategy's process refuses, event by event."""

import os
from pathlib import Path
from typing import Any

import pytest

from robotrader.adapters.strategy_host.guard import Places, refusal

WHERE = Places("/scratch", ("/python", "/mine/trend.py"))


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("import", ("numpy.linalg",)), ("import", ("robotrader",)), ("import", ("robotrader.data.panel",)),
        ("open", ("/python/lib/os.py", "r", os.O_RDONLY)), ("open", ("/mine/trend.py", "r", os.O_RDONLY)),
        ("open", ("/scratch/a/b", "w", os.O_WRONLY | os.O_CREAT)), ("open", (4, "w", os.O_WRONLY)),
        ("os.listdir", ("/python/lib",)), ("os.rename", ("/scratch/a", "/scratch/b", -1, -1)), ("compile", ("x", "y")),
    ],
)  # fmt: skip
def test_what_a_strategy_needs_is_allowed(event: str, args: tuple[Any, ...]) -> None:
    assert refusal(event, args, WHERE) is None


@pytest.mark.parametrize(
    ("event", "args", "why"),
    [
        ("import", ("ib_async.client",), "import ib_async.client"), ("import", ("robotrader.engine",), "import"),
        ("import", ("robotrader.models",), "import robotrader.models"),
        ("open", ("/home/key", "r", os.O_RDONLY), "read /home/key"), ("open", (b"/home/key", "r", 0), "read /home/key"),
        ("open", (Path("/mine/other.py"), "r", 0), "read /mine/other.py"),
        ("open", ("/python/os.py", "a", os.O_APPEND), "write /python/os.py"),
        ("open", ("/scratch/../key", None, os.O_RDWR), "write /key"), ("open", ("/scratches", "w", 1), "write"),
        ("os.scandir", ("/home",), "read /home"), ("os.remove", ("/mine/trend.py", -1), "change /mine/trend.py"),
        ("os.rename", ("/scratch/a", "/home/b", -1, -1), "change /home/b"), ("socket.__new__", (), "socket.__new__"),
        ("os.posix_spawn", (), "os.posix_spawn"), ("ctypes.dlopen", (None,), "ctypes.dlopen"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_its_name(event: str, args: tuple[Any, ...], why: str) -> None:
    found = refusal(event, args, WHERE)
    assert found is not None
    assert found.startswith("a strategy may not ")
    assert why in found
