"""The guide's scripts as a stranger runs them: in an empty folder, with a client of their own, by its commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.session import ROOT, gateway, interpreter
from tests.docs.test_snippets import Snippet, missing, snippets

GUIDE = ROOT / "docs" / "guide" / "gateway-simulator.md"
BLOCKS = snippets(GUIDE.read_text("utf-8"))
pytestmark = pytest.mark.slow


def written(name: str, folder: Path) -> Path:
    """Write the guide's file of that name into a folder."""
    (block,) = (block for block in BLOCKS if block.marks == f"file={name}")
    path = folder / name
    path.write_text(block.text, encoding="utf-8")
    return path


def block_with(text: str) -> tuple[Snippet, Snippet]:
    """Return the block that runs `text`, and the output it must have."""
    at = next(i for i, block in enumerate(BLOCKS) if block.marks == "run" and text in block.text)
    return BLOCKS[at], BLOCKS[at + 1]


def test_the_ib_async_bot_works_by_the_guides_commands(tmp_path: Path) -> None:
    written("bot.py", tmp_path)
    command, output = block_with("python bot.py")
    # The bot's `python` knows ib_async and nothing of ours; `robotrader` is found behind it.
    path = os.pathsep.join(
        [str(interpreter("ib_async-2.1").parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.text], cwd=tmp_path, env={**os.environ, "PATH": path}, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert output.marks == "output"
    assert missing(output.text, done.stdout) is None, done.stdout


@pytest.mark.parametrize("client", ["ibapi-9.81", "ibapi-10.46"])
def test_the_official_bot_works_with_both_generations(client: str, tmp_path: Path) -> None:
    bot = written("official_bot.py", tmp_path)
    with gateway(tmp_path, "--lock-step") as said:
        done = subprocess.run(
            [interpreter(client), bot, str(said["port"])], capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "BOT 100 AAPL at 100.01\n")
