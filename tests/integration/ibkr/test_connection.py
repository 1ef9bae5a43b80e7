"""The session: whose it is, how it ends, and that it never hangs."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.errors import ErrorClass
from robotrader.adapters.ibkr.wrapper import DECODING_LOGGERS
from robotrader.model import ConfigError, ConnectionLost, Order, OrderId, Side, StrategyId, stock
from robotrader.ports import BrokerMessage, TimeAdvanced
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import ACCOUNT, Handler, ScriptedGateway, scripted
from tests.integration.ibkr.session import connected, connection


def refusal(*, timeout_s: float = 5, options: dict[str, Any] | None = None, **handlers: Handler) -> Exception:
    """Return why a session was refused."""

    async def run() -> Exception:
        inbox = Arrivals()
        async with scripted(**handlers) as (port, _), connection(inbox, **(options or {})) as link:
            with pytest.raises((ConnectionLost, ConfigError)) as caught:
                await link.connect("127.0.0.1", port, 7, timeout_s=timeout_s)
            assert not link.connected
            assert inbox.all == []  # nobody was told of a link that never was
            return caught.value

    return asyncio.run(asyncio.wait_for(run(), 20))


def test_a_session_begins_with_our_client_id_and_no_question_of_its_own() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        assert (link.connected, link.server_version) == (True, 178)
        assert peer.received == [["71", "2", "7", ""]]
        assert inbox.all == []

    connected(scenario)


def test_a_closed_port_is_named() -> None:
    async def run() -> None:
        async with scripted() as (port, _):
            pass
        async with connection(Arrivals()) as link:
            with pytest.raises(ConnectionLost, match=f"nothing listens on 127.0.0.1:{port}"):
                await link.connect("127.0.0.1", port, 7, timeout_s=5)

    asyncio.run(run())


def test_a_silent_peer_is_given_up() -> None:
    error = refusal(timeout_s=0.2, on71=lambda _: ())
    assert isinstance(error, ConnectionLost)
    assert "opened no session within 0.2 s" in error.message


def test_a_client_id_in_use_is_named() -> None:
    async def run() -> None:
        inbox = Arrivals()
        peers: list[ScriptedGateway] = []

        def refuse(_fields: list[str]) -> list[str]:
            asyncio.get_running_loop().call_soon(peers[0].hang_up)
            return ["4|2|-1|326|Unable to connect as the client id is already in use.|"]

        async with scripted(on71=refuse) as (port, found), connection(inbox) as link:
            peers = found
            with pytest.raises(ConnectionLost, match="client id is in use"):
                await link.connect("127.0.0.1", port, 7, timeout_s=5)

    asyncio.run(asyncio.wait_for(run(), 20))


def test_another_account_is_a_configuration_error() -> None:
    error = refusal(on71=lambda _: ["15|1|DU7654321", "9|1|1"])
    assert isinstance(error, ConfigError)
    assert "expected account DU1234567" in error.message
    assert "DU7654321" in error.message


def test_a_live_account_where_paper_is_configured_is_a_configuration_error() -> None:
    error = refusal(options={"account": "U1234567"}, on71=lambda _: ["15|1|U1234567", "9|1|1"])
    assert isinstance(error, ConfigError)
    assert "begins with DU" in error.message


def test_order_ids_in_the_range_of_our_requests_are_refused() -> None:
    error = refusal(on71=lambda _: [f"15|1|{ACCOUNT}", "9|1|10000000"])
    assert isinstance(error, ConfigError)
    assert "reset the API order id" in error.message


def test_a_silenced_decoder_is_a_configuration_error() -> None:
    logger = logging.getLogger(DECODING_LOGGERS[0])
    logger.disabled = True
    try:
        error = refusal()
    finally:
        logger.disabled = False
    assert isinstance(error, ConfigError)


def test_a_lost_connection_is_told_once_and_fails_what_waits() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        snapshot = asyncio.ensure_future(IbkrBroker(link, (), timeout_s=10).snapshot())
        await peer.until("16")
        peer.hang_up()
        assert await inbox.ended() == ["the gateway closed the connection"]
        with pytest.raises(ConnectionLost):
            await snapshot
        with pytest.raises(ConnectionLost):
            link.send(translate.cancel(1))
        assert inbox.all == []
        assert len(inbox.downs) == 1

    connected(scenario)


def test_the_last_words_of_the_gateway_are_kept() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        peer.say("4|2|-1|1300|TWS has been reset|")
        peer.hang_up()
        [reason] = await inbox.ended()
        assert "1300: TWS has been reset" in reason

    connected(scenario)


def test_a_connection_can_be_opened_again() -> None:
    async def run() -> None:
        inbox = Arrivals()
        async with scripted(on49=lambda _: ["49|1|1776087000"]) as (port, peers), connection(inbox) as link:
            for expected in (1, 2):
                await link.connect("127.0.0.1", port, 7, timeout_s=5)
                link.request_time()
                assert len(await inbox.until(TimeAdvanced, expected)) == expected
                assert not inbox.of(TimeAdvanced)[-1].ended  # the first time of a connection ends nothing
                peers[-1].hang_up()
                await inbox.ended(expected)

    asyncio.run(asyncio.wait_for(run(), 20))


def test_time_requests_are_one_at_a_time_and_a_repeated_time_ends_lock_step() -> None:
    times = iter([1776087000, 1776110400, 1776110400])

    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        for count in (1, 2, 3):
            link.request_time()
            link.request_time()
            await inbox.until(TimeAdvanced, count)
        assert len(peer.requests("49")) == 3
        assert [(t.ts // 10**9, t.ended) for t in inbox.of(TimeAdvanced)] == [
            (1776087000, False), (1776110400, False), (1776110400, True),
        ]  # fmt: skip

    connected(scenario, on49=lambda _: [f"49|1|{next(times)}"])


def test_a_time_that_nobody_asked_for_is_no_end() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        link.request_time()
        assert [m.name for m in await inbox.until(BrokerMessage)] == ["orderStatus"]
        assert len(inbox.of(TimeAdvanced)) == 1

    twice = ["49|1|1776087000", "49|1|1776087000", "3|1|Filled|1|0|1|9|0|1|7||0"]
    connected(scenario, on49=lambda _: twice)


def test_messages_keep_the_order_of_the_socket() -> None:
    status = "3|1|Submitted|0|100|0|900|0|0|7||0"

    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        link.request_time()
        await inbox.until(BrokerMessage, 2)
        assert [type(a) for a in inbox.all] == [BrokerMessage, TimeAdvanced, BrokerMessage]

    connected(scenario, on49=lambda _: [status, "49|1|1776087000", status])


def test_a_frozen_gateway_is_a_lost_link() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        link.request_time()
        assert await inbox.ended() == ["the gateway did not answer a time request for 0.1 s"]
        assert not link.connected

    connected(scenario, options={"answer_timeout_s": 0.1})


def test_outside_lock_step_the_heartbeat_asks_by_itself_and_its_answers_move_no_clock() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        await peer.until("49", 3)
        assert inbox.all == []
        link.request_time()
        [time] = await inbox.until(TimeAdvanced)
        assert not time.ended

    options = {"lock_step": False, "heartbeat_s": 0.02}
    connected(scenario, options=options, on49=lambda _: ["49|1|1776087000"])


def test_a_heartbeat_without_answer_is_a_lost_link() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        [reason] = await inbox.ended()
        assert "did not answer a time request" in reason

    connected(scenario, options={"lock_step": False, "answer_timeout_s": 0.1})


def test_a_gateway_that_lost_ibkr_takes_no_orders_until_it_is_back() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        broker = IbkrBroker(link, [stock("AAPL")])
        order = Order(
            id=OrderId("RT-1"), strategy=StrategyId("s"), instrument=stock("AAPL").id, side=Side.BUY, quantity=1,
            ts_event=0,
        )  # fmt: skip
        peer.say("4|2|-1|1100|Connectivity between IBKR and TWS has been lost|")
        await inbox.noticed(ErrorClass.LINK_LOST)
        assert not link.connected
        with pytest.raises(ConnectionLost, match="no link to IBKR"):
            broker.submit(order, 1)
        peer.say("4|2|-1|1102|Connectivity between IBKR and TWS has been restored|")
        await inbox.noticed(ErrorClass.LINK_RESTORED)
        broker.submit(order, 1)
        assert len(await peer.until("3")) == 1

    connected(scenario)


def test_a_message_that_cannot_be_decoded_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        peer.say("3|1|Submitted|0|1|0|not a permId|0|0|7||0", "11|-1|1", "3|1|Submitted|0|1|0|9|0|0|7||0")
        messages = await inbox.until(BrokerMessage, 3)
        assert [m.name for m in messages] == ["lostMessage", "lostMessage", "orderStatus"]
        assert link.lost.count == 2

    connected(scenario)


def test_nothing_but_our_own_queue_slows_messages_down() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        for number in range(300):
            link.send(translate.cancel(number))
        await asyncio.wait_for(peer.until("4", 300), 3)  # ib_async's own throttle would take more than 5 s

    connected(scenario)


def test_the_system_watches_the_socket_too() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        opened = link._client.conn.transport.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000

    connected(scenario)


def test_closing_tells_nobody_and_is_over_when_it_returns() -> None:
    async def scenario(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        await link.close()
        await link.close()
        assert inbox.all == []
        assert not link.connected
        assert not any(type(h).__name__ == "LostMessages" for h in logging.getLogger(DECODING_LOGGERS[0]).handlers)

    connected(scenario)
