"""What clients ask, in every dialect: ib_async's at 157 to 178, the official clients' at 200."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder, Refused, Request, decode
from robotrader.simulation.gateway.wire import Malformed
from tests.unit.simulation.gateway.rig import asked

VERSIONS = [157, 160, 166, 169, 170, 176, 177, 178]
AAPL = ib_async.Stock("AAPL", "SMART", "USD", primaryExchange="NASDAQ")
QUERY = ContractQuery(symbol="AAPL", sec_type="STK", exchange="SMART", primary_exchange="NASDAQ", currency="USD")


@pytest.mark.parametrize("version", VERSIONS)
def test_orders_of_ib_async(version: int) -> None:
    order = ib_async.Order(
        action="SELL", totalQuantity=5, orderType="LMT", lmtPrice=9.87, orderRef="RT-X", account="DU1", outsideRth=True
    )
    assert asked(version, "placeOrder", 7, AAPL, order).order == PlaceOrder(
        order_id=7, contract=QUERY, action="SELL", quantity=Decimal(5), order_type="LMT", limit=Decimal("9.87"),
        aux=None, tif="", account="DU1", order_ref="RT-X", outside_rth=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        ("algoStrategy", "Vwap", "algoStrategy"),
        ("hedgeType", "D", "hedgeType"),
        ("cashQty", 100.0, "cashQty"),
        ("conditions", [ib_async.TimeCondition(time="20240105 10:00:00")], "conditions"),
        ("scaleInitLevelSize", 5, "scaleInit"),
        ("scalePriceIncrement", 0.5, "scaleIncrement"),
        ("minQty", 5, "minQty"),
    ],
)
def test_attributes_that_are_not_simulated_are_named(attribute: str, value: object, name: str) -> None:
    order = ib_async.Order(action="BUY", totalQuantity=1, orderType="MKT")
    setattr(order, attribute, value)
    order.algoParams = [ib_async.TagValue("a", "1"), ib_async.TagValue("b", "2")]
    assert asked(178, "placeOrder", 1, AAPL, order).order.unsupported == name


def test_an_order_of_the_official_client_at_200() -> None:
    """Built from the field order of `ibkr.md`: strike empty, unset numbers spelled out, false as 0."""
    u, i = "1.7976931348623157E308", "2147483647"
    fields = [
        "3", "12", "0", "AAPL", "STK", "", "", "", "", "SMART", "NASDAQ", "USD", "", "", "", "",
        "BUY", "100", "STP", u, "98.5", "GTC", "", "", "", "0", "RT-Y", "1", "0", "0", "0", "0", "0", "0", "0",
        "", "0", "", "", "", "", "", "", "0", "", "-1", "0", "", "", "0", i, u, "0", "0", u, "0", u, u, u, u, u, "0",
        u, i, "", u, "0", i, u, u, i, i, u, "", "", "", "", "0", "", "", "0", "0", "", "", "0", "", "0", "0", "0", "0",
        "", u, u, u, u, u, "0", "", "", "", u, "", "", "", "", "0", "0", "0", "0", "", "0", "0", "", "", "", "0", "0",
        "", "0",
    ]  # fmt: skip
    found = decode(fields, 200).order
    assert found == PlaceOrder(
        order_id=12, contract=QUERY, action="BUY", quantity=Decimal(100), order_type="STP", limit=None,
        aux=Decimal("98.5"), tif="GTC", account="", order_ref="RT-Y",
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_else_of_ib_async(version: int) -> None:
    daily: tuple[object, ...] = (5, AAPL, "20240102 16:00:00", "2 D", "1 day", "TRADES", True, 2, True, [])
    history = asked(version, "reqHistoricalData", *daily)
    assert (history.what, history.req_id, history.contract) == ("history", 5, QUERY)
    assert [history.values[n] for n in ("end", "barSize", "duration", "what", "format")] == [
        "20240102 16:00:00", "1 day", "2 D", "TRADES", "2",
    ]  # fmt: skip
    assert history.flag("keep")
    details = asked(version, "reqContractDetails", 6, AAPL)
    assert (details.what, details.req_id, details.contract) == ("contract details", 6, QUERY)
    assert ("issuerId" in details.values) is (version >= 176)
    ticks = asked(version, "reqTickByTickData", 6, AAPL, "MidPoint", 0, True)
    assert (ticks.contract, ticks.values["kind"]) == (QUERY, "MidPoint")
    bars = asked(version, "reqRealTimeBars", 6, AAPL, 5, "ASK", True, [])
    assert (bars.contract, bars.values["what"]) == (QUERY, "ASK")
    head = asked(version, "reqHeadTimeStamp", 6, AAPL, "TRADES", True, 2)
    assert (head.contract, head.values["what"], head.values["format"]) == (QUERY, "TRADES", "2")
    single = asked(version, "reqPnLSingle", 6, "DU1", "", 77)
    assert (single.values["account"], single.required("conId")) == ("DU1", 77)
    quotes = asked(version, "reqMktData", 7, AAPL, "236,233", True, False, [])
    assert (quotes.what, quotes.req_id, quotes.contract, quotes.flag("snapshot")) == ("quotes", 7, QUERY, True)
    mine = asked(version, "reqExecutions", 8, ib_async.ExecutionFilter(clientId=2, symbol="AAPL", side="BUY"))
    assert (mine.req_id, mine.integer("clientId"), mine.values["symbol"], mine.values["side"]) == (8, 2, "AAPL", "BUY")
    assert asked(version, "reqAccountUpdates", True, "DU1").flag("subscribe")
    assert asked(version, "reqMarketDataType", 3).what == "market data type"
    assert asked(version, "startApi").required("clientId") == -1


@pytest.mark.parametrize(
    ("method", "args", "what", "req_id"),
    [
        ("reqCurrentTime", (), "time", -1),
        ("reqManagedAccts", (), "accounts", -1),
        ("reqIds", (1,), "next id", -1),
        ("reqPositions", (), "positions", -1),
        ("cancelPositions", (), "end positions", -1),
        ("reqOpenOrders", (), "own open orders", -1),
        ("reqAutoOpenOrders", (True,), "bind orders", -1),
        ("reqAllOpenOrders", (), "all open orders", -1),
        ("reqCompletedOrders", (False,), "completed orders", -1),
        ("reqGlobalCancel", (), "cancel all", -1),
        ("cancelOrder", (3,), "cancel order", 3),
        ("cancelHistoricalData", (4,), "end history", 4),
        ("cancelMktData", (5,), "end quotes", 5),
        ("reqAccountUpdatesMulti", (7, "DU1", "", False), "account values", 7),
        ("cancelAccountUpdatesMulti", (8,), "end account values", 8),
        ("reqAccountSummary", (9, "All", "NetLiquidation"), "account summary", 9),
        ("cancelAccountSummary", (9,), "end account summary", 9),
        ("reqPositionsMulti", (10, "DU1", ""), "model positions", 10),
        ("cancelPositionsMulti", (10,), "end model positions", 10),
        ("reqPnL", (11, "DU1", ""), "profit", 11),
        ("cancelPnL", (11,), "end profit", 11),
        ("reqPnLSingle", (12, "DU1", "", 77), "single profit", 12),
        ("cancelPnLSingle", (12,), "end single profit", 12),
        ("reqMatchingSymbols", (13, "IB"), "symbols", 13),
        ("reqMarketRule", (26,), "market rule", -1),
        ("reqFamilyCodes", (), "family codes", -1),
        ("reqUserInfo", (14,), "user info", 14),
        ("reqTickByTickData", (15, AAPL, "Last", 0, True), "ticks", 15),
        ("cancelTickByTickData", (15,), "end ticks", 15),
        ("reqRealTimeBars", (16, AAPL, 5, "BID", True, []), "real-time bars", 16),
        ("cancelRealTimeBars", (16,), "end real-time bars", 16),
        ("reqHeadTimeStamp", (17, AAPL, "BID", True, 2), "head timestamp", 17),
        ("cancelHeadTimeStamp", (17,), "end head timestamp", 17),
    ],
)
def test_simple_requests(method: str, args: tuple[object, ...], what: str, req_id: int) -> None:
    found = asked(178, method, *args)
    assert (found.what, found.req_id) == (what, req_id)


def test_messages_that_lost_their_version_field() -> None:
    assert decode(["4", "3", "", "", ""], 192).req_id == 3
    assert decode(["58", "", ""], 192) == Request("cancel all", {}, rest=("", ""))
    assert decode(["7", "3", "8", "0", "", "", "", "", "", "", "3", "0"], 200).req_id == 8


def test_unknown_messages() -> None:
    for fields in (["999", "1"], [], [""]):
        with pytest.raises(Refused, match="Unknown message id") as refused:
            decode(fields, 178)
        assert refused.value.code == 321


junk = st.one_of(st.text(max_size=6), st.sampled_from(["0", "1", "7", "-1", "STK", "MKT", "AAPL", "1e9", "true"]))


@given(
    st.sampled_from([str(n) for n in (1, 2, 3, 4, 6, 7, 8, 9, 20, 25, 59, 62, 63, 71, 76, 77, 99)]),
    st.lists(junk, max_size=125),
    st.sampled_from([157, 166, 178, 192, 200]),
)
def test_no_fields_can_do_more_than_be_malformed(number: str, fields: list[str], version: int) -> None:
    with suppress(Malformed, Refused):
        request = decode([number, *fields], version)
        if number == "3":
            assert request.order.order_id == request.req_id


@pytest.mark.parametrize(
    "unset", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647", "9223372036854775807"]
)
def test_every_form_of_unset_reads_as_none(unset: str) -> None:
    request = Request("x", {"n": unset})
    assert request.integer("n") is None
    assert request.decimal("n") is None
    assert not request.flag("n")
    with pytest.raises(Malformed, match="missing"):
        request.required("n")


@pytest.mark.parametrize("bad", ["x", "1.5", "9" * 19, "1_000", "٣"])
def test_what_is_no_whole_number_is_malformed(bad: str) -> None:
    with pytest.raises(Malformed):
        Request("x", {"n": bad}).integer("n")


@pytest.mark.parametrize("bad", ["x", "NaN", "Infinity", "1E+99999999", "1e-40"])
def test_what_is_no_quantity_or_price_is_malformed(bad: str) -> None:
    with pytest.raises(Malformed):
        Request("x", {"n": bad}).decimal("n")
