"""The session that supervises itself, in virtual time: what it says of the link, and when it tries again."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.budget import LoginBudget
from robotrader.adapters.ibkr.resets import ResetSchedule
from robotrader.model import (
    Account,
    AccountReported,
    BrokerUnavailable,
    ConfigError,
    ConnectionLost,
    LinkChanged,
    Order,
    OrderId,
    Side,
    StrategyId,
    stock,
)
from robotrader.ports import BrokerMessage, TimeAdvanced
from tests.integration.ibkr.scripted import ACCOUNT, WELCOME
from tests.integration.ibkr.supervised import CLIENT_ID, Desk, nanos, supervised

LOST = "4|2|-1|1100|Connectivity between IBKR and Trader Workstation has been lost.|"
KEPT = "4|2|-1|1102|Connectivity restored - data maintained.|"
GONE = "4|2|-1|1101|Connectivity restored - data lost.|"
UNSET = "1.7976931348623157E308"
SCHEDULE = {"schedule": ResetSchedule()}
AAPL = stock("AAPL")


def in_use(_fields: list[str]) -> list[str]:
    return ["4|2|-1|326|Unable to connect as the client id is already in use.|"]


def logins(desk: Desk) -> list[list[str]]:
    return [request for peer in desk.server.peers for request in peer.requests("71")]


def test_a_session_asks_for_a_comparison_and_is_ready_after_it() -> None:
    async def scenario(desk: Desk) -> None:
        assert (desk.link.sync, desk.link.open, desk.link.ts_event) == (1, False, desk.clock.now())
        assert desk.supervisor.synced(7).state == "SYNCING"  # not the one that was asked for
        desk.sync(1)
        assert desk.told == ["SYNCING", "READY"]
        assert len(desk.arrived) == 1  # the caller knows what it did

    supervised(scenario, options={"lock_step": True, "auto_sync": False})


@pytest.mark.parametrize("lock_step", [False, True])
def test_a_lost_session_is_opened_again_under_the_same_client_id(lock_step: bool) -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(60)
        desk.peer.hang_up()
        await asyncio.sleep(1.3)
        assert desk.told == ["SYNCING", "READY", "CONNECTING", "SYNCING", "READY"]
        assert desk.link.sync == 2
        assert logins(desk) == [["71", "2", str(CLIENT_ID), ""]] * 2

    supervised(scenario, options={"lock_step": lock_step})


def test_attempts_come_ever_slower_and_a_long_outage_is_told_once() -> None:
    async def scenario(desk: Desk) -> None:
        for _ in range(2):
            await desk.server.close()
            lost = desk.loop.time()
            await asyncio.sleep(600)
            await desk.server.open()
            await asyncio.sleep(73)
            assert desk.told == ["SYNCING", "READY", "CONNECTING", "SYNCING", "READY"]
            waits = [b - a for a, b in pairwise([lost, *(t for t in tried if t > lost)])]
            wanted = [min(2.0**k, 60.0) for k in range(len(waits))]
            assert len(waits) > 13
            assert all(0.8 * w <= wait <= 1.2 * w for wait, w in zip(waits, wanted, strict=True))
            assert len({wait / w for wait, w in zip(waits, wanted, strict=True)}) > 10  # jitter
            del desk.told[:3]

    tried: list[float] = []

    class Counted(Desk):
        def supervise(self) -> None:
            super().supervise()
            connect = self.loop.create_connection

            async def counted(*args: Any, **options: Any) -> Any:
                tried.append(self.loop.time())
                return await connect(*args, **options)

            self.loop.create_connection = counted  # type: ignore[method-assign]

    supervised(scenario, desk=Counted)


def test_a_frozen_gateway_is_given_up_after_two_heartbeats_without_answer() -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(61)
        assert len(desk.peer.requests("49")) == 13
        del desk.server.handlers["49"]
        await asyncio.sleep(10)
        assert desk.told[-1] == "READY"
        await asyncio.sleep(5)
        assert desk.told[2:4] == ["CONNECTING", "SYNCING"]
        [lost] = [a for _, a in desk.arrived if isinstance(a, LinkChanged) and a.state == "CONNECTING"]
        assert "did not answer a time request for 10 s" in lost.reason
        assert len(desk.server.peers) == 2

    supervised(scenario)


@pytest.mark.parametrize("restored", [KEPT, GONE])
def test_a_gateway_without_ibkr_is_disconnected_and_compared_with_when_it_is_back(restored: str) -> None:
    async def scenario(desk: Desk) -> None:
        desk.connection.subscribe("account", *translate.watch_account(ACCOUNT))
        desk.peer.say(LOST)
        await asyncio.sleep(60)
        assert (desk.link.state, desk.link.open) == ("DISCONNECTED", False)
        assert "1100" in desk.link.reason
        desk.peer.say(restored)
        await asyncio.sleep(1)
        assert desk.told[2:] == ["DISCONNECTED", "SYNCING", "READY"]
        assert [f[2] for f in desk.peer.requests("6")] == ["1", "0", "1"]  # asked, then stopped and asked anew
        assert len(desk.server.peers) == 1
        desk.peer.hang_up()
        await asyncio.sleep(2)
        assert [f[2] for f in desk.peer.requests("6")] == ["1"]  # of the new session

    supervised(scenario)


def test_a_session_with_a_gateway_that_has_no_way_to_ibkr_waits_for_it() -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(60)
        assert desk.told == ["DISCONNECTED"]
        desk.peer.say(KEPT)
        await asyncio.sleep(1)
        assert desk.told == ["DISCONNECTED", "SYNCING", "READY"]
        assert desk.link.sync == 1

    supervised(scenario, on71=lambda _: [*WELCOME, LOST])


def test_a_storm_of_lost_and_restored_links_ends_in_one_comparison_of_the_last() -> None:
    async def scenario(desk: Desk) -> None:
        for _ in range(5):
            desk.peer.say(LOST, KEPT)
        await asyncio.sleep(1)
        assert desk.link.sync == 6
        desk.sync(3)
        assert desk.told[-1] == "SYNCING"
        desk.sync(6)
        assert desk.told[-1] == "READY"

    supervised(scenario, options={"auto_sync": False})


def test_a_broken_farm_degrades_until_it_is_usable_and_others_do_not_heal_it() -> None:
    async def scenario(desk: Desk) -> None:
        steps = (
            ("2157|Sec-def data farm connection is broken:secdefnj", "READY"),
            ("2103|Market data farm connection is broken:usfarm", "DEGRADED"),
            ("2104|Market data farm connection is OK:eufarm", "DEGRADED"),
            ("2108|Market data farm connection is inactive but should be available upon demand.usfarm", "READY"),
            ("2103|Market data farm connection is broken:usfarm.nj", "DEGRADED"),
            ("2104|Market data farm connection is OK:usfarm.nj", "READY"),
            ("2105|HMDS data farm connection is broken:ushmds", "DEGRADED"),
            ("2107|HMDS data farm connection is inactive but should be available upon demand:ushmds", "READY"),
        )
        await asyncio.sleep(1)
        for text, state in steps:
            desk.peer.say(f"4|2|-1|{text}|")
            await asyncio.sleep(1)
            assert desk.told[-1] == state, text
        assert "ushmds is broken" in [a for _, a in desk.arrived if isinstance(a, LinkChanged)][-2].reason
        assert all(a.open for _, a in desk.arrived[1:] if isinstance(a, LinkChanged))
        desk.peer.say("4|2|-1|2103|Market data farm connection is broken:usfarm|")
        await asyncio.sleep(1)
        desk.peer.hang_up()
        await asyncio.sleep(2)
        assert desk.told[-2:] == ["SYNCING", "READY"]  # a new session tells anew what is broken

    supervised(scenario)


@pytest.mark.parametrize(("ahead_s", "words"), [(4.5, "3.5 s ahead of"), (-2.5, "2.5 s behind")])
def test_a_skewed_clock_stops_everything_until_it_is_right_and_the_broker_compared_with(
    ahead_s: float, words: str
) -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(11)
        assert desk.told == ["SYNCING", "READY"]
        desk.clock.ahead_s = ahead_s
        await asyncio.sleep(5)
        assert (desk.told[-1], desk.link.open) == ("DEGRADED", False)
        assert words in desk.link.reason
        desk.clock.ahead_s = 1.9
        await asyncio.sleep(50)
        assert desk.told[-1] == "DEGRADED"
        await asyncio.sleep(15)
        assert desk.told[-2:] == ["SYNCING", "DEGRADED"]  # 0.9 s for certain
        desk.clock.ahead_s = 0.0
        await asyncio.sleep(65)
        assert desk.told[-1] == "READY"

    supervised(scenario)


def test_the_skew_is_told_when_it_is_first_known_and_then_where_it_changes_noticeably() -> None:
    async def scenario(desk: Desk) -> None:
        for ahead_s in (0.0, 0.9, 1.4, -0.4, -1.7, -1.8):  # the broker tells whole seconds: of 0.9 nothing is certain
            desk.clock.ahead_s = ahead_s
            await asyncio.sleep(15)
        told = [a.skew_s for _, a in desk.arrived if isinstance(a, LinkChanged)]
        assert told == [None, 0.0, pytest.approx(-1.7)]
        desk.peer.hang_up()
        await asyncio.sleep(10)
        again = [a.skew_s for _, a in desk.arrived if isinstance(a, LinkChanged)][len(told) :]
        assert again == [pytest.approx(-1.8), None, pytest.approx(-1.8)]  # lost, opened anew and not measured yet

    supervised(scenario)


def test_before_and_in_a_known_reset_nothing_new_is_begun_and_after_it_all_is_as_before() -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(115)
        assert desk.told == ["SYNCING", "READY"]
        await asyncio.sleep(10)
        assert (desk.link.state, desk.link.open) == ("RESET_WINDOW", True)
        await asyncio.sleep(120)  # 23:45 has passed
        await desk.server.close()
        await asyncio.sleep(100)
        assert (desk.link.state, desk.link.open) == ("RESET_WINDOW", False)
        await desk.server.open()
        await asyncio.sleep(600)
        assert desk.told == ["SYNCING", "READY", "RESET_WINDOW", "RESET_WINDOW", "SYNCING", "RESET_WINDOW", "READY"]

    supervised(scenario, start="2026-04-14T23:41-04:00", options=SCHEDULE)


def test_the_first_session_waits_only_for_a_known_reset() -> None:
    async def early(desk: Desk) -> None:
        await desk.server.close()
        opening = asyncio.ensure_future(desk.supervisor.open())
        await asyncio.sleep(100)
        assert desk.told == ["RESET_WINDOW"]
        await desk.server.open()
        await opening
        assert desk.told[:2] == ["RESET_WINDOW", "SYNCING"]

    async def late(desk: Desk) -> None:
        await desk.server.close()
        with pytest.raises(ConnectionLost, match="nothing listens"):
            await desk.supervisor.open()
        assert desk.arrived == []

    async def foreign(desk: Desk) -> None:
        desk.server.handlers["71"] = lambda _: ["15|1|U7654321", "9|1|1"]
        with pytest.raises(ConfigError, match="expected account"):
            await desk.supervisor.open()

    supervised(early, start="2026-04-14T23:46-04:00", opened=False, options=SCHEDULE)
    supervised(late, opened=False, options=SCHEDULE)
    supervised(foreign, start="2026-04-14T23:46-04:00", opened=False, options=SCHEDULE)


def test_after_the_weeks_login_has_ended_a_closed_port_needs_a_person() -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(10 * 60)
        await desk.server.close()  # 00:55 on Sunday, in the nightly reset of the servers
        await asyncio.sleep(4 * 60)
        assert desk.told[-1] == "RESET_WINDOW"
        await asyncio.sleep(2.5 * 60)
        assert (desk.link.state, desk.link.open) == ("LOGIN_NEEDED", False)
        assert "weekly login" in desk.link.reason
        await asyncio.sleep(6 * 3600)
        assert desk.told[-1] == "LOGIN_NEEDED"
        await desk.server.open()
        await asyncio.sleep(73)
        assert desk.told[-3:] == ["LOGIN_NEEDED", "SYNCING", "READY"]
        desk.peer.hang_up()
        await asyncio.sleep(0.5)
        assert desk.told[-1] == "CONNECTING"  # the new login is good

    supervised(scenario, start="2026-04-19T00:45-04:00", options=SCHEDULE)


def test_a_gateway_that_does_not_come_back_after_its_reset_needs_a_person() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.server.close()
        await asyncio.sleep(19 * 60)
        assert desk.told[-2:] == ["RESET_WINDOW", "CONNECTING"]
        await asyncio.sleep(3 * 60)
        assert desk.link.state == "LOGIN_NEEDED"
        await asyncio.sleep(3 * 3600)  # through the reset of the servers
        assert desk.told[-1] == "LOGIN_NEEDED"

    supervised(scenario, start="2026-04-14T23:45:01-04:00", options=SCHEDULE)


def test_a_gateway_logged_in_elsewhere_is_never_traded_with() -> None:
    async def scenario(desk: Desk) -> None:
        welcome = desk.server.handlers["71"]
        desk.server.handlers["71"] = lambda _: ["15|1|U7654321", "9|1|1"]
        desk.peer.hang_up()
        await asyncio.sleep(300)
        assert (desk.link.state, desk.link.open) == ("LOGIN_NEEDED", False)
        assert "expected account DU1234567" in desk.link.reason
        assert not desk.connection.connected
        assert all(p.received == [["71", "2", "7", ""]] for p in desk.server.peers[1:])
        desk.server.handlers["71"] = welcome
        await asyncio.sleep(361)
        assert desk.told[-3:] == ["LOGIN_NEEDED", "SYNCING", "READY"]
        desk.peer.hang_up()
        assert desk.told[-1] == "READY"
        await asyncio.sleep(0.5)
        assert desk.told[-1] == "CONNECTING"  # nobody needs to log in any more

    supervised(scenario)


def test_a_client_id_in_use_is_waited_for_and_no_other_is_taken() -> None:
    async def scenario(desk: Desk) -> None:
        welcome = desk.server.handlers["71"]
        desk.server.handlers["71"] = in_use
        desk.peer.hang_up()
        await asyncio.sleep(120)
        desk.server.handlers["71"] = welcome
        await asyncio.sleep(73)
        assert desk.told[2:] == ["CONNECTING", "SYNCING", "READY"]
        assert {f[2] for f in logins(desk)} == {str(CLIENT_ID)}
        assert 4 < len(logins(desk)) < 12

    supervised(scenario)


def test_a_comparison_that_fails_is_asked_for_twice_more_and_then_the_session_is_dropped() -> None:
    async def scenario(desk: Desk) -> None:
        for sync, wait_s in ((1, 5.0), (2, 10.0)):
            before = desk.loop.time()
            desk.supervisor.sync_failed(sync, "no answer")
            desk.supervisor.sync_failed(sync - 1, "an old one")
            await asyncio.sleep(wait_s + 0.1)
            assert desk.link.sync == sync + 1
            assert desk.arrived[-1][0] - before == pytest.approx(wait_s)
        desk.supervisor.sync_failed(3, "no answer")
        assert desk.told[-1] == "CONNECTING"
        assert "three comparisons" in desk.link.reason
        await asyncio.sleep(2)
        assert (desk.link.state, desk.link.sync) == ("SYNCING", 4)
        desk.supervisor.sync_failed(4, "no answer")
        desk.peer.hang_up()  # what was to be asked again is asked by the next session
        await asyncio.sleep(20)
        assert [a.sync for _, a in desk.arrived if isinstance(a, LinkChanged)] == [1, 2, 3, 3, 4, 4, 5]

    supervised(scenario, options={"auto_sync": False})


def test_only_failures_in_a_row_drop_a_session() -> None:
    async def scenario(desk: Desk) -> None:
        for sync in range(1, 9, 2):
            desk.supervisor.sync_failed(sync, "no answer")
            await asyncio.sleep(6)
            assert desk.link.sync == sync + 1
            desk.sync(sync + 1)
            desk.peer.say(KEPT)
            await asyncio.sleep(1)
        assert len(desk.server.peers) == 1

    supervised(scenario, options={"auto_sync": False})


@pytest.mark.parametrize("says", [LOST, ""])
def test_orders_that_had_not_left_are_named_when_the_link_falls(says: str) -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(1)
        broker, peer = IbkrBroker(desk.connection, [AAPL]), desk.peer
        for n in range(1, 11):
            broker.submit(order(n), n)
        await asyncio.sleep(0.01)
        assert len(desk.connection.queue) == 6
        if says:
            peer.say(says)
        else:
            peer.hang_up()
        await asyncio.sleep(0.01)
        assert desk.told[-1] == ("DISCONNECTED" if says else "CONNECTING")
        assert desk.supervisor.take_unsent() == (5, 6, 7, 8, 9, 10)
        assert desk.supervisor.take_unsent() == ()
        with pytest.raises(ConnectionLost):
            broker.submit(order(11), 11)
        peer.say(KEPT)
        await asyncio.sleep(3)
        assert desk.told[-1] == "READY"
        assert [f[1] for p in desk.server.peers for f in p.requests("3")] == ["1", "2", "3", "4"]

    supervised(scenario)


def order(number: int) -> Order:
    return Order(
        id=OrderId(f"RT-{number}"), strategy=StrategyId("s"), instrument=AAPL.id, side=Side.BUY, quantity=1, ts_event=0,
    )  # fmt: skip


def test_a_cancel_behind_five_hundred_requests_leaves_within_150_ms() -> None:
    async def scenario(desk: Desk) -> None:
        await asyncio.sleep(1)
        arrived: list[float] = []

        def canceled(_fields: list[str]) -> Sequence[str]:
            arrived.append(desk.loop.time())
            return ()

        desk.server.handlers["4"] = canceled
        broker = IbkrBroker(desk.connection, [AAPL])
        broker.submit(order(1), 1)
        await asyncio.sleep(1)
        for _ in range(500):
            desk.connection.send(lambda client: client.reqIds(1))
        assert len(desk.connection.queue) == 496
        asked = desk.loop.time()
        broker.cancel(OrderId("RT-1"))
        await asyncio.sleep(13)
        assert arrived[0] - asked <= 0.15
        assert len(desk.connection.queue) == 0

    supervised(scenario)


def test_logins_are_counted_over_restarts_and_never_more_than_the_budget(tmp_path: Path) -> None:
    file, begun = tmp_path / "logins.jsonl", []

    async def scenario(desk: Desk) -> None:
        def refuse(fields: list[str]) -> list[str]:
            begun.append(desk.clock.now())
            return in_use(fields)

        await desk.supervisor.open()
        desk.server.handlers["71"] = refuse
        desk.peer.hang_up()
        await asyncio.sleep(1800)
        assert (desk.link.state, desk.link.open) == ("DISCONNECTED", False)
        assert "2026-04-14T15:00:00+00:00" in desk.link.reason
        assert len(begun) == 9
        await asyncio.sleep(4 * 3600)

    async def restarted(desk: Desk) -> None:
        with pytest.raises(ConnectionLost, match="no login is left until"):
            await desk.supervisor.open()
        await asyncio.sleep(3600)
        await desk.server.close()
        for _ in range(20):
            with pytest.raises(ConnectionLost, match="nothing listens"):
                await desk.supervisor.open()
        await desk.server.open()
        await desk.supervisor.open()

    budget = {"budget": lambda clock: LoginBudget(file, clock.now())}
    supervised(scenario, opened=False, options=budget)
    begun.sort()
    assert len(begun) > 40
    assert all(b - a >= 3600 * 10**9 for a, b in zip(begun, begun[10:], strict=False))
    assert all(b - a >= 2 * 10**9 for a, b in pairwise(begun))
    supervised(restarted, start="2026-04-14T14:30:10-04:00", opened=False, options=budget)


def test_a_login_that_cannot_be_counted_is_not_begun(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        with pytest.raises(ConnectionLost, match="login budget"):
            await desk.supervisor.open()
        assert logins(desk) == []

    budget = {"budget": lambda clock: LoginBudget(tmp_path / "no such folder" / "logins.jsonl", clock.now())}
    supervised(scenario, opened=False, options=budget)


def test_in_lock_step_nothing_is_asked_but_by_the_runner() -> None:
    async def scenario(desk: Desk) -> None:
        desk.clock.ahead_s = 7 * 86_400.0
        await asyncio.sleep(3600)
        assert desk.told == ["SYNCING", "READY"]
        assert desk.peer.requests("49") == []
        desk.connection.request_time()
        await asyncio.sleep(1)
        assert isinstance(desk.arrived[-1][1], TimeAdvanced)
        assert desk.told == ["SYNCING", "READY"]
        desk.peer.hang_up()
        await asyncio.sleep(0.5)
        assert desk.told[-1] == "CONNECTING"  # a night of the market's calendar is none of the gateway's

    supervised(scenario, start="2026-04-14T22:46-04:00", options={"lock_step": True, **SCHEDULE})


def test_account_values_are_reported_when_a_push_changed_them_and_again_after_a_reconnect() -> None:
    def push(cash: str, value: str, *, end: str = "8|1|14:00") -> list[str]:
        return [
            f"6|2|CashBalance|{cash}|USD|{ACCOUNT}", f"6|2|CashBalance|1|BASE|{ACCOUNT}",
            f"6|2|Cushion|1|USD|{ACCOUNT}", f"6|2|NetLiquidation|{value}|USD|{ACCOUNT}",
            "6|2|NetLiquidation|9|USD|DU9", end,
        ]  # fmt: skip

    async def scenario(desk: Desk) -> None:
        IbkrBroker(desk.connection, []).watch_account()
        await asyncio.sleep(1)
        desk.peer.say(*push("10.5", "20.25"))  # nothing new
        desk.peer.say(*push("10.5", "21"))
        desk.peer.hang_up()
        await asyncio.sleep(3)
        desk.peer.say(*push("11", "21"))
        await asyncio.sleep(1)
        found = [a.account for _, a in desk.arrived if isinstance(a, AccountReported)]
        assert [(str(a.cash), str(a.net_liquidation)) for a in found] == [
            ("10.5", "20.25"), ("10.5", "21"), ("10.5", "20.25"), ("11", "21"),
        ]  # fmt: skip
        assert {a.id for a in found} == {ACCOUNT}

    def answer(fields: list[str]) -> list[str]:
        return push("10.5", "20.25", end=f"54|1|{ACCOUNT}") if fields[2] == "1" else []

    supervised(scenario, on6=answer)


def test_margins_and_the_days_profit_come_with_the_push_after_them_and_unset_is_none() -> None:
    values = {"AvailableFunds": "500.5", "ExcessLiquidity": "600", "InitMarginReq": "700", "MaintMarginReq": UNSET}

    async def scenario(desk: Desk) -> None:
        IbkrBroker(desk.connection, []).watch_account()
        [asked] = await desk.peer.until("92")
        assert asked[2] == ACCOUNT
        desk.peer.say(f"94|{asked[1]}|-12.25|3|4", *(f"6|2|{k}|{v}|USD|{ACCOUNT}" for k, v in values.items()))
        desk.peer.say("8|1|14:00", f"94|{asked[1]}|{UNSET}|3|4", "8|1|14:01")
        await asyncio.sleep(1)
        told = Account(
            id=ACCOUNT, available_funds=Decimal("500.5"), excess_liquidity=Decimal(600), initial_margin=Decimal(700),
            day_pnl=Decimal("-12.25"),
        )  # fmt: skip
        found = [a.account for _, a in desk.arrived if isinstance(a, AccountReported)]
        assert found == [told, structs.replace(told, day_pnl=None)]

    supervised(scenario)


def test_a_week_with_nightly_resets_and_the_weekly_login_stays_within_the_budget(tmp_path: Path) -> None:
    file = tmp_path / "logins.jsonl"

    async def scenario(desk: Desk) -> None:
        for day in range(7):
            await asyncio.sleep(23 * 3600 + 45 * 60 + 10 - 12 * 3600)  # from noon to the gateway's restart
            assert (desk.link.state, desk.link.open) == ("RESET_WINDOW", True)
            await desk.server.close()
            await asyncio.sleep(200)
            if day == 4:  # in the night to Sunday a person has to log in, and does so in the morning
                await asyncio.sleep(8 * 3600)
                assert desk.link.state == "LOGIN_NEEDED"
            await desk.server.open()
            rest = 12 * 3600 + 15 * 60 - 10 - 200 - (8 * 3600 if day == 4 else 0)
            await asyncio.sleep(rest)
            assert desk.told[-1] == "READY"
        assert len(logins(desk)) == 8

    start = "2026-04-14T12:00-04:00"
    desk = supervised(
        scenario, start=start, options={**SCHEDULE, "budget": lambda clock: LoginBudget(file, clock.now())}
    )
    assert desk.loop.time() >= 7 * 86_400
    assert len(file.read_text().split()) == 8
    assert desk.told.count("LOGIN_NEEDED") == 1
    assert len(desk.told) < 100
    assert nanos(start) + 7 * 86_400 * 10**9 <= desk.clock.now()


def test_a_session_that_ends_as_it_begins_is_none() -> None:
    async def scenario(desk: Desk) -> None:
        welcome = desk.server.handlers["71"]

        def flap(fields: list[str]) -> Sequence[str]:
            for turns in range(len(desk.server.peers)):  # each time one turn of the loop later
                desk.loop.call_later(turns * 1e-9, desk.peer.hang_up)
            return welcome(fields)

        desk.server.handlers["71"] = flap
        desk.peer.hang_up()
        await asyncio.sleep(20)
        assert len(desk.server.peers) > 3
        assert not desk.connection.connected
        desk.server.handlers["71"] = welcome
        await asyncio.sleep(73)
        assert desk.told[-1] == "READY"

    supervised(scenario)


def test_an_account_value_that_is_no_number_is_a_lost_message() -> None:
    async def scenario(desk: Desk) -> None:
        desk.peer.say(f"6|2|NetLiquidation|n/a|USD|{ACCOUNT}", "8|1|14:00")
        await asyncio.sleep(1)
        assert [a.name for _, a in desk.arrived if isinstance(a, BrokerMessage)] == ["lostMessage"]
        assert not [a for _, a in desk.arrived if isinstance(a, AccountReported)]

    supervised(scenario)


def test_what_asks_while_there_is_no_session_is_told_so_at_once() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.server.close()
        await asyncio.sleep(1)
        with pytest.raises(BrokerUnavailable):
            await IbkrBroker(desk.connection, []).snapshot()

    supervised(scenario)
