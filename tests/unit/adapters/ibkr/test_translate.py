"""Our orders and instruments in IBKR's words: exactly the approved terms, nothing else."""

from decimal import Decimal
from typing import Any

import pytest
from ib_async.client import Client

from robotrader.adapters.ibkr import translate
from robotrader.model import BadTick, DataError, InvariantViolation, OrderType, Side, TimeInForce, Venue, stock
from tests.unit.adapters.ibkr.messages import AAPL, SPY, limit_order, order

ACCOUNT = "DU1234567"


class Paper(Client):
    """ib_async's client, its messages kept instead of sent."""

    def __init__(self) -> None:
        super().__init__(object())  # type: ignore[no-untyped-call]
        self.sent: list[str] = []

    def isConnected(self) -> bool:  # noqa: N802 - ib_async's name
        return True

    def serverVersion(self) -> int:  # noqa: N802 - ib_async's name
        return 178

    def sendMsg(self, msg: str) -> None:  # noqa: N802 - ib_async's name
        self.sent.append(msg.replace("\0", "|"))


def sent(message: translate.Send) -> str:
    paper = Paper()
    message(paper)
    return paper.sent[0]


def test_a_market_order_on_the_wire() -> None:
    text = sent(translate.place(order(), AAPL, ACCOUNT, ids=translate.Ids(12)))
    start = "3|12|0|AAPL|STK||0.0|||SMART|NASDAQ|USD|||||BUY|100|MKT|||DAY||DU1234567|O|0|RT-A|1|0|"
    assert text.startswith(start)  # no limit, no stop; transmit 1, no parent


def test_prices_travel_as_their_exact_text() -> None:
    assert "|BUY|100|LMT|187.50||GTC|" in sent(translate.place(limit_order(), AAPL, ACCOUNT, ids=translate.Ids(12)))
    stop = order(type=OrderType.STOP, stop_price=Decimal("180.01"), side=Side.SELL)
    assert "|SELL|100|STP||180.01|DAY|" in sent(translate.place(stop, AAPL, ACCOUNT, ids=translate.Ids(12)))


def test_a_family_and_its_group_on_the_wire() -> None:
    stop = order(type=OrderType.STOP, stop_price=Decimal("180.01"), side=Side.SELL, tif=TimeInForce.GTC,
                 oca_group="OCA-RT-A")  # fmt: skip
    text = sent(translate.place(stop, AAPL, ACCOUNT, ids=translate.Ids(13, 12), transmit=False))
    assert "|SELL|100|STP||180.01|GTC|OCA-RT-A|DU1234567|O|0|RT-A|0|12|" in text  # transmit 0, the parent is order 12


def test_a_what_if_is_the_same_order_but_for_one_flag() -> None:
    ids = translate.Ids(12)
    placed, asked = (
        sent(translate.place(limit_order(), AAPL, ACCOUNT, ids=ids, what_if=what_if)).split("|")
        for what_if in (False, True)
    )
    assert [(a, b) for a, b in zip(placed, asked, strict=True) if a != b] == [("0", "1")]


@pytest.mark.parametrize("unset", ["", None, "1.7976931348623157E308", 1.7976931348623157e308])
def test_an_amount_that_is_not_set_is_none(unset: str | float | None) -> None:
    assert translate.stated("initMarginAfter", unset) is None


def test_an_amount_is_exact_and_nonsense_is_a_data_error() -> None:
    assert translate.stated("initMarginAfter", "5025.10") == Decimal("5025.10")
    assert translate.stated("commission", 1.0035) == Decimal("1.0035")
    assert translate.stated("commission", 0.0) == 0
    with pytest.raises(DataError, match="initMarginAfter"):
        translate.stated("initMarginAfter", "a lot")


def test_a_price_is_never_changed_on_its_way() -> None:
    for bad in (limit_order("187.505"), order(type=OrderType.LIMIT), order(type=OrderType.STOP)):
        with pytest.raises(InvariantViolation):
            translate.place(bad, AAPL, ACCOUNT, ids=translate.Ids(1))
    with pytest.raises(BadTick):
        translate.place(limit_order("-1"), AAPL, ACCOUNT, ids=translate.Ids(1))


def test_an_instrument_without_a_venue_names_no_primary_exchange() -> None:
    contract = translate.contract_of(stock("IBM"))
    assert (contract.symbol, contract.exchange, contract.primaryExchange) == ("IBM", "SMART", "")


def test_history_is_asked_once_and_up_to_now() -> None:
    text = sent(translate.ask_history(10_000_001, SPY, "2 D"))
    assert text == "20|10000001|0|SPY|STK||0.0|||SMART|ARCA|USD|||0||1 day|2 D|1|TRADES|1|0||"


def row(**other: Any) -> dict[str, Any]:
    """Return a position as it was received."""
    known = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD", "localSymbol": "AAPL"}
    return {**known, "position": 100.0, **other}


def test_positions_find_their_instrument_or_tell_what_they_are() -> None:
    known = {i.id: i for i in (AAPL, SPY)}
    assert translate.instrument_id_of(row(), known) == "AAPL.NASDAQ"
    assert translate.instrument_id_of(row(symbol="TSLA", localSymbol="TSLA", exchange="NASDAQ"), known) == "TSLA.NASDAQ"
    option = row(secType="OPT", exchange="", localSymbol="AAPL  260417C00190000")
    assert translate.instrument_id_of(option, known) == "AAPL  260417C00190000.OPT"


def test_of_two_listings_the_exchange_decides() -> None:
    both = {i.id: i for i in (stock("X", Venue.NYSE), stock("X", Venue.NASDAQ))}
    assert translate.instrument_id_of(row(symbol="X", localSymbol="X", exchange="NYSE"), both) == "X.NYSE"
    assert translate.instrument_id_of(row(symbol="X", localSymbol="X"), both) == "X.SMART"  # ours neither way


def test_positions_are_whole_units() -> None:
    assert translate.signed_units(row(position=-3.0)) == -3
    for fraction in (0.5, None):
        with pytest.raises(DataError):
            translate.signed_units(row(position=fraction))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1.7976931348623157e308, None),
        (float("nan"), None),
        (float("inf"), None),
        (2147483647, None),
        (0.1, 0.1),
        (Decimal("187.50"), "187.50"),
        ("", ""),
    ],
)
def test_unset_is_none(value: object, kept: object) -> None:
    assert translate.plain(value) == kept
