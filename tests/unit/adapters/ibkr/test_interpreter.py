"""From messages to events: what the broker says of an order, whatever comes twice, late, or in another order."""

from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.order import Order as WireOrder
from msgspec import structs

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.interpreter import Interpreter
from robotrader.model import (
    EXTERNAL,
    AnyEvent,
    CommissionReported,
    ConnectionLost,
    DataError,
    ExternalFill,
    ExternalOrder,
    InvariantViolation,
    MarginPreviewed,
    OrderAccepted,
    OrderCanceled,
    OrderConfirmed,
    OrderFilled,
    OrderId,
    OrderPendingCancel,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderSuspended,
    OrderType,
    OrderUnresolved,
    Side,
    TimeInForce,
    TradingHalted,
)
from robotrader.ports import BrokerMessage
from tests.unit.adapters.ibkr.messages import (
    AAPL,
    CLIENT,
    NOW,
    SPY,
    commission,
    completed_order,
    error,
    execution,
    message,
    open_order,
    order,
    order_status,
)


class Reader:
    """An interpreter that was just told of order RT-A, id 1."""

    def __init__(self, *, seen: bool = False) -> None:
        self.interpreter = Interpreter({AAPL.id: AAPL, SPY.id: SPY})
        self.interpreter.know(order(), 1, client_id=CLIENT, seen=seen)

    def read(self, *messages: BrokerMessage) -> list[AnyEvent]:
        return [e for m in messages for e in self.interpreter.events(m, client_id=CLIENT)]


def kinds(events: Sequence[AnyEvent]) -> list[type]:
    return [type(e) for e in events]


def what_if(**fields: object) -> MarginPreviewed:
    """Read the answer to a what-if of RT-A, known or not."""
    [event] = Reader().read(message("whatIf", orderRef="RT-Z", orderId=9, **fields))
    assert isinstance(event, MarginPreviewed)
    assert (event.order_id, event.ts_init) == ("RT-Z", NOW)
    return event


def test_an_answer_to_a_what_if_is_read_to_the_cent_and_unset_is_none() -> None:
    margins = {"initMarginAfter": "5025.10", "maintMarginAfter": "4020.08", "equityWithLoanAfter": "99998.97"}
    event = what_if(**margins, commission=1.03, maxCommission=None, warningText="")
    assert (event.initial_after, event.maintenance_after, event.equity_after) == (
        Decimal("5025.10"), Decimal("4020.08"), Decimal("99998.97"),
    )  # fmt: skip
    assert (event.commission, event.error) == (Decimal("1.03"), "")
    assert what_if(**margins, commission=None, maxCommission=2.5).commission == Decimal("2.5")
    event = what_if(**margins | {"maintMarginAfter": "1.7976931348623157E308"})
    assert (event.maintenance_after, event.commission, event.error) == (None, None, "")


@pytest.mark.parametrize("unset", ["1.7976931348623157E308", ""])
def test_an_answer_without_margins_says_so(unset: str) -> None:
    event = what_if(initMarginAfter=unset, maintMarginAfter=unset, equityWithLoanAfter=unset, commission=None)
    assert (event.initial_after, event.equity_after, event.error) == (None, None, "the broker told no margins")


def test_an_objection_or_silence_is_the_answer_to_a_what_if() -> None:
    assert what_if(initMarginAfter="5", equityWithLoanAfter="3", warningText="NOT ACCEPTED").error == "NOT ACCEPTED"
    assert what_if(error="the gateway did not answer within 5 s").error == "the gateway did not answer within 5 s"


@pytest.mark.parametrize("status", ["PreSubmitted", "Submitted"])
def test_a_working_order_is_accepted_once_for_each_perm_id(status: str) -> None:
    found = Reader().read(open_order(status), order_status(status), order_status(status))
    assert {e.source_id for e in found} == {"RT-A/900"}
    assert found[0] == OrderAccepted(ts_event=NOW, ts_init=NOW, order_id=OrderId("RT-A"), perm_id=900)


def test_a_perm_id_of_zero_is_not_yet_one() -> None:
    assert Reader().read(open_order("PreSubmitted", permId=0)) == []


def test_pending_states_decide_nothing_and_filled_nothing_more_than_the_executions() -> None:
    silent = ["PendingSubmit", "ApiPending"]
    assert Reader().read(*map(order_status, silent), *map(open_order, silent)) == []
    assert kinds(Reader().read(execution(), order_status("Filled"), open_order("Filled"))) == [OrderFilled]


