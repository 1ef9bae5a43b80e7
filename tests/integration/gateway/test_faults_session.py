"""Faults of a connection, of the session and of the calendar."""

from __future__ import annotations

import asyncio
import logging

import pytest

from robotrader.model import NANOS_PER_SECOND, ConfigError
from robotrader.simulation.gateway import Gateway, GatewayConfig, line
from robotrader.simulation.gateway.wire import local
from tests.integration.gateway.faulty import AAPL, QUOTE, faulty, heard_of, now, orders, peer, run, script
from tests.integration.gateway.test_faults_messages import BOUGHT
from tests.integration.gateway.world import Raw, gateway, market, order, raw, venue

DAY_S = 86_400


def codes(client: Raw) -> list[int]:
    """Return the codes of the system messages since the start, good farms left out."""
    return [args[1] for args in client.heard.all("error") if args[0] == -1][3:]


def quote(client: Raw, req_id: int = 5) -> None:
    client.client.reqMktData(req_id, AAPL, "", False, False, [])


def quotes(client: Raw) -> int:
    return len(client.heard.names(*QUOTE))


def test_a_half_open_connection_is_silent_until_the_gateway_notices() -> None:
    async def body() -> None:
        async with faulty("{at: 10, do: half-open, seconds: 60}") as (_, port), peer(port) as (client, _):
            await client.time()
            await asyncio.sleep(10)
            client.send(49, 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await client.read()
            client.writer.close()  # which the gateway does not learn either
            async with peer(port) as (again, _):
                assert (await again.read())[3] == "326"
            await asyncio.sleep(40)
            async with peer(port) as (again, _):
                assert (await again.read())[0] == "15"

    run(body)


def test_a_reset_ends_without_goodbye_and_the_next_session_is_clean() -> None:
    async def body() -> None:
        async with faulty("{at: 10, do: reset}") as (_, port):
            async with peer(port) as (client, _):
                await client.time()
                with pytest.raises(ConnectionResetError):
                    await client.answer(0)
                assert now() == pytest.approx(10, abs=0.1)
            async with peer(port) as (client, _):
                assert await client.time()

    run(body)


def test_a_slow_gateway_reads_one_message_at_a_time() -> None:
    async def body() -> None:
        async with faulty("{at: 1, do: slow, seconds: 3}") as (_, port), peer(port) as (client, _):
            await asyncio.sleep(2)
            for _ in range(3):
                client.send(49, 1)
            times = []
            for _ in range(3):
                await client.answer(49)
                times.append(round(now()))
            assert times == [5, 8, 11]

    run(body)


def test_bursts_that_official_clients_lose_are_avoided() -> None:
    async def body() -> None:
        async with gateway() as (served, port), peer(port) as (client, _):
            for _ in range(5):
                await client.read()
            (talks,) = served.clients.values()
            talks.line.send(b"x" * 8192)
            assert len(await client.reader.read(100_000)) == 8191
            assert await client.reader.read(100_000) == b"x"
            talks.line.send(b"y" * 4096)
            talks.line.send(b"zz")  # in time: nothing waits
            assert await client.reader.readexactly(4098) == b"y" * 4096 + b"zz"

    run(body)


def test_a_client_that_does_not_read_is_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line, "_BUFFER_LIMIT", 1 << 20)

    async def body() -> None:
        async with gateway() as (served, port), peer(port) as (client, _), peer(port, 2) as (other, _):
            await client.time()
            await other.time()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            talks = served.clients[1]
            for _ in range(200):
                talks.send(b"\0\0\1\0" + b"x" * (1 << 16))
            assert talks.line._writer.is_closing()
            assert await other.time()
            assert list(served.clients) == [2]

    asyncio.run(body())
    assert "it is dropped" in caplog.text


def test_error_100_may_end_the_session() -> None:
    async def body() -> None:
        faults = "{on: currentTime, nth: 2, do: error, code: 100, close: true}"
        async with faulty(faults) as (_, port), peer(port) as (client, _):
            await client.time()
            await client.time()
            assert "max=50" in (await client.read())[4]
            assert await client.reader.read() == b""

    run(body)


LOST = "{{at: 10, do: link-lost, seconds: 60, restored: {}}}"


def test_while_the_link_is_lost_nothing_leaves_but_the_time_and_reports_come_late() -> None:
    async def body() -> None:
        async with faulty(LOST.format(1102)) as (served, port), raw(port) as client:
            quote(client)
            client.place(1, order(kind="LMT", lmtPrice=114.5))
            await asyncio.sleep(11)
            assert codes(client) == [1100]
            before, seen = quotes(client), len(orders(client))
            client.place(2, order())
            client.client.reqPositions()
            assert await client.next_session()  # the time, out of lock-step
            await asyncio.sleep(55)
            assert (quotes(client), orders(client)[seen:]) == (before, [])
            assert client.heard.all("positionEnd") == []
            assert [t.order_id for t in served.book.open_orders()] == [1]
            await asyncio.sleep(10)
            assert codes(client) == [1100, 1102]
            assert orders(client)[seen:] == BOUGHT  # the order had waited
            assert quotes(client) > before  # the subscription lives

    run(body)


