"""The command takes fault scripts, and the guide names all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robotrader.simulation.gateway.faults import ACTIONS, FaultScript, from_yaml, read_script
from tests.docs.test_snippets import snippets
from tests.integration.system.running import robotrader

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "gateway-simulator.md").read_text("utf-8")


def test_the_guide_names_every_action_with_its_parameters() -> None:
    rows = {
        name: set(re.findall(r"`(\w+)", cell))
        for name, cell in re.findall(r"^\| `([\w-]+)` \|([^|]*)\|", GUIDE, re.MULTILINE)
    }
    assert rows == {name: set(re.findall(r"\w+", takes)) for name, (_, takes) in ACTIONS.items()}


def test_the_guides_script_is_one() -> None:
    (example,) = (block.text for block in snippets(GUIDE) if block.marks == "file=trouble.yaml")
    assert len(from_yaml(example, FaultScript, source="guide").faults) == 4


def test_a_seed_of_the_command_line_replaces_the_scripts(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("seed: 3\nfaults: []\n", encoding="utf-8")
    assert (read_script(path).seed, read_script(path, seed=0).seed) == (3, 0)


@pytest.mark.parametrize(("text", "said"), [("faults:\n- {at: 1, do: fly}\n", "line 2"), (None, "cannot read")])
def test_a_bad_script_ends_the_command_with_exit_5(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = robotrader("gateway-sim", "--faults", str(path), state=tmp_path)
    assert (done.code, said in done.err, "Traceback" in done.err) == (5, True, False)
