"""The dashboard over the real journal: empty, started, halted."""

from pathlib import Path

from quart import Quart

from robotrader import bootstrap
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.model import Action, RunStarted
from robotrader.web.app import create_app
from robotrader.web.config import WebConfig
from tests.integration.web.dashboard import Dashboard, run
from tests.unit.web.fake_journal import FakeReader, run_started


class RealDashboard(Dashboard):
    """The same, wired as `bootstrap` does it."""

    def make_app(self) -> Quart:
        state = self.state_dir
        return create_app(
            lambda: bootstrap.reader(state),
            lambda action, reason, actor: bootstrap.request(state, action, reason, actor),
            WebConfig(simulated=True), state_dir=state, now=lambda: self.now,
        )  # fmt: skip


async def start_run(state: Path, event: RunStarted) -> None:
    """Write the start of a run, as the trader does."""
    journal = SqlJournal(Database(state / "journal.sqlite"))
    await journal.rows()
    await journal.begin_run(event.run_id, event.code_version)
    async with journal.transaction() as transaction:
        transaction.event(event)
    await journal.close()


def test_from_no_journal_to_a_halt_in_the_journal(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = RealDashboard(FakeReader(), tmp_path)
        await dash.sign_in()
        assert (await dash.json("/api/v1/status"))["trading_state"] is None
        answer = await dash.ask(action="reduce", reason="odd")
        assert answer.status_code == 409  # nobody would ever read it
        answer = await dash.ask(key="key-00000002", action="halt", reason="odd")
        assert (answer.status_code, (await answer.get_json())["flagged"]) == (202, True)

        bootstrap.migrate(tmp_path)
        await start_run(tmp_path, run_started())
        status = await dash.json("/api/v1/status")
        assert (status["trading_state"], status["mode"], status["run_id"]) == ("ACTIVE", "PAPER", "run-7")
        assert [age["state"] for age in status["data"]] == ["missing"] * 4
        assert len((await dash.json("/api/v1/strategies"))["strategies"]) == 2

        async with dash.stream() as stream:
            await stream.names()
            answer = await dash.ask(key="key-00000003", action="halt", reason="odd fills")
            assert (await answer.get_json())["recorded"] is True
            while "odd fills" not in (await stream.event("frame"))["pending"]:
                pass
        rows = bootstrap.reader(tmp_path).requests()
        assert [(row.action, row.reason, row.taken) for row in rows] == [(Action.HALT, "odd fills", None)]

    run(scenario)
