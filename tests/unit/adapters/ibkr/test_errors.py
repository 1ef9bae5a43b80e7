"""Every code has one class, and what is not listed is unknown."""

import pytest

from robotrader.adapters.ibkr.errors import _CODES, ErrorClass, classify, farm, request_failure
from robotrader.model import BrokerUnavailable, DataError, DataGap, PacingLimit


def test_no_code_has_two_classes() -> None:
    codes = [code for codes in _CODES.values() for code in codes]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (201, ErrorClass.REJECTED),
        (202, ErrorClass.CANCELED),
        (10147, ErrorClass.CANCEL_OUTCOME),
        (104, ErrorClass.UNCHANGED),
        (404, ErrorClass.HELD),
        (399, ErrorClass.WARNING),
        (10349, ErrorClass.WARNING),
        (1100, ErrorClass.LINK_LOST),
        (1102, ErrorClass.LINK_RESTORED),
        (2103, ErrorClass.FARM_BROKEN),
        (2104, ErrorClass.FARM_OK),
        (2108, ErrorClass.FARM_OK),
        (2157, ErrorClass.NOTICE),
        (326, ErrorClass.SESSION),
        (10141, ErrorClass.SESSION),
        (504, ErrorClass.CLIENT),
        (10182, ErrorClass.HISTORY),
        (354, ErrorClass.MARKET_DATA),
        (2100, ErrorClass.ACCOUNT),
        (99999, ErrorClass.UNKNOWN),
    ],
)
def test_classes_follow_what_a_code_tells_of_an_order(code: int, kind: ErrorClass) -> None:
    assert classify(code) is kind


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (162, "HMDS query returned no data: GOOG@SMART Trades", DataGap),
        (162, "Historical Market Data Service error message:Historical data request pacing violation", PacingLimit),
        (100, "Max rate of messages per second has been exceeded: max=50 rec=51", PacingLimit),
        (200, "No security definition has been found for the request", DataError),
        (366, "No historical data query found for ticker id", BrokerUnavailable),
    ],
)
def test_a_refused_request_is_named_by_what_to_do(code: int, text: str, kind: type[Exception]) -> None:
    error = request_failure(code, text)
    assert type(error) is kind
    assert str(code) in error.message
    assert text in error.message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2103: Market data farm connection is broken:usfarm", "usfarm"),
        ("2104: Market data farm connection is OK:usfarm.nj", "usfarm.nj"),
        ("2107: HMDS data farm connection is inactive but should be available upon demand.ushmds", "ushmds"),
        ("2105: broken", "broken"),
    ],
)
def test_a_farm_is_known_by_its_name(text: str, name: str) -> None:
    assert farm(text) == name
