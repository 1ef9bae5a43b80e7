"""A backfill against the simulator with IBKR's pacing, in virtual time: paced, resumed, and nothing asked twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robotrader import bootstrap
from robotrader.adapters.calendar import session_table
from robotrader.adapters.ibkr.backfill import Report
from robotrader.adapters.parquet.backfills import Backfills
from robotrader.adapters.parquet.lake import Lake
from robotrader.config import BrokerSettings
from robotrader.data.aggregate import Grid
from robotrader.data.frame import Versions
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import (
    BarSpec,
    BrokerUnavailable,
    ConfigError,
    CorporateAction,
    CorporateActionKind,
    PacingLimit,
)
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.gateway.connection import Connection, MarketDataRules
from robotrader.simulation.gateway.faults import Fault, FaultScript
from robotrader.simulation.venue import Venue
from tests.virtual.loop import VirtualLoop, run

SESSIONS = session_table("2024-01-02", "2024-06-28")
SYMBOLS = tuple(f"S{n:02}" for n in range(70))
NOW = 1_750_000_000 * 10**9


def panel(spec: BarSpec, bars: int, symbols: tuple[str, ...]) -> Panel:
    return generate(SeedSpec(seed=3, symbols=symbols, spec=spec, bars=bars), SESSIONS)


class Witness(Gateway):
    """A gateway that remembers which history it was asked for, and what it answered with 162."""

    def __init__(self, data: Panel, *, pacing: bool = True, **config: Any) -> None:
        venue = Venue({i.id: i for i in data.instruments}, cost_model("none"))
        rules = MarketDataRules(pacing=pacing)
        super().__init__(
            data, venue, GatewayConfig(start=int(data.ts[-1]) + 3_600 * 10**9, market_data=rules, **config)
        )
        self.asked: list[tuple[str, str, str]] = []
        self.hears: Callable[[int], object] = lambda _count: None
        self.refused = 0

    def handle(self, connection: Connection, body: str) -> None:
        fields = body.split("\0")
        if fields[0] == "20":
            self.asked.append((fields[3], fields[15], fields[17]))
            self.hears(len(self.asked))
        before, connection.error = connection.error, self._counting(connection.error)  # type: ignore[method-assign]
        try:
            super().handle(connection, body)
        finally:
            connection.error = before  # type: ignore[method-assign]

    def _counting(self, error: Callable[..., None]) -> Callable[..., None]:
        def counted(notice: tuple[int, int, str], now: int) -> None:
            self.refused += notice[1] == 162 and "pacing" in notice[2]
            error(notice, now)

        return counted


Told = Callable[[Report], None]


class Killed(BaseException):
    """The process is gone."""


def killed_at(answers: int) -> Told:
    def told(report: Report) -> None:
        if report.answered == answers:
            raise Killed

    return told


class Desk:
    """A gateway, and a folder to fill from it."""

    def __init__(self, loop: VirtualLoop, gateway: Witness, state: Path) -> None:
        self.loop, self.gateway, self.state, self.port = loop, gateway, state, 0

    def now(self) -> int:
        return NOW + round(self.loop.time() * 10**9)

    async def backfill(self, *symbols: str, told: Told = lambda _: None, where: Any = None, **changes: Any) -> Report:
        options = {"instruments": symbols, "spec": BarSpec.DAY, "start": "2024-01-01"} | changes
        broker = BrokerSettings(port=self.port, account="DU1234567", **(where or {}))
        return await bootstrap.backfill(
            bootstrap.BackfillOptions(**options), broker, self.state, told=told, now=self.now
        )

    def bars(self, spec: BarSpec) -> Panel:
        return bootstrap.scan_bars(self.gateway.book.market._panel.ids, spec, state=self.state)


def filling(data: Panel, state: Path, scenario: Callable[[Desk], Any], **config: Any) -> None:
    async def body(loop: VirtualLoop) -> None:
        desk = Desk(loop, Witness(data, **config), state)
        desk.port = await desk.gateway.serve()
        try:
            await scenario(desk)
        finally:
            await desk.gateway.close()

    run(body, latency_s=0.01)


def same(found: Panel, wanted: Panel) -> bool:
    names = ("opened", "ts", "open", "high", "low", "close", "volume")
    return all((getattr(found, name) == getattr(wanted, name)).all() for name in names)


def test_a_long_backfill_keeps_to_the_windows_takes_as_long_as_it_said_and_equals_the_panel(tmp_path: Path) -> None:
    data = panel(BarSpec.DAY, 40, SYMBOLS)

    async def scenario(desk: Desk) -> None:
        began, said = desk.loop.time(), []
        report = await desk.backfill(*SYMBOLS, told=lambda r: said.append((r.answered, r.eta_s)))
        assert said[0][0] == 0
        assert said[-1][0] == report.answered == report.requests == 70
        assert abs(desk.loop.time() - began - report.eta_s) < 0.1 * report.eta_s
        assert report.eta_s > 600
        assert (report.rows["rows_written"], report.failed, desk.gateway.refused) == (70 * 40, {}, 0)
        assert same(desk.bars(BarSpec.DAY), data)
        again = await desk.backfill(*SYMBOLS)
        assert (again.requests, again.sessions_known) == (0, 70 * 40)
        assert len(desk.gateway.asked) == 70

    filling(data, tmp_path, scenario)


def test_killed_in_the_middle_and_run_again_nothing_that_was_answered_is_asked_for_again(tmp_path: Path) -> None:
    data = panel(BarSpec.MINUTE, 390 * 12, ("AAA", "BBB"))

    async def scenario(desk: Desk) -> None:
        for answers in (2, 2):
            with pytest.raises(Killed):
                await desk.backfill("AAA", "BBB", spec=BarSpec.MINUTE, told=killed_at(answers))
        report = await desk.backfill("AAA", "BBB", spec=BarSpec.MINUTE)
        assert (report.requests, report.answered, report.sessions_known) == (2, 2, 17)
        assert len(desk.gateway.asked) == len(set(desk.gateway.asked)) == 6
        assert desk.gateway.refused == 0
        assert same(desk.bars(BarSpec.MINUTE), data)

    filling(data, tmp_path, scenario)


def test_what_the_lake_has_from_elsewhere_is_not_asked_for(tmp_path: Path) -> None:
    data = panel(BarSpec.DAY, 30, ("AAA",))

    async def scenario(desk: Desk) -> None:
        await desk.backfill("AAA", end="2024-01-19")
        (tmp_path / "lake" / "audit.jsonl").unlink()  # the rows alone must do
        report = await desk.backfill("AAA")
        assert report.sessions_known == 13
        assert desk.gateway.asked[-1][2] == "23 D"
        assert same(desk.bars(BarSpec.DAY), data)

    filling(data, tmp_path, scenario)


def test_no_data_is_knowledge_and_not_asked_for_again(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        for requests in (1, 0):
            report = await desk.backfill("AAA", start="2023-11-01", end="2023-11-30")
            assert (report.requests, report.sessions_empty) == (requests, 21 * requests)
        assert len(desk.gateway.asked) == 1

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario)


def test_another_162_is_no_knowledge(tmp_path: Path) -> None:
    fault = Fault(do="refuse", on="reqHistoricalData", code=162, text="No market data permissions for NYSE", times=1)

    async def scenario(desk: Desk) -> None:
        report = await desk.backfill("AAA")
        assert "No market data permissions" in report.failed[desk.gateway.book.market._panel.ids[0]]
        assert (await desk.backfill("AAA")).answered == 1

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario, faults=FaultScript(faults=(fault,)))


def test_a_refusal_for_pacing_is_waited_for(tmp_path: Path) -> None:
    text = "Historical Market Data Service error message:Historical data request pacing violation"
    fault = Fault(do="refuse", on="reqHistoricalData", code=162, text=text, times=6)

    async def scenario(desk: Desk) -> None:
        assert (await desk.backfill("AAA")).answered == 1
        assert desk.loop.time() > 15 + 30 + 60 + 5 + 15 + 30
        assert len(desk.gateway.asked) == 1  # six more were refused on the way

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario, faults=FaultScript(faults=(fault,)))


def test_endless_refusal_for_pacing_ends_it_after_more_than_ten_minutes(tmp_path: Path) -> None:
    fault = Fault(do="refuse", on="reqHistoricalData", code=162, text="pacing violation")

    async def scenario(desk: Desk) -> None:
        with pytest.raises(PacingLimit):
            await desk.backfill("AAA")
        assert desk.loop.time() > 600

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario, faults=FaultScript(faults=(fault,)))


def test_an_instrument_that_is_refused_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        report = await desk.backfill("NONE", "AAA")
        assert list(report.failed) == ["NONE.SMART"]
        assert (report.answered, report.rows["rows_written"]) == (1, 30)

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario)


def test_a_lost_link_ends_it_and_keeps_what_came(tmp_path: Path) -> None:
    data = panel(BarSpec.DAY, 30, ("AAA", "BBB"))

    async def scenario(desk: Desk) -> None:
        with pytest.raises(BrokerUnavailable):
            await desk.backfill("AAA", "BBB", told=lambda r: desk.loop.cut() if r.answered == 1 else None)
        report = await desk.backfill("AAA", "BBB")
        assert (report.requests, report.sessions_known) == (1, 30)
        assert same(desk.bars(BarSpec.DAY), data)

    filling(data, tmp_path, scenario)


def test_a_bad_bar_goes_into_quarantine_and_the_rest_into_the_lake(tmp_path: Path) -> None:
    data = panel(BarSpec.DAY, 30, ("AAA",))
    data.high[7, 0] = data.low[7, 0] / 2

    async def scenario(desk: Desk) -> None:
        report = await desk.backfill("AAA")
        assert (report.rows["rows_written"], report.rows["rows_quarantined"]) == (29, 1)
        assert len(desk.bars(BarSpec.DAY)) == 29

    filling(data, tmp_path, scenario)


@pytest.mark.parametrize(
    ("changes", "where", "says"),
    [({"spec": BarSpec.HOUR}, {}, "--spec: expected one of 1m, 5m, 15m, 1d"),
     ({"start": "2024-01-06", "end": "2024-01-07"}, {}, "expected a session that has closed"),
     ({"start": "2030-01-06"}, {}, "expected a session that has closed"),
     ({}, {"backfill_client_id": 1}, "another one than the trader's"),
     ({}, {"account_prefix": "U"}, "an id that begins with U")],
)  # fmt: skip
def test_what_cannot_be_is_refused(changes: Any, where: Any, says: str, tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        with pytest.raises(ConfigError, match=says):
            await desk.backfill("AAA", where=where, **changes)
        assert desk.gateway.asked == []

    filling(panel(BarSpec.DAY, 30, ("AAA",)), tmp_path, scenario)


def test_a_crash_between_the_bars_and_their_note_costs_no_second_request(tmp_path: Path) -> None:
    data = panel(BarSpec.MINUTE, 390, ("AAA",))
    grid, lake = Grid(SESSIONS, BarSpec.MINUTE), Lake(tmp_path)
    bars = [bar for _, _, bars in data.cross_sections() for bar in bars]
    frame = Backfills(lake, grid)._frame(data.ids[0], bars)
    lake.write(Versions(frame=frame, spec=BarSpec.MINUTE, known=NOW, source="ibkr"))
    assert Backfills(lake, grid).known(data.ids[0]) == {"2024-01-02"}
    counts = Backfills(lake, grid).store(data.ids[0], ("2024-01-02", "2024-01-02"), bars, now=NOW + 1)
    assert (counts["rows_written"], counts["rows_duplicate"]) == (0, 390)


def test_splits_are_undone_for_the_lake_has_raw_prices(tmp_path: Path) -> None:
    def split(symbol: str, session: int) -> CorporateAction:
        date, ex_at = SESSIONS.dates[session], SESSIONS.opens[session] - 14 * 3_600 * 10**9
        return CorporateAction(
            symbol=symbol, kind=CorporateActionKind.SPLIT, last_cum_day=SESSIONS.dates[session - 1], ex_date=date,
            ex_at=ex_at, known_at=0, source="test", new=4,
        )  # fmt: skip

    data = panel(BarSpec.DAY, 10, ("AAA",))
    kept = Backfills(Lake(tmp_path), Grid(SESSIONS, BarSpec.DAY), [split("AAA", 4), split("AAA", 7), split("BBB", 9)])
    bars = [bar for _, _, bars in data.cross_sections() for bar in bars]
    kept.store(data.ids[0], (SESSIONS.dates[0], SESSIONS.dates[9]), bars, now=NOW)
    frame = Lake(tmp_path).scan(data.ids, BarSpec.DAY)
    ratio = np.repeat([16.0, 4.0, 1.0], [4, 3, 3])
    assert frame.close.tolist() == (data.close[:, 0] * ratio).tolist()
    assert frame.volume.tolist() == (data.volume[:, 0] / ratio).tolist()


def test_a_torn_line_of_the_audit_file_is_none(tmp_path: Path) -> None:
    lake, grid = Lake(tmp_path), Grid(SESSIONS, BarSpec.DAY)
    aaa = panel(BarSpec.DAY, 1, ("AAA",)).ids[0]
    Backfills(lake, grid).store(aaa, ("2024-01-02", "2024-01-05"), (), now=NOW)
    whole = (tmp_path / "audit.jsonl").read_bytes()
    (tmp_path / "audit.jsonl").write_bytes(whole + whole[:30])
    again = Backfills(lake, grid)
    assert again.known(aaa) == {"2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"}
    assert again.recent(NOW + 60 * 10**9, 600.0) == [(60.0, aaa)]
    assert again.recent(NOW + 700 * 10**9, 600.0) == []
