"""The live stream: what changed and nothing else, resumable, bounded, and over when the session or the server is."""

import asyncio
import socket
from pathlib import Path

import pytest

from robotrader.model import ConfigError, TradingState
from robotrader.web.app import serve
from robotrader.web.live import PANELS
from tests.integration.web.dashboard import Dashboard, run
from tests.unit.web.fake_journal import order_row, seeded


@pytest.fixture
def dash(tmp_path: Path) -> Dashboard:
    return Dashboard(seeded(), tmp_path)


def test_a_new_reader_gets_everything_then_only_changes(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        async with dash.stream() as stream:
            assert await stream.names() == set(PANELS)
            dash.journal.order_rows.insert(0, order_row(61))
            dash.journal.seq += 1
            orders = await stream.event("orders")
            assert orders["rows"][0]["key"] == order_row(61).working.order.id
            assert stream.ids[-1] == dash.journal.seq
            dash.journal.set_state(TradingState.HALTED, "odd fills")
            await stream.until("HALTED")

    run(scenario)


def test_a_reader_that_comes_back_gets_what_it_missed(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        seen = dash.journal.seq
        async with dash.stream() as stream:
            await stream.names()
        dash.journal.set_state(TradingState.REDUCING, "too hot")
        async with dash.stream(**{"Last-Event-ID": str(seen)}) as stream:
            await stream.until("REDUCING")
        dash.journal.seq += 1
        dash.journal.order_rows.insert(0, order_row(62))
        async with dash.stream(f"/events?after={seen + 1}") as stream:
            await stream.event("orders")
            assert stream.ids[-1] == seen + 2
            assert set(stream.events) == {"frame", "orders"}  # account, fills and the rest had not changed

    run(scenario)


def test_a_page_that_has_everything_hears_of_nothing_old(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        dash.journal.seq += 1
        dash.journal.order_rows.insert(0, order_row(61))
        async with dash.stream() as stream:
            await stream.names()
            dash.journal.set_state(TradingState.HALTED, "odd fills")
            await stream.until("HALTED")
            seen = stream.ids[-1]
        async with dash.stream(f"/events?after={seen}") as stream:
            del dash.journal.fill_rows[0]
            dash.journal.seq += 1
            await stream.event("fills")
            assert set(stream.events) == {"frame", "fills"}  # in doubt the last one again, the orders not

    run(scenario)


@pytest.mark.parametrize("seen", ["-1", "x", "99999999999999999999", "\xb2", ""])
def test_nonsense_as_last_id_means_everything(dash: Dashboard, seen: str) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        async with dash.stream(**{"Last-Event-ID": seen}) as stream:
            assert await stream.names() == set(PANELS)

    run(scenario)


def test_the_stream_ends_with_the_session(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        async with dash.stream() as stream:
            await stream.names()
            await dash.post("/logout", form={"csrf_token": dash.csrf})
        assert dash.live.streams == 0

    run(scenario)


def test_the_number_of_streams_is_bounded(dash: Dashboard) -> None:
    async def scenario() -> None:
        dash.live.max_streams = 1
        await dash.sign_in()
        async with dash.stream() as stream:
            await stream.names()
            assert (await dash.get("/events")).status_code == 429
        assert (await dash.request("HEAD", "/events", headers={})).status_code == 200

    run(scenario)


def test_a_journal_that_cannot_be_read_is_told_and_the_stream_goes_on(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        async with dash.stream() as stream:
            await stream.names()
            dash.journal.error = ConfigError("The journal has schema 9.")
            assert (await stream.event("problem"))["detail"] == "The journal has schema 9."
            dash.journal.error = None
            dash.journal.set_state(TradingState.HALTED, "odd fills")
            await stream.until("HALTED")

    run(scenario)


def test_a_quiet_stream_beats(dash: Dashboard) -> None:
    async def scenario() -> None:
        dash.live.heartbeat_s = 0.02
        await dash.sign_in()
        async with dash.stream() as stream:
            await stream.names()
            assert await stream.event("beat") == {}

    run(scenario)


def test_the_server_ends_at_once_with_open_streams(dash: Dashboard) -> None:
    """Over real sockets: sign in, read the stream, change the journal, shut down."""

    async def scenario() -> None:
        await dash.sign_in()
        shutdown, ports = asyncio.Event(), asyncio.Queue[int]()
        server = asyncio.create_task(serve(dash.app, "127.0.0.1", 0, shutdown.wait, ready=ports.put_nowait))
        port = await ports.get()
        streams = [await open_stream(port, dash.session) for _ in range(3)]
        dash.journal.set_state(TradingState.HALTED, "odd fills")
        for reader, _ in streams:
            await reader.readuntil(b'"state":"HALTED"')
        shutdown.set()
        async with asyncio.timeout(1.5):
            await server
            for reader, writer in streams:
                await reader.read()
                writer.close()

    run(scenario)


async def open_stream(port: int, session: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: __Host-rt={session}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"text/event-stream" in head
    assert b"server:" not in head.lower()
    return reader, writer  # a writer that nobody holds closes its connection


def test_a_port_that_is_taken_is_a_clear_error(dash: Dashboard) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
                await serve(dash.app, "127.0.0.1", port, asyncio.Event().wait)
        with pytest.raises(ConfigError, match="loopback"):
            await serve(dash.app, "0.0.0.0", 0, asyncio.Event().wait)  # noqa: S104

    run(scenario)