def test_filled_without_all_executions_is_of_unknown_outcome() -> None:
    found = Reader().read(execution(shares=60.0), order_status("Filled"))
    assert kinds(found) == [OrderFilled, OrderUnresolved]
    corrected = execution(shares=100.0, execId="0000e0d5.69dd7411.01.02")
    assert kinds(Reader().read(execution(shares=60.0), corrected, order_status("Filled"))) == [OrderFilled, OrderFilled]


def test_every_word_of_a_cancel_is_the_same_event() -> None:
    reader = Reader()
    told = reader.read(
        order_status("Cancelled"), error(202, "Order Canceled - reason:"), open_order("ApiCancelled"),
        completed_order("Cancelled"), order_status("Inactive"),
    )  # fmt: skip
    assert kinds(told) == [OrderCanceled] * 5
    assert len(set(map(repr, told))) == 1


def test_a_cancel_reads_the_same_after_a_restart() -> None:
    [live], [later] = Reader().read(order_status("Cancelled")), Reader(seen=True).read(completed_order("Cancelled"))
    assert live == later


def test_error_202_alone_cancels_with_its_reason() -> None:
    [event] = Reader().read(error(202, "Order Canceled - reason:price is far from the market"))
    assert isinstance(event, OrderCanceled)
    assert event.reason == "Order Canceled - reason:price is far from the market"


def test_a_cancel_under_way_is_told() -> None:
    assert kinds(Reader().read(order_status("PendingCancel"))) == [OrderPendingCancel]


def test_inactive_may_come_back_while_open_but_not_when_completed() -> None:
    assert kinds(Reader().read(order_status("Inactive"), order_status("Submitted"))) == [OrderSuspended, OrderAccepted]
    assert kinds(Reader().read(completed_order("Inactive"))) == [OrderCanceled]


def test_shares_that_must_be_located_hold_the_order() -> None:
    found = Reader().read(order_status("PreSubmitted", whyHeld="locate"), error(404, "Shares are being located"))
    assert kinds(found) == [OrderAccepted, OrderSuspended, OrderSuspended]
    assert [e.locating for e in found if isinstance(e, OrderSuspended)] == [True, True]
    inactive, *_ = Reader().read(order_status("Inactive", whyHeld="trigger"))
    assert isinstance(inactive, OrderSuspended)
    assert not inactive.locating


def test_what_was_held_works_again_when_its_shares_are_found_and_says_so_once() -> None:
    reader = Reader()
    reader.read(open_order("PreSubmitted"), order_status("PreSubmitted", whyHeld="locate"))
    assert kinds(reader.read(open_order("PreSubmitted"))) == [OrderAccepted]  # which cannot tell why it is held
    assert kinds(reader.read(order_status("Submitted"))) == [OrderAccepted, OrderConfirmed]
    assert kinds(reader.read(order_status("Submitted"))) == [OrderAccepted]


def test_a_stop_that_waits_for_its_trigger_is_accepted() -> None:
    assert kinds(Reader().read(order_status("PreSubmitted", whyHeld="trigger"))) == [OrderAccepted]


def test_a_completed_fill_says_nothing_its_executions_do() -> None:
    assert Reader().read(completed_order("Filled")) == []


@pytest.mark.parametrize("code", [103, 110, 201, 321, 10243])
def test_a_refusal_is_final_only_if_the_broker_never_showed_the_order(code: int) -> None:
    [refused] = Reader().read(error(code, "why"))
    assert refused == OrderRejected(ts_event=NOW, ts_init=NOW, order_id=OrderId("RT-A"), code=code, reason="why")
    for before in (open_order("PendingSubmit"), order_status("Submitted"), execution()):
        assert kinds(Reader().read(before, error(code)))[-1] is OrderUnresolved
    assert kinds(Reader(seen=True).read(error(code))) == [OrderUnresolved]  # recovered: it may have been accepted


def test_an_order_that_is_bound_again_may_have_been_accepted() -> None:
    reader = Reader()
    reader.interpreter.know(order(), 1, client_id=CLIENT, seen=True)
    assert kinds(reader.read(error(201))) == [OrderUnresolved]


def test_the_broker_takes_a_bound_order_for_one_that_may_have_been_accepted() -> None:
    nowhere = SimpleNamespace(put=lambda _arrival: None)
    broker = IbkrBroker(IbkrConnection(nowhere, account="DU1"), [AAPL])
    broker.bind(order(), 1)
    assert kinds(broker.interpret(error(201))) == [OrderUnresolved]


