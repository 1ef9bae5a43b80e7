"""Whatever comes in whatever order, an order goes only where the table leads and nothing odd passes in silence."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from robotrader.execution.lifecycle import OPEN, TERMINAL, Alarm, transition
from robotrader.model import (
    AnyEvent,
    Fill,
    InvariantViolation,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderPendingCancel,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplacing,
    OrderSending,
    OrderState,
    OrderSuspended,
    OrderUnresolved,
    OrderVoided,
    WorkingOrder,
)
from tests import builders as make

ORDER = make.order(quantity=100)
STARTS = (OrderState.ACCEPTED, *sorted(TERMINAL - {OrderState.DENIED}))
KEY = {"ts_event": 1, "ts_init": 1, "order_id": ORDER.id}
WORDS: tuple[AnyEvent, ...] = (
    OrderSending(**KEY, epoch=1, broker_order_id=3),  # type: ignore[arg-type]
    OrderAccepted(**KEY, perm_id=7),  # type: ignore[arg-type]
    OrderAccepted(**KEY, perm_id=8),  # type: ignore[arg-type]
    OrderPendingCancel(**KEY),  # type: ignore[arg-type]
    OrderCanceled(**KEY, reason="c"),  # type: ignore[arg-type]
    OrderRejected(**KEY, code=201, reason="r"),  # type: ignore[arg-type]
    OrderExpired(**KEY),  # type: ignore[arg-type]
    OrderSuspended(**KEY, reason="s"),  # type: ignore[arg-type]
    OrderUnresolved(**KEY, reason="u"),  # type: ignore[arg-type]
    OrderVoided(**KEY, proven=False, reason="v"),  # type: ignore[arg-type]
)
CHANGES: tuple[AnyEvent, ...] = (
    OrderReplacing(**KEY, epoch=1),  # type: ignore[arg-type]
    OrderReplaceRejected(**KEY, reason="r"),  # type: ignore[arg-type]
    OrderReplaced(**KEY, quantity=60),  # type: ignore[arg-type]
    OrderReplaced(**KEY, quantity=150),  # type: ignore[arg-type]
)
fills = st.integers(1, 120).map(lambda quantity: make.filled(ORDER, quantity=quantity))
event = st.sampled_from(WORDS) | fills
changes = st.sampled_from(WORDS + CHANGES) | st.sampled_from(CHANGES) | fills
starts = st.sampled_from([make.working(ORDER), make.working(ORDER, OrderState.SENDING)])


@given(starts, st.lists(event, max_size=12))
def test_an_order_stays_lawful_whatever_it_hears(working: WorkingOrder, heard: list[AnyEvent]) -> None:
    for word in heard:
        before = working
        try:
            result = transition(before, word)
        except InvariantViolation:
            assert not (before.state in OPEN and isinstance(word, OrderFilled) and before.state != "AUTHORIZED")
            continue
        working = result.working
        assert working.order == ORDER
        if before.state in TERMINAL:
            assert working.state is before.state, "what ended stays ended"
        bought = word.fill.quantity if isinstance(word, OrderFilled) else 0
        assert working.filled == before.filled + bought, "fills only add up, and only fills do"
        assert working.leaves == ORDER.quantity - working.filled
        if working.state is OrderState.FILLED:
            assert working.filled >= ORDER.quantity
        elif before.state in OPEN and bought:
            assert working.filled < ORDER.quantity, "an open order that is full is FILLED"
        if bought:
            assert (result.alarm is Alarm.OVERFILL) == (working.filled > ORDER.quantity)
        if before.state in TERMINAL - {OrderState.FILLED} and result.alarm is not Alarm.OVERFILL:
            expected = Alarm.ZOMBIE if isinstance(word, OrderAccepted) else Alarm.LATE_FILL if bought else None
            assert result.alarm is expected
        assert working.unresolved == (isinstance(word, OrderUnresolved) and before.state in OPEN)
        assert set(before.perm_ids) <= set(working.perm_ids)


@given(st.sampled_from([60, 150]), st.lists(changes, max_size=14))
def test_terms_are_what_the_broker_said_last_and_a_change_is_open_until_it_is_answered(
    asked: int, heard: list[AnyEvent]
) -> None:
    working = structs.replace(
        make.working(ORDER, OrderState.ACCEPTED), replacing=structs.replace(ORDER, quantity=asked)
    )
    for word in heard:
        before = working
        try:
            working = transition(before, word).working
        except InvariantViolation:
            lawful = before.state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}
            assert isinstance(word, OrderReplacing | OrderSending | OrderVoided)
            assert not (lawful and isinstance(word, OrderReplacing))
            continue
        told = isinstance(word, OrderReplaced)
        proven = before.replacing is not None and before.order.quantity < working.filled <= before.replacing.quantity
        expected = word.quantity if isinstance(word, OrderReplaced) else asked if proven else before.order.quantity
        assert working.order.quantity == expected
        answered = isinstance(word, OrderReplaceRejected) or (told and working.order.quantity == asked) or proven
        ended = working.state in TERMINAL
        assert (working.replacing is None) == (before.replacing is None or answered or ended)
        assert working.filled >= before.filled
        if working.state is OrderState.PENDING_REPLACE:
            assert isinstance(word, OrderReplacing) or before.state is OrderState.PENDING_REPLACE
            assert not answered
        assert ended or working.leaves > 0, "an order that is full is not open"
        if before.state in TERMINAL:
            assert working.state is before.state, "what ended stays ended"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=12), st.sampled_from(STARTS))
def test_an_order_has_filled_what_the_last_revisions_say(told: list[tuple[int, int]], start: OrderState) -> None:
    """Each report is (execution, units): the first of an execution books it, each later one corrects it."""
    working, booked = make.working(ORDER, start), dict[int, Fill]()
    for revision, (execution, quantity) in enumerate(told, 1):
        event = make.filled(ORDER, exec_id=str(execution), quantity=quantity, revision=revision)
        before, result = working, transition(working, event, booked.get(execution))
        booked[execution], working = event.fill, result.working
        assert working.filled == sum(fill.quantity for fill in booked.values())
        assert (result.alarm is Alarm.OVERFILL) == (working.filled > 100)
        if before.state in TERMINAL:
            assert working.state is before.state, "what ended stays ended"
        elif working.filled >= 100:
            assert working.state is OrderState.FILLED
        else:
            assert working.state is (OrderState.PARTIALLY_FILLED if working.filled else OrderState.ACCEPTED)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_fills_up_to_the_quantity_are_exactly_one_filled_order(quantities: list[int]) -> None:
    working, bought = make.working(ORDER, OrderState.ACCEPTED), 0
    for quantity in quantities:
        bought += quantity
        result = transition(working, make.filled(ORDER, quantity=quantity))
        working = result.working
        assert working.filled == bought
        assert working.state is (OrderState.FILLED if bought >= 100 else OrderState.PARTIALLY_FILLED)
        assert (result.alarm is Alarm.OVERFILL) == (bought > 100)
