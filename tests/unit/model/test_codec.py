"""Records as bytes and back."""

from decimal import Decimal

import msgspec
import pytest
from msgspec import structs

from robotrader.model import (
    Account,
    AccountReported,
    Action,
    AnyCommand,
    AnyEvent,
    BookAdjusted,
    BorrowFeeCharged,
    BorrowReported,
    BreakOpened,
    Cancel,
    ConditionChanged,
    CorporateActionBooked,
    CorporateActionDue,
    Criterion,
    Crossed,
    DataError,
    ExternalFill,
    ExternalOrder,
    Gate,
    HaltCause,
    HaltReported,
    HostCondition,
    LinkState,
    MarginPreviewed,
    MarketDataReported,
    MarketDataType,
    OrderCanceled,
    OrderConfirmed,
    OrderExpired,
    OrderId,
    OrderPendingCancel,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplacing,
    OrderSending,
    OrderSuspended,
    OrderUnresolved,
    OrderVoided,
    PositionReported,
    Posting,
    PreviewMargin,
    Recovered,
    RequestReceived,
    RiskLimit,
    RunEnded,
    SetLimits,
    SetTradingState,
    Side,
    SignalsComputed,
    Stage,
    StageJudged,
    TradingHalted,
    TradingState,
    VirtualTraded,
    decode_command,
    decode_event,
    encode,
    money,
)
from tests import builders as make

AT = {"ts_event": 1, "ts_init": 2}
OF = {**AT, "order_id": make.order().id}
EVENTS: tuple[AnyEvent, ...] = (
    make.run_started(), Recovered(ts_event=1, ts_init=2, replayed=3, breaks=("a",)),
    RunEnded(**AT, run_id="r", reason="x"),
    make.link(LinkState.READY),
    ConditionChanged(**AT, condition=HostCondition.DISK, state=TradingState.REDUCING, detail="x"),
    SignalsComputed(**AT, strategy=make.TREND, strengths=(0.5, None), compared=(2, 1), fault="x"),
    make.bars_closed(), OrderSending(**OF, epoch=1, broker_order_id=2), make.accepted(make.order().id),  # type: ignore[arg-type]
    OrderConfirmed(**OF),  # type: ignore[arg-type]
    OrderSuspended(**OF, reason="x"), OrderPendingCancel(**OF), OrderReplacing(**OF, epoch=1),  # type: ignore[arg-type]
    OrderReplaced(**OF, quantity=5, stop_price=Decimal("9.50")), OrderReplaceRejected(**OF, reason="x"),  # type: ignore[arg-type]
    OrderCanceled(**OF), OrderExpired(**OF),  # type: ignore[arg-type]
    OrderRejected(**OF, code=201, reason="x"), OrderUnresolved(**OF, reason="x"),  # type: ignore[arg-type]
    OrderVoided(**OF, proven=False, reason="x"), make.filled(make.order()), make.commission(),  # type: ignore[arg-type]
    BorrowFeeCharged(**AT, strategy=make.TREND, instrument=make.SPY.id, amount=Decimal("1.10")),
    PositionReported(**AT, account="DU1", instrument=make.SPY.id, quantity=-5, average_cost=Decimal("1.5")),
    AccountReported(**AT, account=Account(id="DU1", cash=Decimal("1.10"))),
    BorrowReported(**AT, instrument=make.SPY.id, level=2.0, shares=300),
    HaltReported(**AT, instrument=make.SPY.id, halted=True, cause=HaltCause.VOLATILITY, limit_state=True),
    MarketDataReported(**AT, instrument=make.SPY.id, data_type=MarketDataType.DELAYED_FROZEN),
    MarginPreviewed(**OF, initial_after=Decimal("5.10"), error="x"),  # type: ignore[arg-type]
    RequestReceived(ts_event=1, ts_init=2, request_id="r", action=Action.REDUCE, reason="x", actor="me"),
    ExternalFill(**AT, fill=make.filled(make.order()).fill, liquidation=True),
    ExternalOrder(**AT, perm_id=3, instrument=make.SPY.id, side=Side.BUY, remaining=2),
    CorporateActionDue(**AT, action=make.split(), instrument=make.SPY.id, successor=make.QQQ),
    BreakOpened(ts_event=1, ts_init=2, break_id="B1", instrument=make.SPY.id, broker=5, ledger=0),
    TradingHalted(**AT, reason="x"),
)  # fmt: skip
COMMANDS: tuple[AnyCommand, ...] = (
    make.submit(), make.replace(), make.deny(), make.hold(), make.marked(),
    Cancel(ts_event=1, order_id=make.order().id, reason="x"),
    SetLimits(ts_event=1, limits=RiskLimit(profile="x"), changed=("allow_list",), reason="x", actor="me"),
    SetTradingState(ts_event=1, state=TradingState.REDUCING, reason="x", actor="me", strategy=make.TREND),
    CorporateActionBooked(ts_event=1, action="SPY/split/2024-01-03", postings=(
        Posting(strategy=make.TREND, instrument=make.SPY.id, quantity=5, cash=Decimal("0.10")),)),
    PreviewMargin(ts_event=1, order=make.order()),
    Crossed(ts_event=1, instrument=make.SPY.id, fills=(make.filled(make.order()).fill,)),
    StageJudged(ts_event=1, strategy=make.TREND, gate=Gate.SHADOW, before=Stage.SHADOW, stage=Stage.PAPER, share=1.0,
                criteria=(Criterion(name="sessions", value=20.0, bound=20.0, at_least=True),), reason="x", actor="me"),
    VirtualTraded(ts_event=1, strategy=make.TREND, fills=(make.filled(make.order()).fill,), commission=Decimal(1),
                  denied=("max_order_quantity",), equity=Decimal(100)),
    BookAdjusted(ts_event=1, break_id="B1", fills=(make.filled(make.order()).fill,), reason="x", actor="me"),
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_comes_back_as_it_was(event: AnyEvent) -> None:
    assert decode_event(encode(event)) == event
    assert encode(decode_event(encode(event))) == encode(event)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: type(c).__name__)