def test_a_rejected_order_stays_rejected() -> None:
    found = Reader().read(error(201), order_status("Inactive"), error(201), error(99999))
    assert kinds(found) == [OrderRejected] * 4


@pytest.mark.parametrize("code", [135, 136, 161, 10147, 10148, 10149, 104, 2102, 399, 2109, 2161, 10349])
def test_cancel_outcomes_and_warnings_change_nothing(code: int) -> None:
    assert Reader().read(error(code)) == []


@pytest.mark.parametrize("code", [99999, 100, 354, 1100])
def test_any_other_code_on_an_order_leaves_its_outcome_unknown(code: int) -> None:
    [event] = Reader().read(error(code, "why"))
    assert isinstance(event, OrderUnresolved)
    assert event.reason == f"{code}: why"


def test_other_terms_of_a_working_order_are_told_once() -> None:
    told = Reader().read(open_order("Submitted"), *[open_order("Submitted", totalQuantity=60.0)] * 2)
    assert kinds(told) == [OrderAccepted, OrderAccepted, OrderReplaced, OrderAccepted]
    assert told[2] == OrderReplaced(ts_event=NOW, ts_init=NOW, order_id=OrderId("RT-A"), quantity=60)


def test_an_order_that_its_group_cut_and_that_filled_while_nobody_looked_was_that_large() -> None:
    told = Reader(seen=True).read(*[completed_order("Filled", filledQuantity=60.0)] * 2)
    assert told == [OrderReplaced(ts_event=NOW, ts_init=NOW, order_id=OrderId("RT-A"), quantity=60)]
    for whole in (100.0, 140.0, None):
        assert Reader(seen=True).read(completed_order("Filled", filledQuantity=whole)) == []


def test_new_prices_are_told_on_the_grid() -> None:
    stop = order(type=OrderType.STOP, side=Side.SELL, stop_price=Decimal("180.00"))
    limit = order("RT-B", type=OrderType.LIMIT, limit_price=Decimal("190.00"))
    interpreter = Interpreter({AAPL.id: AAPL})
    interpreter.know(stop, 1, client_id=CLIENT, seen=True)
    interpreter.know(limit, 2, client_id=CLIENT, seen=True)
    told = interpreter.events(open_order("PreSubmitted", auxPrice=179.5, lmtPrice=0.0), client_id=CLIENT)
    assert (told[-1].quantity, told[-1].stop_price, told[-1].limit_price) == (100, Decimal("179.50"), None)  # type: ignore[union-attr]
    other = open_order("Submitted", orderId=2, permId=901, orderRef="RT-B", lmtPrice=190.01, auxPrice=0.0)
    told = interpreter.events(other, client_id=CLIENT)
    assert (told[-1].stop_price, told[-1].limit_price) == (None, Decimal("190.01"))  # type: ignore[union-attr]


def test_terms_of_an_order_that_ended_are_no_news() -> None:
    told = Reader().read(order_status("Cancelled"), open_order("Submitted", totalQuantity=60.0))
    assert OrderReplaced not in kinds(told)


def test_a_lost_answer_to_a_change_is_found_by_the_next_life() -> None:
    """The journal has the terms before, the broker works the new ones."""
    told = Reader(seen=True).read(open_order("Submitted", totalQuantity=60.0))
    assert kinds(told) == [OrderAccepted, OrderReplaced]


@pytest.mark.parametrize("code", [104, 105, 201, 2102, 10318])
def test_a_refusal_after_a_change_was_asked_for_is_one_of_the_change(code: int) -> None:
    reader = Reader(seen=True)
    reader.interpreter.replace(order(quantity=60))
    [refused] = reader.read(error(code, "why"))
    reason = f"{code}: why"
    assert refused == OrderReplaceRejected(ts_event=NOW, ts_init=NOW, order_id=OrderId("RT-A"), reason=reason)
    assert OrderReplaceRejected not in kinds(reader.read(error(code, "again"))), "one change, one answer"


def test_a_change_that_the_broker_took_cannot_be_refused_any_more() -> None:
    reader = Reader(seen=True)
    reader.interpreter.replace(order(quantity=60))
    assert kinds(reader.read(open_order("Submitted", totalQuantity=60.0), error(201)))[1:] == [
        OrderReplaced, OrderUnresolved,
    ]  # fmt: skip