def test_1101_loses_subscriptions_and_swallowed_orders_never_arrive() -> None:
    async def body() -> None:
        faults = "{at: 10, do: link-lost, seconds: 60, restored: 1101, requests: swallow}"
        async with faulty(faults) as (_, port), raw(port) as client:
            quote(client)
            await asyncio.sleep(11)
            client.place(2, order())
            await asyncio.sleep(61)
            before = quotes(client)
            await asyncio.sleep(61)
            assert codes(client) == [1100, 1101]
            assert (quotes(client), orders(client)) == (before, [])
            quote(client)  # the same id is free again
            await asyncio.sleep(1)
            assert quotes(client) > before

    run(body)


@pytest.mark.parametrize(("reports", "heard"), [("late", BOUGHT[2:]), ("lost", [])])
def test_a_fill_while_the_link_is_lost_is_reported_late_or_never(reports: str, heard: list[str]) -> None:
    async def body() -> None:
        faults = f"{{on: placeOrder, do: link-lost, seconds: 60, restored: 1102, reports: {reports}}}"
        async with faulty(faults) as (served, port), raw(port) as client:
            client.place(1, order())
            await asyncio.sleep(50)
            assert len(served.book.executions) == 1
            assert orders(client) == BOUGHT[:2]
            await asyncio.sleep(20)
            assert orders(client)[2:] == heard

    run(body)


def test_who_connects_during_an_outage_is_told_of_it() -> None:
    async def body() -> None:
        faults = "{at: 1, do: link-lost, seconds: 60, restored: 1102}\n{at: 1, do: farm, code: 2105, seconds: 60}"
        async with faulty(faults) as (_, port):
            await asyncio.sleep(2)
            async with raw(port) as client:
                await asyncio.sleep(1)
                assert [args[1] for args in client.heard.all("error")] == [2104, 2105, 2158, 1100]

    run(body)


def test_storms_repeat() -> None:
    async def body() -> None:
        faults = "{at: 10, again: 20, times: 3, do: link-lost, seconds: 5, restored: 1102}"
        async with faulty(faults) as (_, port), raw(port) as client:
            await asyncio.sleep(200)
            assert codes(client) == [1100, 1102] * 3

    run(body)


@pytest.mark.parametrize(("code", "well"), [(2103, 2104), (2105, 2106), (2157, 2158)])
def test_a_broken_farm_is_silent_until_it_is_well(code: int, well: int) -> None:
    async def ask(client: Raw) -> dict[int, int]:
        client.heard.calls.clear()
        client._next += 1
        client.client.reqHistoricalData(client._next, AAPL, "", "2 D", "1 day", "TRADES", True, 1, False, [])
        client.client.reqContractDetails(client._next, AAPL)
        await asyncio.sleep(1)
        ended = (len(client.heard.all(name)) for name in ("historicalDataEnd", "contractDetailsEnd"))
        return dict(zip((2103, 2105, 2157), (min(quotes(client), 1), *ended), strict=True))

    async def body() -> None:
        async with faulty(f"{{at: 10, do: farm, code: {code}, seconds: 30}}") as (_, port), raw(port) as client:
            quote(client)
            everything = {2103: 1, 2105: 1, 2157: 1}
            assert await ask(client) == everything
            await asyncio.sleep(9)
            assert client.heard.all("error")[-1][1] == code
            assert await ask(client) == everything | {code: 0}
            await asyncio.sleep(30)
            assert client.heard.all("error")[-1][1] == well
            assert await ask(client) == everything

    run(body)


def test_a_competing_session_takes_the_quotes_for_a_while() -> None:
    async def body() -> None:
        async with faulty("{at: 10, do: competing, seconds: 30}") as (_, port), raw(port) as client:
            quote(client)
            await asyncio.sleep(11)
            assert client.heard.all("error")[-1][:2] == (5, 10197)
            before = quotes(client)
            await asyncio.sleep(28)
            assert quotes(client) == before
            await asyncio.sleep(5)
            assert quotes(client) > before

    run(body)


def test_an_account_may_have_no_live_data() -> None:
    async def body() -> None:
        async with faulty("{at: 1, do: delayed-data}") as (_, port), raw(port) as client:
            await asyncio.sleep(2)
            quote(client)
            client.client.reqMarketDataType(3)
            quote(client, 6)
            async with raw(port, 2) as other:
                quote(other, 7)
                await asyncio.sleep(1)
                errors = [args[:2] for peer in (client, other) for args in peer.heard.all("error") if args[0] != -1]
                assert errors == [(5, 354), (6, 10167), (7, 354)]

    run(body)


