"""Connections, the clock, histories, and peers that do not keep to the protocol."""

from __future__ import annotations

import asyncio

import pytest

from robotrader.model import ConfigError
from robotrader.simulation.gateway import Gateway, GatewayConfig
from tests.integration.gateway.world import LOCK_STEP, Recorder, client, gateway, market, order, raw, run, venue

FIRST_OPEN = 1_704_205_800  # 2024-01-02 09:30 New York, in epoch seconds
SESSION_S = 23_400


async def pipe(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


def framed(text: str) -> bytes:
    return len(text.encode()).to_bytes(4, "big") + text.encode()


async def reply(reader: asyncio.StreamReader) -> list[str]:
    async with asyncio.timeout(5):
        size = int.from_bytes(await reader.readexactly(4), "big")
        return (await reader.readexactly(size)).decode().split("\0")[:-1]


def test_nothing_is_sent_between_handshake_and_start() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port, -1):  # whoever else is there, under whatever id
            reader, writer = await pipe(port)
            writer.write(b"API\0" + framed("v100..176 +PACEAPI"))
            assert (await reply(reader))[0] == "176"
            writer.write(framed("49\x001\0"))  # too early: would be lost with some clients, so it is not answered
            writer.write(framed("71\x002\x0012\0\0"))
            answers = [await reply(reader) for _ in range(5)]
            assert answers[:2] == [["15", "1", "DU1234567"], ["9", "1", "1"]]
            assert [(a[0], a[3]) for a in answers[2:]] == [("4", "2104"), ("4", "2106"), ("4", "2158")]
            writer.close()

    run(body)


@pytest.mark.parametrize(
    "opening", [b"v100..176", b"API\0" + framed("v100..156"), b"API\0" + framed("v201..230"), b"API\0\xff\xff\xff\xff"]
)
def test_peers_without_a_common_protocol_are_closed(opening: bytes) -> None:
    async def body() -> None:
        async with gateway() as (_, port):
            reader, writer = await pipe(port)
            writer.write(opening)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    run(body)


def test_malformed_and_unknown_messages_are_answered_and_the_connection_goes_on() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            for fields in (("3", "x"), ("20", 5), ("12345", 1), ("4", 1, ""), ("71", 2, 3, ""), ("3", "9" * 4000)):
                peer.client.send(*fields)
            assert await peer.next_session() == FIRST_OPEN - 3_600
            assert peer.codes() == [320, 320, 321, 320, 320]

    run(body)


@pytest.mark.parametrize("version", [157, 163, 166, 178, 200])
def test_versions_are_negotiated(version: int) -> None:
    async def body() -> None:
        config = GatewayConfig(lock_step=True, server_version=version)
        async with gateway(config) as (_, port), raw(port) as peer:
            assert peer.client.serverVersion() == min(version, 178)
            await peer.next_session()
            peer.place(1, order())
            await peer.next_session()
            assert [b.volume for b in await peer.history("AAPL")] == [1e6 if version >= 175 else 1e4]
            assert peer.heard.all("execDetails")[0][2].orderRef == "RT-ONE"

    run(body)


def test_a_client_id_is_used_once_at_a_time() -> None:
    async def body() -> None:
        async with gateway() as (_, port):
            async with raw(port, 3):
                second = Recorder()
                with pytest.raises((ConnectionError, TimeoutError)):
                    await client(second).connectAsync("127.0.0.1", port, 3, 0.5)
                assert second.all("error")[0][1] == 326
            async with raw(port, 3) as again:  # free as soon as the first has gone
                assert again.client.isReady()

    run(body)


def test_the_first_time_request_tells_and_each_later_one_moves_the_market() -> None:
    async def body() -> None:
        async with gateway(panel=market(3)) as (_, port), raw(port, 1) as one:
            assert await one.next_session() == FIRST_OPEN - 3_600
            assert await one.next_session() == FIRST_OPEN + SESSION_S
            async with raw(port, 2) as two:
                assert await two.next_session() == FIRST_OPEN + SESSION_S
            seconds = [await one.next_session() for _ in range(3)]
            assert seconds[1] == seconds[2] == FIRST_OPEN + 2 * 86_400 + SESSION_S  # the data ends here

    run(body)


def test_speed_limits_the_sessions_a_second() -> None:
    async def body() -> None:
        async with gateway(GatewayConfig(lock_step=True, speed=20.0)) as (server, port), raw(port) as peer:
            loop = asyncio.get_running_loop()
            await peer.next_session()
            await peer.next_session()
            before = loop.time()
            for _ in range(3):
                await peer.next_session()
            assert loop.time() - before > 0.14
            now = server.now
            peer.client.reqCurrentTime()  # waits for its turn: orders meanwhile are taken at the old time
            peer.place(1, order())
            await peer.heard.until("openOrder")
            assert server.now == now

    run(body)


def test_a_client_that_leaves_while_it_waits_does_not_move_the_market() -> None:
    async def body() -> None:
        async with gateway(GatewayConfig(lock_step=True, speed=4.0)) as (server, port):
            async with raw(port, 1) as gone:
                await gone.next_session()
                told = await gone.next_session()
                gone.client.reqCurrentTime()
                gone.client.reqPositions()
                await gone.heard.until("positionEnd")
            async with raw(port, 2) as peer:
                await peer.next_session()
                assert await peer.next_session() == told + 86_400  # one session, and only when it was due
                assert server.now == (told + 86_400) * 10**9

    run(body)


def test_history_as_the_real_one() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            assert await peer.history("AAPL") == []
            assert peer.codes() == [162]
            await peer.next_session()
            await peer.next_session()
            assert await peer.history("IBM", "30 D") == []  # not listed before the third session
            assert [b.date for b in await peer.history("AAPL", "30 D")] == ["20240102", "20240103"]
            (bar,) = await peer.history("AAPL", "30 D", end="20240102 23:59:59 US/Eastern")
            assert (bar.date, bar.open, bar.high, bar.low, bar.close) == ("20240102", 100.0, 101.0, 99.0, 100.25)
            assert peer.heard.all("historicalDataEnd")[-1][1:] == (
                "20240102 09:30:00 US/Eastern", "20240102 16:00:00 US/Eastern",
            )  # fmt: skip
            del peer.heard.calls[:]
            for changes in ({"size": "7 mins"}, {"what": "OPTIONS"}, {"end": "soon"}, {"end": "20240102 10:00:00 X/Y"}):
                assert await peer.history("AAPL", "2 D", **changes) == []
            assert await peer.history("AAPL", "400 D") == []
            assert await peer.history("AAPL", "two days") == []
            assert await peer.history("AAPL", size="1 min") == []  # finer than the data
            assert await peer.history("AAPL", end="20240102 10:00:00 US/Eastern", keep=True) == []
            assert await peer.history("NOPE") == []
            assert peer.codes() == [321, 321, 10314, 10314, 321, 321, 162, 321, 200]

    run(body)


def test_a_busy_port_and_wrong_options_say_what_to_do() -> None:
    panel = market()

    async def body() -> None:
        async with gateway() as (_, port):
            with pytest.raises(ConfigError, match="choose another port"):
                await Gateway(panel, venue(panel), LOCK_STEP).serve(port=port)

    run(body)
    for wrong in (GatewayConfig(server_version=158), GatewayConfig(server_version=201), GatewayConfig(speed=0.0)):
        with pytest.raises(ConfigError, match="must be"):
            Gateway(panel, venue(panel), wrong)
    with pytest.raises(ConfigError, match="at least one bar"):
        Gateway(panel.rows(0, 0), venue(panel))