def test_a_command_comes_back_as_it_was(command: AnyCommand) -> None:
    assert decode_command(encode(command)) == command
    assert encode(decode_command(encode(command))) == encode(command)


def test_every_kind_of_event_and_command_is_tried_here() -> None:
    assert {type(e) for e in EVENTS} == set(AnyEvent.__args__)
    assert {type(c) for c in COMMANDS} == set(AnyCommand.__args__)


def test_money_keeps_its_digits() -> None:
    fill = make.filled(make.order(), price="100.10")
    assert b'"price":"100.10"' in encode(fill)
    back = decode_event(encode(fill))
    assert str(back.fill.price) == "100.10"  # type: ignore[union-attr]


def test_a_later_release_may_add_fields() -> None:
    fields = msgspec.json.decode(encode(make.accepted(make.order().id)))
    assert decode_event(msgspec.json.encode({**fields, "new": 1})) == make.accepted(make.order().id)


@pytest.mark.parametrize("text", ["", "{}", '{"kind":"Unheard"}', '{"kind":"OrderAccepted"}', "[1]"])
def test_what_is_no_record_is_a_data_error(text: str) -> None:
    with pytest.raises(DataError, match="event"):
        decode_event(text)
    with pytest.raises(DataError, match="command"):
        decode_command(text)


def test_money_has_one_quantum() -> None:
    assert str(money(Decimal(1))) == "1.000000"
    assert str(money(Decimal("1.0000005"))) == "1.000000"  # half to even
    assert str(money(Decimal("1.0000015"))) == "1.000002"


def test_what_happens_once_has_a_key_and_what_may_repeat_has_none() -> None:
    order, fill = make.order(), make.filled(make.order(), exec_id="e", revision=2)
    keys = {type(e).__name__: e.source_id for e in (*EVENTS, fill)}
    assert keys["OrderFilled"] == "e.02"
    assert keys["OrderAccepted"] == f"{order.id}/7"
    assert keys["SignalsComputed"] == f"{make.TREND}@1"
    assert keys["BarsClosed"] == f"1d@{make.T0}"
    assert {name for name, key in keys.items() if key is None} == {
        "Recovered", "RunEnded", "OrderConfirmed", "OrderSuspended", "OrderPendingCancel", "OrderReplacing",
        "OrderReplaced", "OrderReplaceRejected", "OrderUnresolved",
        "BorrowFeeCharged", "PositionReported", "AccountReported", "BorrowReported", "HaltReported", "MarginPreviewed",
        "ConditionChanged", "LinkChanged", "MarketDataReported", "TradingHalted",
    }  # fmt: skip


def test_a_corrected_execution_and_another_perm_id_are_new_events() -> None:
    order = make.order()
    assert make.filled(order, revision=1).source_id != make.filled(order, revision=2).source_id
    assert make.accepted(order.id, perm_id=1).source_id != make.accepted(order.id, perm_id=2).source_id
    other = structs.replace(make.accepted(order.id), order_id=OrderId("RT-other"))
    assert other.source_id != make.accepted(order.id).source_id
