"""What we say, as ib_async's decoder understands it at every version that it speaks."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.model import OrderType, Side, TimeInForce
from robotrader.simulation.gateway import messages, order_messages
from robotrader.simulation.gateway.account import Holding
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.messages import Speaker
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import Request
from robotrader.simulation.gateway.tickets import Notice, Report, Ticket, opened
from robotrader.simulation.gateway.wire import split
from robotrader.simulation.venue import VenueOrder
from tests.unit.simulation.gateway.rig import AAPL, FIRST_OPEN, IBM, heard, wire_order

VERSIONS = [157, *range(159, 179)]  # ib_async is wrong about 158
CONTRACTS = Contracts((AAPL, IBM))
HOURS = "20240102:0930-20240102:1600"
TERMS = VenueOrder(
    key="4/7", instrument=AAPL.id, side=Side.SELL, quantity=120, type=OrderType.LIMIT, limit_price=Decimal("99.90"),
    tif=TimeInForce.GTC,
)  # fmt: skip
TICKET = Ticket(
    client_id=4, order_id=7, perm_id=1_000_000_001, terms=TERMS, status="Submitted", filled=20,
    order=wire_order(7, action="SELL", quantity=120, order_ref="RT-é", outside_rth=True),
    paid=Decimal("1998.10"), last_price=Decimal("99.91"),
)  # fmt: skip
EXECUTION = Execution(
    exec_id="0000e0d5.00000001.01.01", client_id=4, order_id=7, perm_id=1_000_000_001, order_ref="RT-é",
    instrument=AAPL.id, side=Side.SELL, quantity=20, price=Decimal("99.905"), ts=FIRST_OPEN, commission=Decimal("1.02"),
    realized=None, cumulative=20, average=Decimal("99.905"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "ib_async.Decoder")


@pytest.mark.parametrize("version", VERSIONS)
def test_orders(version: int, caplog: pytest.LogCaptureFixture) -> None:
    to = Speaker(version, CONTRACTS, "DU1")
    calls = dict(heard(version, *(order_messages.report(to, item, FIRST_OPEN) for item in opened(TICKET))))
    order_id, contract, order, state = calls["openOrder"]
    assert (order_id, order.orderId, order.clientId, order.permId) == (7, 7, 4, 1_000_000_001)
    assert (contract.symbol, contract.exchange, contract.currency, contract.strike) == ("AAPL", "SMART", "USD", 0.0)
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("SELL", 120.0, "LMT", 99.9)
    assert (order.tif, order.orderRef, order.account, order.outsideRth) == ("GTC", "RT-é", "DU1", True)
    assert (state.status, order.adjustedOrderType, order.clearingIntent) == ("Submitted", "None", "IB")
    assert (order.minCompeteSize == 100) is (version >= 170)
    assert calls["orderStatus"] == (
        7, "Submitted", 20.0, 100.0, 99.905, 1_000_000_001, 0, 99.91, 4, "", 0.0,
    )  # fmt: skip
    assert not caplog.records


@pytest.mark.parametrize("version", VERSIONS)
def test_completed_orders(version: int, caplog: pytest.LogCaptureFixture) -> None:
    ended = structs.replace(TICKET, status="Cancelled", ended_at=FIRST_OPEN, ended_as="Cancelled by Trader")
    ((name, (contract, order, state)),) = heard(
        version, order_messages.completed_order(Speaker(version, CONTRACTS, "DU1"), ended)
    )
    assert (name, contract.symbol, order.orderRef, order.permId) == ("completedOrder", "AAPL", "RT-é", 1_000_000_001)
    assert (state.status, state.completedStatus, order.filledQuantity) == ("Cancelled", "Cancelled by Trader", 20.0)
    assert state.completedTime.startswith("20240102 ")
    assert (order.totalQuantity, order.lmtPrice, order.tif) == (120.0, 99.9, "GTC")
    assert not caplog.records


@pytest.mark.parametrize("version", [v for v in VERSIONS if v >= 174])
def test_executions_and_commissions(version: int, caplog: pytest.LogCaptureFixture) -> None:
    to = Speaker(version, CONTRACTS, "DU1")
    calls = dict(
        heard(
            version,
            *(
                order_messages.report(to, i, FIRST_OPEN)
                for i in (Report("execDetails", EXECUTION), Report("commissionReport", EXECUTION))
            ),
        )
    )
    req_id, contract, execution = calls["execDetails"]
    assert (req_id, contract.symbol, execution.exchange) == (-1, "AAPL", "NASDAQ")
    assert (execution.execId, execution.side, execution.shares, execution.price) == (
        EXECUTION.exec_id,
        "SLD",
        20.0,
        99.905,
    )
    assert (execution.orderRef, execution.orderId, execution.permId) == ("RT-é", 7, 1_000_000_001)
    assert execution.time.isoformat() == "2024-01-02T14:30:00+00:00"
    (report,) = calls["commissionReport"]
    assert (report.commission, report.currency, report.realizedPNL) == (1.02, "USD", 1.7976931348623157e308)
    assert not caplog.records


@pytest.mark.parametrize("version", VERSIONS)
def test_positions_contracts_and_portfolio(version: int, caplog: pytest.LogCaptureFixture) -> None:
    to = Speaker(version, CONTRACTS, "DU1")
    line = {
        "position": -5,
        "price": 9.5,
        "value": Decimal("-47.5"),
        "averageCost": 9,
        "unrealized": -2.5,
        "realized": 1,
    }
    calls = dict(
        heard(
            version,
            messages.position(to, IBM.id, Holding(quantity=-5, cost=Decimal(-45))),
            messages.contract_details(to, IBM.id, {"reqId": 3, "exchange": "SMART", "tradingHours": HOURS}),
            messages.portfolio(to, IBM.id, line),
        )
    )
    account, contract, quantity, cost = calls["position"]
    assert (account, contract.symbol, contract.exchange, quantity, cost) == ("DU1", "IBM", "NYSE", -5.0, 9.0)
    req_id, details = calls["contractDetails"]
    assert (req_id, details.contract.conId, details.contract.primaryExchange) == (3, contract.conId, "NYSE")
    assert (details.minTick, details.stockType, details.timeZoneId) == (0.01, "COMMON", "US/Eastern")
    assert calls["updatePortfolio"][1:] == (-5.0, 9.5, -47.5, 9.0, -2.5, 1.0, "DU1")
    assert not caplog.records


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (157, ["4", "2", "7", "201", "no"]),
        (166, ["4", "2", "7", "201", "no", ""]),
        (194, ["4", "7", "201", "no", "", "1704205800000"]),
    ],
)
def test_error_layouts(version: int, fields: list[str]) -> None:
    data = order_messages.report(
        Speaker(version, CONTRACTS, "DU1"), Report("error", Notice(4, 7, 201, "no")), FIRST_OPEN
    )
    assert split(data[4:].decode()) == fields


def test_history_moves_its_span_into_a_message_of_its_own_at_196() -> None:
    daily = Request("history", {"barSize": "1 day", "format": "1"}, 5)
    minutes = Request("history", {"barSize": "1 min", "format": "2"}, 5)
    bars = [(FIRST_OPEN, FIRST_OPEN + 60 * 10**9, 100.1, 101.0, 99.0, 0.1 + 0.2, 1_234.0)]
    ((_, (req_id, bar)), (_, end)) = heard(178, *messages.historical_data(178, daily, bars))
    assert (req_id, bar.date, bar.open, bar.close, bar.volume) == (5, "20240102", 100.1, 0.1 + 0.2, 1234.0)
    assert end == (5, "20240102 09:30:00 US/Eastern", "20240102 09:31:00 US/Eastern")
    data, last = messages.historical_data(196, minutes, bars)
    assert split(data[4:].decode())[:4] == ["17", "5", "1", "1704205800"]
    assert split(last[4:].decode())[0] == "108"
    update = messages.historical_update(178, daily, bars[0])
    ((_, (_, forming)),) = heard(178, update)
    assert (forming.open, forming.high, forming.low, forming.close) == (100.1, 101.0, 99.0, 0.1 + 0.2)


def test_sizes_are_in_shares_or_lots_and_whole_for_old_clients() -> None:
    assert [messages.shares(1_250.0, v, 175) for v in (157, 163, 175)] == ["12", "12.5", "1250"]
