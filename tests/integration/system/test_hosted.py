"""A user's strategy in a process of its own, in a trader over the wire: as in process, and alone in its trouble."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.adapters.strategy_host.hosts import StrategyHosts
from robotrader.cli.parity import WireResult, wire_run
from robotrader.data.panel import Panel
from robotrader.engine.asking import refill
from robotrader.model import (
    BarsClosed,
    InstrumentId,
    SetTradingState,
    SignalsComputed,
    StrategyConfig,
    StrategyId,
    TradingState,
    decode_event,
    encode,
)
from robotrader.ports import JournalRow
from tests.integration.strategy_host import strategies

_TEXT = '''
"""It follows yesterday's move, and after so many bars it is in trouble."""
import os
from typing import ClassVar

import numpy as np

from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Follow:
    PARAMETERS: ClassVar[dict[str, Parameter]] = {"good_bars": Parameter(default=100_000, low=0, high=100_000)}

    def __init__(self, *, good_bars: int) -> None:
        self._left = good_bars

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("follow"), version="1", hypothesis="None.", bar_spec=BarSpec.DAY, warmup_bars=2,
                        parameters=self.PARAMETERS)

    def signals(self, panel):
        self._left -= 1
        if not self._left:
            self.trouble()
        return np.sign(np.diff(panel.close, axis=0, prepend=np.nan))

    def trouble(self):
        pass


class Dies(Follow):
    def trouble(self):
        os._exit(7)


class Hangs(Follow):
    def trouble(self):
        while True:
            pass


class Shouts(Follow):
    def signals(self, panel):
        return super().signals(panel) * (1 if self._left > 0 else 2)
'''
GOOD_BARS = 12


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return bootstrap.first_sessions(bootstrap.load_data("sample:AAPL", state=tmp_path / "data").panel, 40)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "follow.py"
    path.write_text(_TEXT, encoding="utf-8")
    return path


def configured(file: Path, name: str, universe: Sequence[InstrumentId], **parameters: int) -> StrategyConfig:
    return StrategyConfig(id=StrategyId(name), source=f"{file}:{name}", universe=tuple(universe), sizer="fixed:50",
                          capital=Decimal(500_000), parameters=dict(parameters))  # fmt: skip


def traded(strategies_: Sequence[StrategyConfig], panel: Panel, state: Path) -> WireResult:
    return asyncio.run(asyncio.wait_for(wire_run(strategies_, panel, state), 90))


def said(state: Path) -> list[SignalsComputed]:
    rows = asyncio.run(bootstrap.journal_rows(state))
    found = [decode_event(row.payload) for row in rows if row.kind == "event"]
    return [event for event in found if isinstance(event, SignalsComputed)]


def test_every_command_is_the_same_in_process_and_without_the_file_the_record_says_so_again(
    panel: Panel, file: Path, tmp_path: Path
) -> None:
    hosted = configured(file, "Follow", panel.ids)
    alone = traded([hosted], panel, tmp_path / "hosted")
    inside = traded([structs.replace(hosted, isolated=False)], panel, tmp_path / "inside")
    assert len(alone.orders) > 10
    assert [encode(c) for c in alone.commands] == [encode(c) for c in inside.commands]
    assert said(tmp_path / "inside") == []
    assert len(said(tmp_path / "hosted")) == len(panel)
    assert sum(event.compared[0] for event in said(tmp_path / "hosted")) > 30
    assert [event.compared[1] for event in said(tmp_path / "hosted") if event.compared[1]] == []
    file.unlink()
    report = bootstrap.verify(tmp_path / "hosted")
    assert {name: found.detail for name, found in report.invariants.items() if not found.ok} == {}
    assert report.ok


@pytest.mark.parametrize(
    ("name", "fault"), [("Dies", "crashed: its process ended"), ("Hangs", "slow: "), ("Shouts", "contract: ")]
)
def test_one_in_trouble_may_only_reduce_while_the_other_trades_as_if_alone(
    name: str, fault: str, panel: Panel, file: Path, tmp_path: Path
) -> None:
    good, bad = configured(file, "Follow", panel.ids), configured(file, name, panel.ids, good_bars=GOOD_BARS)
    alone, both = (traded(those, panel, tmp_path / f"{len(those)}") for those in ([good], [good, bad]))
    assert decided(alone, "Follow") == decided(both, "Follow")
    told = [event for event in said(tmp_path / "2") if event.strategy == name]
    assert [event.fault for event in told[:-1]] == [""] * (GOOD_BARS - 1)
    assert told[-1].fault.startswith(fault)
    states = [c for c in both.commands if isinstance(c, SetTradingState)]
    assert [(c.strategy, c.state) for c in states] == [(name, TradingState.REDUCING)]
    assert told[-1].fault in states[0].reason
    assert all(order.ts_event <= told[-1].ts_event for order in both.orders if order.strategy == name)
    assert bootstrap.verify(tmp_path / "2").ok


def decided(found: WireResult, strategy: str) -> list[tuple[int, str, int]]:
    return [(o.ts_event, o.side, o.quantity) for o in found.orders if o.strategy == strategy]


@pytest.mark.parametrize("bars_before", [5, 60])
def test_a_process_started_later_goes_on_with_the_bars_of_the_journal(bars_before: int, tmp_path: Path) -> None:
    panel = bootstrap.first_sessions(bootstrap.load_data("sample:all", state=tmp_path).panel, 90)
    mine = StrategyConfig(id=StrategyId("mine"), source=f"{strategies.__file__}:Mean", universe=panel.ids)
    events = [BarsClosed(ts_event=ts, ts_init=ts, bars=bars) for _, ts, bars in panel.cross_sections()]
    before, after = events[:bars_before], events[bars_before:]
    first, second = (StrategyHosts([mine], panel.instruments) for _ in range(2))
    try:
        manifests = first.start()
        second.start()
        expected = [first.ask(event)[0].strengths for event in events][bars_before:]
        refill(recorded(before), manifests[mine.id].warmup_bars, second.ask)
        assert second.ask(before[-1]) == ()  # it is known
        assert [second.ask(event)[0].strengths for event in after] == expected
    finally:
        first.close()
        second.close()
    assert any(strength is not None for row in expected for strength in row)


def recorded(events: Sequence[BarsClosed]) -> list[JournalRow]:
    return [
        JournalRow(seq=k, kind="event", type="BarsClosed", ts=e.ts_event, payload=encode(e).decode())
        for k, e in enumerate(events)
    ]
