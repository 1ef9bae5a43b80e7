"""A strategy of the user's own, from a file of theirs."""

import re
from pathlib import Path

import pytest

from robotrader.model import ConfigError
from robotrader.strategy.loading import load_strategy
from tests.unit.strategy import strategies

SOURCE = Path(strategies.__file__)


def test_a_class_of_a_file_is_loaded_with_its_parameters(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(SOURCE.read_text("utf-8"), encoding="utf-8")
    found = load_strategy(f"{mine}:Constant", {"bars": 7})
    assert (found.manifest.id, found.manifest.warmup_bars) == ("constant", 7)
    with pytest.raises(ConfigError, match="say must lie in"):
        load_strategy(f"{mine}:Constant", {"say": 5.5})


def test_a_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    text = SOURCE.read_text("utf-8")
    for name in ("constant", "changed"):
        mine.write_text(text.replace('StrategyId("constant")', f'StrategyId("{name}")'), encoding="utf-8")
        assert load_strategy(f"{mine}:Constant", {}).manifest.id == name


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1", "Mine", "has no class Mine"),
        ("class Mine: pass", "Mine", "is no strategy: it needs PARAMETERS, manifest and signals()"),
        ("class Mine:\n    PARAMETERS = {}", "Mine", "is no strategy"),
        ("def (", "Mine", "cannot be loaded: invalid syntax"),
        ("import no_such_module_at_all", "Mine", "cannot be loaded: No module named 'no_such_module_at_all'"),
        ("Mine = undefined", "Mine", "cannot be loaded: name 'undefined' is not defined"),
    ],
)
def test_each_way_to_be_wrong_says_what_is_wrong(tmp_path: Path, text: str, name: str, message: str) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_strategy(f"{mine}:{name}", {})


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"strategy file {tmp_path / 'none.py'} does not exist")):
        load_strategy(f"{tmp_path / 'none.py'}:Mine", {})
