"""A complete look at the broker, or none: a missing answer proves nothing."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.model import BrokerUnavailable, DataError, InvariantViolation, OrderId, Venue, stock
from robotrader.ports import BrokerMessage
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import ACCOUNT, Handler, ScriptedGateway
from tests.integration.ibkr.session import connected

AAPL = stock("AAPL", Venue.NASDAQ)
STOCK = "265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS"
STATUS = "3|1|Submitted|0|100|0|900|0|0|7||0"
COMMISSION = "59|1|0000e0d5.69dd7411.01.01|1.0|USD|1.7976931348623157E308|1.7976931348623157E308|"
LIVE = "3|2|Submitted|0|100|0|901|0|0|7||0"


def execution(request_id: str, ref: str = "RT-A") -> str:
    return (
        f"11|{request_id}|1|{STOCK}|0000e0d5.69dd7411.01.01|20260413 09:30:00 US/Eastern|{ACCOUNT}|NASDAQ|BOT|100"
        f"|187.33|900|7|0|100|187.33|{ref}||||2|0"
    )


def account(request_id: str, *values: str) -> list[str]:
    return [*(f"73|1|{request_id}|{ACCOUNT}||{v}" for v in values), f"74|1|{request_id}"]


HONEST: dict[str, Handler] = {
    "on16": lambda _: [STATUS, "53|1"],
    "on99": lambda _: ["102"],
    "on7": lambda fields: [execution(fields[2]), f"55|1|{fields[2]}", COMMISSION],
    "on61": lambda _: [f"61|3|{ACCOUNT}|{STOCK}|100|187.33", f"61|3|DU9|{STOCK}|5|1", "62|1"],
    "on76": lambda fields: account(fields[2], "CashBalance|981266.123456|USD", "NetLiquidation|1000000.12|USD"),
    "on8": lambda _: ["9|1|3"],
}


def snapshot_of(scenario: Any, *, timeout_s: float = 5.0, **handlers: Handler) -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        await scenario(IbkrBroker(link, [AAPL], timeout_s=timeout_s), inbox, peer)

    connected(run, **{**HONEST, **handlers})


def test_everything_is_asked_in_order_and_put_together() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        found = await broker.snapshot()
        assert [m.name for m in found.messages] == ["orderStatus", "execDetails", "commissionReport"]
        assert found.order_refs == {"RT-A"}
        assert found.positions == {AAPL.id: 100}  # of our account only
        assert (found.account.cash, found.account.net_liquidation) == (Decimal("981266.123456"), Decimal("1000000.12"))
        assert found.next_order_id == 3
        assert [f[0] for f in peer.received] == ["71", "16", "99", "7", "61", "64", "76", "77", "8"]
        assert [m.name for m in inbox.of(BrokerMessage)] == ["orderStatus", "commissionReport"]  # never less than live

    snapshot_of(scenario)


def test_two_looks_at_the_same_broker_are_equal() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        assert await broker.snapshot() == await broker.snapshot()

    snapshot_of(scenario)


def test_two_snapshots_at_once_do_not_mix() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        first, second = await asyncio.gather(broker.snapshot(), broker.snapshot())
        assert first == second

    snapshot_of(scenario)


@pytest.mark.parametrize(
    ("message_id", "part"),
    [
        ("16", "open orders"),
        ("99", "completed"),
        ("61", "positions"),
        ("76", "account"),
        ("8", "id"),
    ],
)
def test_a_part_without_end_is_asked_twice_and_then_there_is_no_snapshot(message_id: str, part: str) -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(BrokerUnavailable, match=part):
            await broker.snapshot()
        assert len(peer.requests(message_id)) == 2

    def silent(_fields: list[str]) -> Sequence[str]:
        return ()

    snapshot_of(scenario, timeout_s=0.3, **{f"on{message_id}": silent})


def test_executions_without_an_end_are_asked_twice_and_the_snapshot_says_that_it_lacks_them() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        assert not (await broker.snapshot()).executions_ended
        assert len(peer.requests("7")) == 2

    snapshot_of(scenario, timeout_s=0.3, on7=lambda _: [])


def test_rows_without_their_end_are_not_an_answer() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(BrokerUnavailable, match="positions"):
            await broker.snapshot()

    snapshot_of(scenario, timeout_s=0.3, on61=lambda _: [f"61|3|{ACCOUNT}|{STOCK}|100|187.33"])


def test_an_end_that_comes_to_the_second_question_completes_the_snapshot() -> None:
    asked: list[str] = []

    def forgetful(fields: list[str]) -> Sequence[str]:
        asked.append(fields[2])
        return [f"55|1|{fields[2]}"] if len(asked) == 2 else []

    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        found = await broker.snapshot()
        assert [m.name for m in found.messages] == ["orderStatus"]
        assert len(set(asked)) == 2

    snapshot_of(scenario, timeout_s=0.3, on7=forgetful)


def test_a_late_answer_is_never_taken_for_another_question() -> None:
    asked: list[str] = []

    def late(fields: list[str]) -> Sequence[str]:
        asked.append(fields[2])
        return [execution(asked[0], "RT-LATE"), f"55|1|{asked[0]}"] if len(asked) == 2 else []

    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        found = await broker.snapshot()
        assert not found.executions_ended
        assert "RT-LATE" not in found.order_refs
        assert "execDetails" in [m.name for m in inbox.of(BrokerMessage)]  # but it is news

    snapshot_of(scenario, timeout_s=0.3, on7=late)


def test_a_refused_question_is_no_empty_answer() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(DataError, match="read-only"):
            await broker.snapshot()

    snapshot_of(scenario, on76=lambda f: [f"4|2|{f[2]}|321|Error validating request: the API is in read-only mode|"])


def test_what_happens_meanwhile_is_not_lost() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        await broker.snapshot()
        statuses = [m.fields["orderId"] for m in inbox.of(BrokerMessage) if m.name == "orderStatus"]
        assert statuses == [1, 2]

    snapshot_of(scenario, on99=lambda _: [LIVE, "102"])


def test_a_fraction_of_a_share_is_not_rounded_away() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(DataError, match="whole units"):
            await broker.snapshot()

    snapshot_of(scenario, on61=lambda _: [f"61|3|{ACCOUNT}|{STOCK}|0.5|187.33", "62|1"])


def test_an_order_that_was_never_sent_cannot_be_canceled() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(InvariantViolation):
            broker.cancel(OrderId("RT-NONE"))

    snapshot_of(scenario)