@pytest.mark.parametrize("version", [157, 178])
def test_a_skewed_clock_is_wrong_everywhere(version: int) -> None:
    async def stamps(port: int) -> list[int]:
        async with peer(port, version=version) as (client, hello):
            clock = await client.time()
            client.send(7, 3, 1, 0, "", "", "", "", "", "")
            execution = (await client.answer(11))[15]
            seconds = [int(text.split()[1].replace(":", "")) for text in (hello[1], execution)]
            assert execution[8:].startswith(" " if version >= 174 else "  ")
            return [clock, *(n // 10_000 * 3600 + n // 100 % 100 * 60 + n % 100 for n in seconds)]

    async def body() -> None:
        async with faulty("{at: 100, do: skew, seconds: 7}") as (served, port):
            async with raw(port, 9) as buyer:
                buyer.place(1, order())
                await buyer.heard.until("commissionReport")
            before, began = await stamps(port), served.now
            await asyncio.sleep(100)
            passed = round((served.now - began) / NANOS_PER_SECOND)
            after = await stamps(port)
            moved = [b - a for a, b in zip(before, after, strict=True)]
            assert moved == pytest.approx([passed + 7, passed + 7, 7], abs=1)

    run(body)


def test_a_restart_closes_the_port_for_a_while_and_keeps_the_orders() -> None:
    async def body() -> None:
        async with faulty("{at: 10, do: restart, seconds: 60}") as (_, port):
            async with raw(port) as client, peer(port, 2) as (second, _):
                client.place(1, order(kind="LMT", lmtPrice=50, tif="GTC"))
                await second.time()
                assert await second.reader.read() == b""
                assert now() == pytest.approx(10, abs=0.1)
            await asyncio.sleep(30)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(31)
            async with raw(port) as client:
                client.client.reqOpenOrders()
                await client.heard.until("openOrderEnd")
                assert orders(client) == ["open", "status Submitted"]
                assert client.heard.all("nextValidId") == [(2,)]

    run(body)


def test_in_lock_step_a_restart_lasts_real_seconds_because_time_stands() -> None:
    async def body() -> None:
        faults = "{at: 190000, do: restart, seconds: 60}"
        async with faulty(faults, lock_step=True) as (_, port):
            async with peer(port) as (client, _):
                stood = [await client.time() for _ in range(3)]
                client.send(49, 1)
                assert await client.reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(61)
            async with peer(port) as (client, _):
                assert await client.time() - stood[-1] == DAY_S

    run(body)


def test_nightly_resets_and_the_weekly_login_keep_the_calendar() -> None:
    async def body() -> None:
        faults = """{every: 23:45, do: restart, seconds: 300}
            {weekly: sun 01:00, do: restart, seconds: 7200}"""
        async with faulty(faults, nights=True, tick_s=60.0) as (served, port):
            down = []
            for _ in range(7 * 24 * 12):
                await asyncio.sleep(300)
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                except ConnectionRefusedError:
                    down.append(local(served.now).strftime("%a %H:%M"))
            days = {text for text in down if text.endswith("23:45")}
            assert len(days) == 7
            assert [text for text in down if text not in days] == [
                f"Sun 0{1 + m // 60}:{m % 60:02}" for m in range(0, 120, 5)
            ]

    run(body)


def test_a_time_of_day_needs_a_clock_that_has_nights() -> None:
    panel = market()
    with pytest.raises(ConfigError, match="--nights"):
        Gateway(panel, venue(panel), GatewayConfig(faults=script("{every: 23:45, do: restart, seconds: 5}")))


def test_a_gateway_that_closes_during_a_restart_stays_closed() -> None:
    async def body() -> None:
        for lock_step in (False, True):
            faults = "{on: currentTime, do: restart, seconds: 60}"
            async with faulty(faults, lock_step=lock_step) as (_, port), peer(port) as (client, _):
                await client.time()
            await asyncio.sleep(120)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(body)


def test_between_two_ticks_of_the_clock_a_request_finds_the_market_up_to_date() -> None:
    async def body() -> None:
        async with gateway(GatewayConfig(tick_s=600.0)) as (_, port), peer(port) as (client, _):
            before = await client.time()
            await asyncio.sleep(100)
            assert await client.time() - before == pytest.approx(100, abs=1)
            await asyncio.sleep(100)
            async with peer(port, 2) as (_, hello):
                assert hello[1].split()[1] == "09:33:20"

    run(body)


def test_with_nights_orders_wait_for_the_morning_and_the_clock_does_not() -> None:
    async def body() -> None:
        async with gateway(GatewayConfig(nights=True, tick_s=5.0)) as (served, port), raw(port) as client:
            await asyncio.sleep(8 * 3600)
            closed = served.now
            client.place(1, order())
            await asyncio.sleep(3600)
            assert served.now - closed == pytest.approx(3600 * NANOS_PER_SECOND)
            assert served.book.executions == []
            await asyncio.sleep(16 * 3600)
            (execution,) = served.book.executions
            assert local(execution.ts).strftime("%H:%M") == "09:30"

    run(body)


def test_every_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        await heard_of("{on: orderStatus, do: drop}\n{at: 5, do: reset}")

    with caplog.at_level(logging.INFO):
        run(body)
    said = [record.getMessage() for record in caplog.records if record.name.endswith("gateway.script")]
    assert said == ["fault 1, drop: orderStatus, client 1"] * 2 + ["fault 2, reset: at 5.0 s"]
