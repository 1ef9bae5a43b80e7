"""Every scenario holds, and fails under the bug that its file names."""

from pathlib import Path

import pytest
from msgspec import structs

from robotrader.bootstrap.trading import STOPPED
from robotrader.model import Deny
from tests.scenarios.judge import failures
from tests.scenarios.mutants import MUTANTS, size_what_may_not_trade
from tests.scenarios.play import play
from tests.scenarios.script import all_files, read

_LONG = {"S16-reverse-split", "S17-daylight-saving", "S53-syncing", "S55-degraded", "S58-week"}
_UNDER_MUTANTS = {"S10-id-rollback", "S14-order-not-lost", "S29-liquidation", "S33-cancel-race", "S44-order-storm"}
"""A sample; `make scenarios` plays the long ones too, and all of them under their mutants."""


def files(*names: str, but: bool = False) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "file", [f for f in all_files() if (f.stem in names) is not but], ids=lambda f: f.stem
    )


@files(*_LONG, but=True)
def test_the_scenario_holds(file: Path, tmp_path: Path) -> None:
    scenario = read(file)
    assert failures(scenario, play(scenario, tmp_path)) == []


@files(*_UNDER_MUTANTS)
def test_the_scenario_fails_under_its_mutant(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = read(file)
    MUTANTS[scenario.mutant](monkeypatch)
    assert failures(scenario, play(scenario, tmp_path)) != []


def test_the_gate_refuses_retired_code_that_was_given_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size_what_may_not_trade(monkeypatch)
    retired = next(read(file) for file in all_files() if file.stem.startswith("S01"))
    outcome = play(retired, tmp_path)
    assert failures(retired, outcome) == []
    denied = [command for command in outcome.commands if isinstance(command, Deny)]
    assert denied
    assert {command.order.strategy for command in denied} == {"flip7"}


def test_code_that_was_edited_trades_once_somebody_accepts_it(tmp_path: Path) -> None:
    refused = next(read(file) for file in all_files() if file.stem.startswith("S02"))
    outcome = play(structs.replace(refused, accept_code=True), tmp_path)
    assert (outcome.ended, dict(outcome.record.positions)) == (STOPPED, {"AAA.SMART": -100})


def test_a_file_is_named_by_its_scenario_and_every_mutant_is_used() -> None:
    scenarios = {file: read(file) for file in all_files()}
    assert [f.name.partition("-")[0] for f in scenarios] == [s.id for s in scenarios.values()]
    assert {s.mutant for s in scenarios.values()} == set(MUTANTS)
