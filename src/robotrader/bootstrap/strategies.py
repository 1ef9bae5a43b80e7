"""Strategies: the library, and the check for self-deception."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from robotrader.bootstrap.trials import Configured, keep_evidence, trial_ledger
from robotrader.model import ConfigError, Manifest, StrategyError

if TYPE_CHECKING:
    from robotrader.data.panel import Floats, Panel
    from robotrader.strategy.checks import RuleResult

_ANSWER = "import robotrader.bootstrap.strategies as s; s.answer()"


def library() -> dict[str, Manifest]:
    """Return what the library's strategies declare, with default parameters, by source."""
    from robotrader.strategy.loading import LIBRARY, load_strategy

    return {source: load_strategy(source, {}).manifest for source in sorted(LIBRARY)}


def check_strategy(
    strategy: Configured, data: str, state: Path, *, progress: Callable[[int], None] = lambda _done: None
) -> "tuple[Manifest, tuple[RuleResult, ...]]":
    """Hold a strategy to all rules on a dataset (see `strategy.checks`); return its declaration and what was found.

    The outcome is remembered for the tearsheets of its runs.

    Raises
    ------
    ConfigError
        The strategy cannot be loaded, the dataset has bars of another length than it declares, or the trial ledger
        cannot be written.
    """
    from robotrader.bootstrap.data import load_data
    from robotrader.strategy import checks
    from robotrader.strategy.loading import id_of, load_strategy

    fresh, loaded = load_strategy(*strategy), load_data(data, state=state)
    manifest, panel = fresh.manifest, loaded.panel
    if panel.spec is not manifest.bar_spec:
        raise ConfigError(f"{strategy[0]} declares bars of {manifest.bar_spec}, {data} has {panel.spec}: "
                          "name a dataset of its own with --data")  # fmt: skip

    with trial_ledger(state):
        pass  # a place that cannot keep what is found is told before the work, not after it

    def elsewhere(shown: "Panel") -> "Floats":
        found = in_another_process([(strategy, shown)])[0]
        if isinstance(found, str):
            raise StrategyError(found)
        return found

    found = checks.check_strategy(
        lambda: deepcopy(fresh), panel, clock=time.perf_counter, elsewhere=elsewhere, progress=progress
    )
    rules = {outcome: [r.rule for r in found if r.outcome == outcome] for outcome in ("failed", "not_applicable")}
    keep_evidence(
        state, "check", id_of(strategy[0]), strategy, data_hash=loaded.data_hash,
        found={"passed": not rules["failed"], **rules, "rules": len(found), "data": data},
    )  # fmt: skip
    return manifest, found


def in_another_process(asked: "Sequence[tuple[Configured, Panel]]") -> "list[Floats | str]":
    """Return what strategies say of panels in a new interpreter with other hashes; a text says why one did not."""
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _ANSWER], input=pickle.dumps(asked), stdout=subprocess.PIPE, check=False,
        env={**os.environ, "PYTHONHASHSEED": other},
    )  # fmt: skip
    if done.returncode:
        raise StrategyError(f"the process that was to ask the strategy anew ended with {done.returncode}")
    answers: list[Floats | str] = pickle.loads(done.stdout)  # noqa: S301 - from our own child
    return answers


def answer() -> None:
    """Be the other process of `in_another_process`."""
    from robotrader.strategy.contract import strengths
    from robotrader.strategy.loading import load_strategy

    out, sys.stdout = sys.stdout, sys.stderr  # what a strategy prints is no answer
    answers: list[Floats | str] = []
    for strategy, panel in pickle.load(sys.stdin.buffer):  # noqa: S301 - from our own parent
        try:
            answers.append(strengths(load_strategy(*strategy), panel))
        except StrategyError as error:
            answers.append(str(error))
    out.buffer.write(pickle.dumps(answers))