def test_a_change_that_others_overtake_is_still_to_be_answered() -> None:
    """The group had a fill while the change was on its way: the broker's own new size is no answer to ours."""
    reader = Reader(seen=True)
    reader.interpreter.replace(order(quantity=60))
    assert kinds(reader.read(open_order("Submitted", totalQuantity=80.0), error(201)))[1:] == [
        OrderReplaced, OrderReplaceRejected,
    ]  # fmt: skip


def test_warnings_cancels_and_holds_are_no_answer_to_a_change() -> None:
    reader = Reader(seen=True)
    reader.interpreter.replace(order(quantity=60))
    assert kinds(reader.read(error(399), error(10148), error(404))) == [OrderSuspended]
    assert kinds(reader.read(error(202))) == [OrderCanceled]


class Wire:
    """A connection that keeps what is sent through it."""

    def __init__(self) -> None:
        self.connected, self.account, self.client_id = True, "DU1", CLIENT
        self.sent: list[tuple[int, WireOrder]] = []

    def send(self, message: translate.Send, *, places: int) -> None:
        message(SimpleNamespace(placeOrder=lambda number, _contract, wire: self.sent.append((number, wire))))


def broker_on(wire: Wire) -> IbkrBroker:
    return IbkrBroker(wire, [AAPL])  # type: ignore[arg-type]


STOP = order("RT-S", type=OrderType.STOP, side=Side.SELL, stop_price=Decimal("180.00"), tif=TimeInForce.GTC,
             parent=OrderId("RT-A"), oca_group="OCA-1")  # fmt: skip


def test_a_child_names_its_entry_when_it_is_sent() -> None:
    wire = Wire()
    broker = broker_on(wire)
    broker.submit(order(), 5, transmit=False)
    broker.submit(STOP, 6)
    assert [(number, o.parentId, o.transmit) for number, o in wire.sent] == [(5, 0, False), (6, 5, True)]


def test_a_change_goes_under_the_same_id_and_names_no_entry_that_may_be_long_over() -> None:
    """After a restart nothing is known of an entry that filled on an earlier day."""
    wire = Wire()
    broker = broker_on(wire)
    broker.bind(order(), 5)
    broker.bind(STOP, 6)
    broker.replace(structs.replace(STOP, quantity=60))
    [(number, sent)] = wire.sent
    assert (number, sent.parentId, sent.totalQuantity, sent.auxPrice) == (6, 0, 60, Decimal("180.00"))
    assert (sent.ocaGroup, sent.ocaType, sent.orderRef, sent.tif) == ("OCA-1", 2, "RT-S", "GTC")


def test_without_a_link_a_change_is_not_sent_and_no_refusal_is_one_of_it() -> None:
    wire = Wire()
    broker = broker_on(wire)
    broker.bind(STOP, 6)
    wire.connected = False
    with pytest.raises(ConnectionLost):
        broker.replace(structs.replace(STOP, quantity=60))
    assert wire.sent == []
    assert kinds(broker.interpret(error(201, order_id=6))) == [OrderUnresolved]


def test_an_order_that_was_never_sent_cannot_be_changed() -> None:
    with pytest.raises(InvariantViolation, match="never sent"):
        broker_on(Wire()).replace(STOP)


def test_an_execution_is_a_fill_of_the_order_that_it_names() -> None:
    [event] = Reader().read(execution())
    assert isinstance(event, OrderFilled)
    fill = event.fill
    assert (fill.exec_id, fill.revision, event.source_id) == (
        "0000e0d5.69dd7411.01", 1, "0000e0d5.69dd7411.01.01",
    )  # fmt: skip
    assert (fill.order_id, fill.strategy, fill.instrument) == ("RT-A", "sma", AAPL.id)
    assert (fill.side, fill.quantity, fill.price) == (Side.BUY, 100, Decimal("187.33"))
    assert event.ts_event == fill.ts_event == 1_776_087_000_000_000_000  # 13:30 UTC
    assert event.ts_init == NOW


def test_a_correction_is_the_same_execution_in_a_higher_revision() -> None:
    corrected = execution(execId="0000e0d5.69dd7411.01.02", shares=60.0)
    bust = execution(execId="0000e0d5.69dd7411.01.03", shares=0.0)
    fills = [e.fill for e in Reader().read(execution(), corrected, bust) if isinstance(e, OrderFilled)]
    assert len({f.exec_id for f in fills}) == 1
    assert [(f.revision, f.quantity) for f in fills] == [(1, 100), (2, 60), (3, 0)]


