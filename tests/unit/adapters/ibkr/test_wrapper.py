"""What ib_async's own decoder makes of our callbacks, fed with the fields of the wire at server version 178."""

import asyncio
import functools
import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ib_async import client as ib_client
from ib_async import decoder as ib_decoder
from ib_async.decoder import Decoder

from robotrader.adapters.ibkr.account import AccountValues
from robotrader.adapters.ibkr.errors import ErrorClass
from robotrader.adapters.ibkr.pending import PendingRequests, Question
from robotrader.adapters.ibkr.wrapper import DECODING_LOGGERS, LostMessages, Session, Wrapper
from robotrader.model import DataGap, InvariantViolation, PacingLimit
from robotrader.ports import Arrival, BrokerMessage

UNSET = "1.7976931348623157E308"
STOCK = "265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS"
EXECUTION = (
    f"11|{{}}|1|{STOCK}|0000e0d5.69dd7411.01.01|20260413 09:30:00 US/Eastern|DU1234567|NASDAQ|BOT|100|187.33|900|7|0"
    "|100|187.33|RT-A||||2|0"
)


class Wire:
    """ib_async's decoder on our wrapper; `put` is the inbox."""

    def __init__(self) -> None:
        self.arrived: list[Arrival] = []
        self.times: list[int] = []
        self.pending = PendingRequests()
        self.notices: list[tuple[ErrorClass, str]] = []
        self.session = Session(self, self.pending, on_notice=lambda kind, text: self.notices.append((kind, text)))
        self.wrapper = Wrapper(
            self, self.pending, self.session, account=AccountValues(self, "DU1234567"), on_time=self.times.append,
            on_closed=lambda: None,
        )  # fmt: skip
        self._decoder = Decoder(self.wrapper, 178)  # type: ignore[arg-type] # the facade's wrapper is not ours

    def put(self, arrival: Arrival) -> None:
        self.arrived.append(arrival)

    def receive(self, *messages: str) -> list[Arrival]:
        for message in messages:
            self._decoder.interpret(message.split("|"))  # type: ignore[no-untyped-call]
        return self.arrived

    def wait_for(self, key: int | Question) -> "Answer":
        return Answer(self.pending.open(key))


class Answer:
    """What came of one question."""

    def __init__(self, future: "asyncio.Future[list[Any]]") -> None:
        self._future = future

    @property
    def parts(self) -> list[Any] | None:
        return self._future.result() if self._future.done() and not self._future.exception() else None

    @property
    def error(self) -> BaseException | None:
        return self._future.exception() if self._future.done() else None


def in_loop(test: Callable[[], None]) -> Callable[[], None]:
    """Run a test that asks questions in an event loop."""

    @functools.wraps(test)
    def run() -> None:
        async def body() -> None:
            test()

        asyncio.run(body())

    return run


