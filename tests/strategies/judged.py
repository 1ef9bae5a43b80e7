"""The corpus under the rules: what was found of each strategy, on the same bars and by one other process for all."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from msgspec import Struct

from robotrader import bootstrap
from robotrader.data.panel import Floats, Panel
from robotrader.model import StrategyError
from robotrader.strategy import check_data, checks
from robotrader.strategy.contract import Strategy
from robotrader.strategy.loading import load_strategy
from tests.strategies.corpus.table import BROKEN, CLEAN

CORPUS = Path(__file__).parent / "corpus"


class Subject(Struct, frozen=True, kw_only=True):
    """A strategy to judge: its name, its source as the command line takes it, and the rules that have to catch it."""

    name: str
    source: str
    make: Callable[[], Strategy]
    caught_by: frozenset[str] = frozenset()
    rule: str = ""
    bars: str = "sample"
    doc: str = ""


def subjects() -> tuple[Subject, ...]:
    """Return the broken ones, the clean ones, and the library, which has to be clean."""
    bad = [
        Subject(name=e.strategy.__name__, source=f"{CORPUS / 'broken.py'}:{e.strategy.__name__}", make=e.strategy,
                bars=e.bars, caught_by=frozenset(e.caught_by), rule=e.rule, doc=str(e.strategy.__doc__))
        for e in BROKEN
    ]  # fmt: skip
    good = [
        Subject(name=s.__name__, source=f"{CORPUS / 'clean.py'}:{s.__name__}", make=s, doc=str(s.__doc__))
        for s in CLEAN
    ]
    shipped = [
        Subject(name=source, source=source, make=partial(load_strategy, source, {}), doc=manifest.hypothesis)
        for source, manifest in bootstrap.library().items()
    ]
    return (*bad, *good, *shipped)


@lru_cache
def bars(name: str) -> Panel:
    """Return the sample, or the sample with closes that are up to 3 % from where it can be traded."""
    sample = bootstrap.load_data("sample:all", state=Path()).panel
    if name == "sample":
        return sample
    side = np.random.default_rng(7).choice([-0.03, 0.03], sample.close.shape)
    closes = sample.close * (1 + side)
    return replace(sample, close=closes, high=np.maximum(sample.high, closes), low=np.minimum(sample.low, closes))


def answers_elsewhere(asked: Iterable[Subject]) -> dict[str, Floats | str]:
    """Return what each says in another process; those that are too slow are never asked."""
    asked = [s for s in asked if s.rule != "time_budget"]
    shown = [check_data.checked(bars(s.bars), check_data.ROWS, s.make().manifest.warmup_bars) for s in asked]
    said = bootstrap.in_another_process([((s.source, {}), panel) for s, panel in zip(asked, shown, strict=True)])
    return dict(zip((s.name for s in asked), said, strict=True))


def judged(
    subject: Subject, elsewhere: dict[str, Floats | str], clock: Callable[[], float]
) -> tuple[checks.RuleResult, ...]:
    """Hold a strategy to all rules."""

    def answer(_shown: Panel) -> Floats:
        said = elsewhere[subject.name]
        if isinstance(said, str):
            raise StrategyError(said)
        return said

    return checks.check_strategy(subject.make, bars(subject.bars), clock=clock, elsewhere=answer)
