"""Whole runs with the journal in PostgreSQL, by the command line."""

import asyncio
from pathlib import Path

from robotrader import bootstrap
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.postgres import PostgresDatabase
from tests.conformance.postgres import PostgresServer
from tests.integration.system.running import robotrader
from tests.integration.web.dashboard import run
from tests.integration.web.test_sql_journal import RealDashboard
from tests.unit.web.fake_journal import FakeReader, run_started

CONFIG = """
[broker]
account = "DU1234567"
[data]
universe = ["AAPL.NASDAQ"]
[[strategy]]
id = "sma"
source = "sma_crossover"
capital = "10000"
universe = ["AAPL.NASDAQ"]
[journal]
url = "{}"
"""
REFUSED = 5


def configured(folder: Path, url: str) -> str:
    file = folder / "trader.toml"
    file.write_text(CONFIG.format(url), encoding="utf-8")
    return str(file)


def test_a_run_on_postgresql_is_the_run_on_a_file(server: PostgresServer, tmp_path: Path) -> None:
    url, there, here = server.url(), tmp_path / "there", tmp_path / "here"
    made = robotrader("db", "migrate", "--config", configured(tmp_path, url), state=there)
    assert (made.code, made.json["journal"]) == (0, url), made.err
    runs = [robotrader("demo", "--headless", "--days", "90", state=state).json for state in (there, here)]
    assert runs[0]["fills"] > 0
    for name in ("orders", "fills", "denied", "orders_hash", "fills_hash", "equity", "positions", "invariants_checked"):
        assert runs[0][name] == runs[1][name], name
    assert runs[0]["invariants_violated"] == 0
    assert not (there / bootstrap.JOURNAL).exists()
    shown = [robotrader("status", state=state).json for state in (there, here)]
    assert shown[0].pop("run_id") != shown[1].pop("run_id")
    assert shown[0] == shown[1]
    verified = bootstrap.verify(there)
    assert (verified.ok, verified.events) == (True, bootstrap.stats(there).rows["journal"])


def test_a_trader_starts_on_no_journal_that_another_one_holds(server: PostgresServer, tmp_path: Path) -> None:
    url = server.url()
    bootstrap.migrate(tmp_path / "first", url)
    with PostgresDatabase(url) as database:
        holder = SqlJournal(database, exclusive=True)
        refused = robotrader("trade", "--config", configured(tmp_path, url), state=tmp_path / "second")
        asyncio.run(holder.close())
    assert refused.code == REFUSED
    assert "another trader holds the journal" in refused.err


def test_the_dashboard_reads_the_server_and_leaves_its_requests_there(server: PostgresServer, tmp_path: Path) -> None:
    bootstrap.migrate(tmp_path, server.url())

    async def scenario() -> None:
        dash = RealDashboard(FakeReader(), tmp_path)
        await dash.sign_in()
        journal = SqlJournal(bootstrap.database(tmp_path))
        await journal.begin_run(run_started().run_id, "code")
        async with journal.transaction() as transaction:
            transaction.event(run_started())
        await journal.close()
        status = await dash.json("/api/v1/status")
        assert (status["trading_state"], status["run_id"]) == ("ACTIVE", "run-7")
        answer = await dash.ask(action="halt", reason="odd fills")
        assert (await answer.get_json())["recorded"] is True

    run(scenario)
    assert [row.reason for row in bootstrap.reader(tmp_path).requests()] == ["odd fills"]