def test_identity_is_order_ref_then_perm_id_then_the_own_order_id() -> None:
    reader = Reader()
    reader.interpreter.know(order("RT-B"), 2, client_id=CLIENT, seen=False)

    def owner(**fields: object) -> str | None:
        found = reader.read(execution(**fields))
        return found[0].fill.order_id if found and isinstance(found[0], OrderFilled) else None

    assert owner(orderRef="RT-B", orderId=1, permId=1) == "RT-B"  # not the order that had this id in another session
    assert owner(orderRef="RT-X", orderId=1, permId=2) is None
    assert owner(orderRef="", orderId=2, permId=3) == "RT-B"
    assert owner(orderRef="", orderId=1, permId=3) == "RT-B"
    assert owner(orderRef="", orderId=2, permId=4, clientId=99) is None


def test_what_is_not_ours_counts_as_external_and_its_end_as_well() -> None:
    foreign = {"orderRef": "mine", "clientId": 3, "permId": 5}
    status = order_status("Submitted", clientId=3, permId=5, remaining=40.0)
    found = Reader().read(
        open_order("Submitted", **foreign), status, completed_order("Cancelled", **foreign),
        execution(**foreign, liquidation=1), commission(), error(201, order_id=2),
        order_status("Cancelled", clientId=3, permId=5, remaining=0.0),
    )  # fmt: skip
    assert [e.remaining for e in found if isinstance(e, ExternalOrder)] == [100, 40, 0]
    [fill] = [e for e in found if isinstance(e, ExternalFill)]
    assert (fill.fill.strategy, fill.fill.order_id, fill.fill.quantity, fill.liquidation) == (
        EXTERNAL,
        "EXT-5",
        100,
        True,
    )
    assert kinds(found) == [ExternalOrder, ExternalOrder, ExternalFill, CommissionReported, ExternalOrder]


def test_what_is_not_configured_is_nobodys_business() -> None:
    foreign = {"orderRef": "mine", "clientId": 3, "permId": 5, "symbol": "TSLA", "localSymbol": "TSLA"}
    assert Reader().read(open_order("Submitted", **foreign), execution(**foreign), commission()) == []


def test_a_commission_is_exact_and_waits_for_its_execution() -> None:
    first, then = Reader(), Reader()
    in_order, early = first.read(execution(), commission()), then.read(commission(), execution())
    assert in_order == early
    cost = in_order[1]
    assert isinstance(cost, CommissionReported)
    assert (cost.commission.amount, cost.source_id) == (Decimal("1.003500"), "0000e0d5.69dd7411.01.01")


def test_an_unset_commission_is_none() -> None:
    assert kinds(Reader().read(execution(), commission(commission=None))) == [OrderFilled]


def test_a_lost_message_halts() -> None:
    [event] = Reader().read(message("lostMessage", text="Error handling fields", cause="ValueError('x')"))
    assert isinstance(event, TradingHalted)
    assert "ValueError" in event.reason


@pytest.mark.parametrize(
    "unreadable",
    [
        message("nonsense"),
        message("execDetails"),
        order_status("Cancelled?"),
        execution(execId="no-revision"),
        execution(shares=1.5),
        execution(shares=None),
        execution(price=None),
        execution(price=-1.0),
        execution(side="SLD"),
        execution(symbol="MSFT"),
        execution(time="2026-04-13T13:30:00"),
        commission(execId="x"),
        message("error"),
    ],
    ids=repr,
)
def test_what_cannot_be_understood_is_no_event(unreadable: BrokerMessage) -> None:
    with pytest.raises(DataError):
        Reader().read(unreadable)


LIFE = (
    open_order("PreSubmitted"), order_status("Submitted"), execution(shares=40.0), commission(),
    execution(execId="0000e0d5.69dd7411.02.01", shares=60.0), order_status("Cancelled"), error(202),
    completed_order("Cancelled"),
)  # fmt: skip


@given(st.lists(st.sampled_from(LIFE), max_size=20))
def test_any_message_twice_is_the_same_news(messages: list[BrokerMessage]) -> None:
    """Whatever order, loss and repetition: one key never carries two contents."""
    told: dict[tuple[type, str | None], AnyEvent] = {}
    for event in Reader().read(*messages, *messages):
        assert told.setdefault((type(event), event.source_id), event) == event