@pytest.fixture(autouse=True)
def decoder_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which the decoder swallowed an error, unless it looked at the log itself."""
    yield
    errors = [r.getMessage() for r in caplog.records if r.name in DECODING_LOGGERS]
    assert not errors


def test_every_callback_of_the_decoder_is_taken_and_no_optional_hook_is_faked() -> None:
    source = inspect.getsource(ib_decoder) + inspect.getsource(ib_client)
    called = set(re.findall(r"self\.wrapper\.(\w+)\(", source)) | set(re.findall(r"self\.wrap\(\s*\"(\w+)\"", source))
    wrapper = Wire().wrapper
    assert len(called) > 80
    assert all(callable(getattr(wrapper, name)) for name in called)
    assert not any(hasattr(wrapper, name) for name in ("tcpDataArrived", "tcpDataProcessed"))


def test_what_nobody_asked_for_is_ignored() -> None:
    assert Wire().receive("1|6|1|1|187.5|100|0", "45|6|1|49|0", "100|900|7|1", "46|6|1|45|1776110824") == []


def test_messages_of_orders_reach_the_inbox_as_plain_json() -> None:
    commission = f"59|1|0000e0d5.69dd7411.01.01|1.0035|USD|{UNSET}|{UNSET}|"
    status = "3|1|Submitted|0|100|0|900|0|0|7||0"
    arrived = Wire().receive(status, EXECUTION.format(-1), commission, "4|2|1|201|Order rejected|{}")
    found = [m for m in arrived if isinstance(m, BrokerMessage)]
    assert [m.name for m in found] == ["orderStatus", "execDetails", "commissionReport", "error"]
    assert all(json.loads(json.dumps(m.fields, allow_nan=False)) == m.fields for m in found)
    assert found[0].fields["whyHeld"] == ""
    assert (found[1].fields["time"], found[1].fields["price"]) == ("2026-04-13T13:30:00+00:00", 187.33)
    assert (found[2].fields["commission"], found[2].fields["realizedPNL"]) == (1.0035, None)
    assert found[3].fields == {"orderId": 1, "code": 201, "text": "Order rejected", "advanced": "{}"}


def test_a_time_without_zone_is_the_gateways() -> None:
    wire = Wire()
    wire._decoder.serverVersion = 173  # the zone came with 174
    old = EXECUTION.format(-1).removesuffix("|0").replace("20260413 09:30:00 US/Eastern", "20260413  09:30:00")
    [message] = wire.receive(old)
    assert isinstance(message, BrokerMessage)
    assert message.fields["time"] == "2026-04-13T13:30:00+00:00"


@in_loop
def test_an_asked_execution_answers_and_a_late_one_is_news() -> None:
    wire = Wire()
    answer = wire.wait_for(10_000_001)
    assert wire.receive(EXECUTION.format(10_000_001), "55|1|10000001") == []
    assert answer.parts is not None
    assert len(answer.parts) == 1
    assert len(wire.receive(EXECUTION.format(10_000_001))) == 1


@in_loop
def test_during_a_question_statuses_go_both_ways() -> None:
    wire = Wire()
    answer = wire.wait_for(Question.OPEN_ORDERS)
    arrived = wire.receive("3|1|Submitted|0|100|0|900|0|0|7||0", "53|1", "3|1|Filled|100|0|187.33|900|0|187.33|7||0")
    assert answer.parts == arrived[:1]
    assert len(arrived) == 2


@in_loop
def test_parts_and_end_markers_of_answers() -> None:
    wire = Wire()
    positions, values, bars = wire.wait_for(Question.POSITIONS), wire.wait_for(10_000_002), wire.wait_for(10_000_003)
    ids = wire.wait_for(Question.NEXT_ID)
    wire.receive(
        f"61|3|DU1234567|{STOCK}|-100|187.5", "62|1", "73|1|10000002|DU1234567||CashBalance|5.25|USD", "74|1|10000002",
        "17|10000003|s|e|1|20260413|1.1|1.3|1.0|1.2|500|1.15|12", "9|1|42", "49|1|1776110824",
    )  # fmt: skip
    assert positions.parts is not None
    assert (positions.parts[0]["symbol"], positions.parts[0]["position"]) == ("AAPL", -100.0)
    assert values.parts == [("DU1234567", "CashBalance", "5.25", "USD")]
    assert bars.parts == [("20260413", 1.1, 1.3, 1.0, 1.2, 500.0)]
    assert (ids.parts, wire.session.next_order_id, wire.times) == ([42], 42, [1776110824])
    assert wire.arrived == []


@in_loop
def test_an_error_ends_its_request_but_a_warning_does_not() -> None:
    wire = Wire()
    answer = wire.wait_for(10_000_004)
    wire.receive("4|2|10000004|2174|You submitted a request without explicit time zone|")
    assert answer.parts is None
    wire.receive("4|2|10000004|162|HMDS query returned no data|")
    assert isinstance(answer.error, DataGap)
    answer = wire.wait_for(10_000_005)
    wire.receive("4|2|10000005|162|Historical data request pacing violation|")
    assert isinstance(answer.error, PacingLimit)


def test_what_the_gateway_says_of_itself_is_noticed_and_never_of_an_order() -> None:
    wire, up = Wire(), []
    for text in ("1100|Connectivity lost", "2104|farm is OK:usfarm", "1102|restored"):
        assert wire.receive(f"4|2|-1|{text}|") == []
        up.append(wire.session.link_up)
    assert up == [False, False, True]
    assert wire.notices == [
        (ErrorClass.LINK_LOST, "1100: Connectivity lost"),
        (ErrorClass.FARM_OK, "2104: farm is OK:usfarm"),
        (ErrorClass.LINK_RESTORED, "1102: restored"),
    ]
    assert wire.session.last_words == ""


@in_loop
def test_the_same_question_cannot_be_asked_twice_at_once() -> None:
    wire = Wire()
    wire.wait_for(Question.POSITIONS)
    with pytest.raises(InvariantViolation):
        wire.wait_for(Question.POSITIONS)


@pytest.mark.parametrize(
    "garbage",
    [
        "3|1|Submitted|zero|100|0|900|0|0|7||0",
        "3|1|Submitted",
        "999|1",
        "text",
        "11|-1|1",
        EXECUTION.format(-1).replace("20260413 09:30:00", "yesterday"),
        "59|1|x|1.0",
    ],
)
def test_what_the_decoder_swallows_is_a_lost_message(garbage: str, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    lost = LostMessages(wire)
    lost.listen()
    try:
        arrived = wire.receive(garbage)
    finally:
        lost.stop()
    assert lost.count == 1
    assert [m.name for m in arrived if isinstance(m, BrokerMessage)] == ["lostMessage"]
    caplog.clear()
