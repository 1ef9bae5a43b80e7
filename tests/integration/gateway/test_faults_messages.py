"""Faults of messages: what a client sees when they are lost, late, twice, or in another order."""

from __future__ import annotations

import asyncio

import ib_async
import pytest

from tests.integration.gateway.faulty import faulty, heard_of, now, orders, peer, run
from tests.integration.gateway.world import order, raw

BOUGHT = ["open", "status PreSubmitted", "fill", "open", "status Filled", "commission"]


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ("{at: 500, do: reset}", BOUGHT),
        ("{on: commissionReport, do: drop}", BOUGHT[:-1]),
        ("{on: orderStatus, do: drop, nth: 2}", [*BOUGHT[:4], "commission"]),
        ("{on: orderStatus, do: drop, times: 1}", [BOUGHT[0], *BOUGHT[2:]]),
        ("{on: orderStatus, do: drop, where: {status: Filled}}", [*BOUGHT[:4], "commission"]),
        ("{on: orderStatus, do: drop, client: 2}", BOUGHT),
        ("{on: execDetails, do: duplicate}", [*BOUGHT[:2], "fill", *BOUGHT[2:]]),
        (
            "{on: execDetails, do: hold, until: orderStatus}",
            [*BOUGHT[:2], "open", "status Filled", "fill", "commission"],
        ),
        ("{on: execDetails, do: delay, seconds: 5}", [*BOUGHT[:2], *BOUGHT[3:], "fill"]),
        ("{on: execDetails, do: delay, seconds: 100}", [*BOUGHT[:2], *BOUGHT[3:]]),
        ("{on: placeOrder, do: drop}", []),
        ("{on: placeOrder, do: drop, where: {symbol: IBM}}", BOUGHT),
        ("{on: placeOrder, do: drop, where: {symbol: AAPL, orderRef: RT-ONE}}", []),
        ("{on: placeOrder, do: delay, seconds: 100}", []),
        ("{on: placeOrder, do: delay, seconds: 50}", BOUGHT),
    ],
)
def test_a_message_fault_changes_its_message_and_no_other(fault: str, heard: list[str]) -> None:
    async def body() -> None:
        assert await heard_of(fault) == heard

    run(body)


def test_a_delay_lasts_its_seconds() -> None:
    async def body() -> None:
        async with faulty("{on: commissionReport, do: delay, seconds: 7.5}") as (_, port), raw(port) as client:
            client.place(1, order())
            await client.heard.until("execDetails")
            before = now()
            await client.heard.until("commissionReport")
            assert now() - before == pytest.approx(7.5, abs=0.01)

    run(body)


def test_in_lock_step_a_delay_lasts_sessions() -> None:
    async def body() -> None:
        heard = await heard_of("{on: execDetails, do: delay, seconds: 80000}", lock_step=True)
        assert heard == [*BOUGHT[:2], *BOUGHT[3:], "fill"]
        assert await heard_of("{on: execDetails, do: delay, seconds: 900000}", lock_step=True) == [
            *BOUGHT[:2],
            *BOUGHT[3:],
        ]

    run(body)


def test_the_seed_alone_decides_the_chances() -> None:
    async def body() -> None:
        coin = "{on: orderStatus, do: drop, chance: 0.5}\n{on: openOrder, do: duplicate, chance: 0.5}"
        runs = {seed: [await heard_of(coin, seed=seed) for _ in range(2)] for seed in range(8)}
        assert all(first == again for first, again in runs.values())
        assert len({tuple(first) for first, _ in runs.values()}) > 2

    run(body)


def test_an_end_is_missing_only_where_there_is_nothing_before_it() -> None:
    async def body() -> None:
        async with faulty("{on: execDetailsEnd, do: drop-if-empty}") as (_, port), raw(port) as client:
            client.client.reqExecutions(7, ib_async.ExecutionFilter())
            client.place(1, order())
            await client.heard.until("commissionReport")
            client.client.reqExecutions(8, ib_async.ExecutionFilter())
            client.client.reqExecutions(9, ib_async.ExecutionFilter(symbol="IBM"))
            await asyncio.sleep(30)
            assert client.heard.all("execDetailsEnd") == [(8,)]

    run(body)


def test_requests_are_refused_with_a_code() -> None:
    async def body() -> None:
        faults = """{on: reqHistoricalData, do: refuse, code: 162, times: 1}
            {on: reqMktData, do: refuse, code: 354}
            {on: placeOrder, do: refuse, code: 201, text: no money}"""
        async with faulty(faults) as (served, port), raw(port) as client:
            assert await client.history("AAPL") == []
            assert len(await client.history("AAPL")) == 2
            client.client.reqMktData(5, ib_async.Stock("AAPL", "SMART", "USD"), "", False, False, [])
            client.place(1, order())
            await asyncio.sleep(5)
            errors = [(args[0], args[1]) for args in client.heard.all("error") if args[0] != -1]
            assert [code for _, code in errors] == [162, 354, 201]
            assert errors[1:] == [(5, 354), (1, 201)]
            assert "pacing violation" in client.heard.all("error")[3][2]
            assert served.book.open_orders() == []
            assert orders(client) == []

    run(body)


def test_a_new_session_is_refused_as_if_its_client_id_were_in_use() -> None:
    async def body() -> None:
        async with faulty("{on: startApi, do: refuse, code: 326, times: 2}") as (_, port):
            for _ in range(2):
                async with peer(port) as (client, _):
                    assert (await client.read())[2:4] == ["-1", "326"]
                    assert await client.reader.read() == b""
            async with peer(port) as (client, _):
                assert (await client.answer(9))[2] == "1"

    run(body)


def test_a_cut_frame_is_half_and_then_the_end() -> None:
    async def body() -> None:
        async with faulty("{on: currentTime, do: cut}") as (_, port), peer(port) as (client, _):
            client.send(49, 1)
            for _ in range(5):
                await client.read()  # the start's answers
            rest = await client.reader.read()
            assert 4 < len(rest) < int.from_bytes(rest[:4], "big") + 4

    run(body)


def test_a_burst_is_exactly_what_official_clients_read_at_a_time() -> None:
    async def body() -> None:
        async with faulty("{on: currentTime, do: burst}") as (_, port), peer(port) as (client, _):
            for _ in range(5):
                await client.read()
            client.send(49, 1)
            burst = await client.reader.read(100_000)
            assert len(burst) == 4096
            assert burst.endswith(b"\0")

    run(body)
