"""The order state machine against the table of the design, cell by cell."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import pytest
from msgspec import structs

from robotrader.execution.lifecycle import OPEN, TABLE, TERMINAL, Alarm, Transition, Trigger, transition
from robotrader.model import (
    AnyEvent,
    InvariantViolation,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
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

S, T = OrderState, Trigger

COLUMNS = (
    "send", "ack", "fill_part", "fill_full", "cancel_request", "cancel", "reject", "expire", "hold", "void", "correct",
    "replace_request", "replace", "replace_reject",
)  # fmt: skip

# The design's table; `-` is illegal. Its rows for Draft and Denied have no transitions; AUTHORIZED is its Authorised.
# Not in the vocabulary: a refused cancel (the design's "cancel-reject"; the broker refusing the order itself ends it in
# PENDING_CANCEL too). The design leaves open on which terms an acknowledged PENDING_REPLACE works: new terms or a
# refusal say it, an acknowledgement alone does not. Terms can change without our asking, with an entry or an OCA group.
DOCUMENTED = """
NEW              -       -        -        -        -              -        -        -       -         -      -       -               -        -
AUTHORIZED       SENDING -        -        -        -              -        -        -       -         VOIDED -       -               -        -
SENDING          -       ACCEPTED PARTIAL  FILLED   PENDING_CANCEL CANCELED REJECTED EXPIRED SUSPENDED VOIDED -       -               same     same
ACCEPTED         -       same     PARTIAL  FILLED   PENDING_CANCEL CANCELED REJECTED EXPIRED SUSPENDED -      PARTIAL PENDING_REPLACE same     same
PARTIALLY_FILLED -       same     same     FILLED   PENDING_CANCEL CANCELED same!    EXPIRED SUSPENDED -      same    PENDING_REPLACE same     same
PENDING_CANCEL   -       same     same     FILLED   same           CANCELED REJECTED EXPIRED same      -      same    -               same     same
PENDING_REPLACE  -       same     same     FILLED   PENDING_CANCEL CANCELED REJECTED EXPIRED same      -      same    -               ACCEPTED ACCEPTED
SUSPENDED        -       ACCEPTED PARTIAL  FILLED   PENDING_CANCEL CANCELED REJECTED EXPIRED same      -      same    -               same     same
CANCELED         -       same!    same!    same!    same           same     same     same    same      same   same!   -               same     same
EXPIRED          -       same!    same!    same!    same           same     same     same    same      same   same!   -               same     same
REJECTED         -       same!    same!    same!    same           same     same     same    same      same   same!   -               same     same
VOIDED           -       same!    same!    same!    same           same     same     same    same      same   same!   -               same     same
FILLED           -       same     same!    same!    same           same     same     same    same      -      same!   -               same     same
DENIED           -       -        -        -        -              -        -        -       -         -      -       -               -        -
"""  # noqa: E501 - a table

ORDER = make.order(quantity=100)
HELD = 30
"""Units filled before, in the states that have some."""
FILLED_BEFORE = {S.PARTIALLY_FILLED: HELD, S.FILLED: 100}


class Cell(NamedTuple):
    state: OrderState
    column: str
    expected: str


def cells() -> Iterator[Cell]:
    for line in DOCUMENTED.strip().splitlines():
        name, *row = line.split()
        assert len(row) == len(COLUMNS)
        for column, expected in zip(COLUMNS, row, strict=True):
            yield Cell(S(name), column, expected.replace("PARTIAL", "PARTIALLY_FILLED"))


def happen(before: WorkingOrder, column: str) -> Transition:
    """Let a column happen; the correction is of a bust back to 10 units, or of 10 units less than were counted."""
    if column != "correct":
        return transition(before, event_of(column, before.filled))
    old, new = (20, 10) if before.filled else (0, 10)
    return corrected(before, old, new)


def corrected(before: WorkingOrder, old: int, new: int) -> Transition:
    """Correct one execution from `old` to `new` units."""
    told = make.filled(ORDER, quantity=new, revision=2, price="99.00")
    return transition(before, told, make.filled(ORDER, quantity=old).fill)


def event_of(column: str, filled: int = 0) -> AnyEvent:
    key = {"ts_event": 5, "ts_init": 5, "order_id": ORDER.id}
    fills = {"fill_part": 10, "fill_full": max(100 - filled, 1)}
    if column in fills:
        return make.filled(ORDER, quantity=fills[column])
    events: dict[str, AnyEvent] = {
        "send": OrderSending(**key, epoch=1, broker_order_id=3),  # type: ignore[arg-type]
        "ack": OrderAccepted(**key, perm_id=7),  # type: ignore[arg-type]
        "cancel_request": OrderPendingCancel(**key),  # type: ignore[arg-type]
        "cancel": OrderCanceled(**key, reason="by request"),  # type: ignore[arg-type]
        "reject": OrderRejected(**key, code=201, reason="no"),  # type: ignore[arg-type]
        "expire": OrderExpired(**key),  # type: ignore[arg-type]
        "hold": OrderSuspended(**key, reason="locate"),  # type: ignore[arg-type]
        "replace_request": OrderReplacing(**key, epoch=1),  # type: ignore[arg-type]
        "replace": OrderReplaced(**key, quantity=100),  # type: ignore[arg-type]
        "replace_reject": OrderReplaceRejected(**key, reason="no"),  # type: ignore[arg-type]
        "void": OrderVoided(**key, proven=True, reason="never sent"),  # type: ignore[arg-type]
    }
    return events[column]


@pytest.mark.parametrize("cell", [c for c in cells() if c.expected != "-"], ids=lambda c: f"{c.state}-{c.column}")
def test_each_documented_transition_leads_where_the_design_says(cell: Cell) -> None:
    before = make.working(ORDER, cell.state, filled=FILLED_BEFORE.get(cell.state, 0))
    result = happen(before, cell.column)
    expected = cell.state if cell.expected.startswith("same") else S(cell.expected)
    assert result.working.state is expected
    assert (result.alarm is not None) == cell.expected.endswith("!"), f"alarm: {result.alarm}"


@pytest.mark.parametrize("cell", [c for c in cells() if c.expected == "-"], ids=lambda c: f"{c.state}-{c.column}")
def test_what_the_design_calls_illegal_breaks_an_invariant(cell: Cell) -> None:
    before = make.working(ORDER, cell.state, filled=FILLED_BEFORE.get(cell.state, 0))
    with pytest.raises(InvariantViolation, match=f"not possible in {cell.state}"):
        happen(before, cell.column)


def test_every_state_has_a_row_here_and_in_the_code() -> None:
    assert {c.state for c in cells()} == set(OrderState) == set(TABLE)


def test_every_state_but_new_is_either_open_or_terminal() -> None:
    assert set(OrderState) == OPEN | TERMINAL | {S.NEW}
    assert not OPEN & TERMINAL


def test_what_was_proven_unsent_cannot_be_an_order_the_broker_works() -> None:
    with pytest.raises(InvariantViolation):
        transition(make.working(ORDER, S.ACCEPTED), event_of("void"))


def test_a_late_acknowledgement_of_a_finished_order_is_a_zombie() -> None:
    for state in (S.CANCELED, S.EXPIRED, S.REJECTED, S.VOIDED):
        assert transition(make.working(ORDER, state), event_of("ack")).alarm is Alarm.ZOMBIE


def test_a_late_fill_counts_and_alarms() -> None:
    for state in (S.CANCELED, S.EXPIRED, S.REJECTED, S.VOIDED):
        result = transition(make.working(ORDER, state, filled=HELD), event_of("fill_part"))
        assert (result.working.filled, result.alarm) == (HELD + 10, Alarm.LATE_FILL)


def test_a_fill_beyond_the_quantity_is_an_overfill_in_every_state_that_can_fill() -> None:
    for state in (S.SENDING, S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.SUSPENDED, S.FILLED, S.CANCELED):
        result = transition(make.working(ORDER, state, filled=95), event_of("fill_part"))
        assert (result.working.filled, result.alarm) == (105, Alarm.OVERFILL)
        assert result.working.leaves == -5


def test_an_order_that_is_exactly_full_is_no_overfill() -> None:
    result = transition(make.working(ORDER, S.PARTIALLY_FILLED, filled=90), event_of("fill_part"))
    assert (result.working.state, result.alarm) == (S.FILLED, None)


def test_a_refusal_after_a_partial_fill_is_heard_and_changes_nothing() -> None:
    result = transition(make.working(ORDER, S.PARTIALLY_FILLED, filled=HELD), event_of("reject"))
    assert (result.working.state, result.alarm) == (S.PARTIALLY_FILLED, Alarm.LATE_REJECT)


def test_an_order_that_had_fills_comes_back_from_suspension_partially_filled() -> None:
    back = transition(make.working(ORDER, S.SUSPENDED, filled=HELD), event_of("ack"))
    assert back.working.state is S.PARTIALLY_FILLED


def test_a_correction_recomputes_what_is_filled_and_says_why() -> None:
    result = corrected(make.working(ORDER, S.PARTIALLY_FILLED, filled=50), 30, 20).working
    assert (result.state, result.filled) == (S.PARTIALLY_FILLED, 40)
    assert result.reason == "execution 0001 was corrected (revision 2): 20 at 99.00, before 30 at 100.50"


def test_a_bust_of_all_that_was_filled_leaves_an_open_order_untouched() -> None:
    assert corrected(make.working(ORDER, S.PARTIALLY_FILLED, filled=50), 50, 0).working.state is S.ACCEPTED
    assert transition(make.working(ORDER, S.SENDING), make.filled(ORDER, quantity=0)).working.state is S.ACCEPTED


def test_a_correction_can_fill_an_open_order_and_overfill_it() -> None:
    full = corrected(make.working(ORDER, S.PENDING_CANCEL, filled=90), 10, 20)
    assert (full.working.state, full.alarm) == (S.FILLED, None)
    assert corrected(make.working(ORDER, S.PARTIALLY_FILLED, filled=90), 10, 30).alarm is Alarm.OVERFILL


def test_an_order_that_ended_stays_ended_with_what_its_corrected_executions_say() -> None:
    for state in TERMINAL - {S.DENIED}:
        result = corrected(make.working(ORDER, state, filled=100), 100, 60)
        assert (result.working.state, result.working.filled) == (state, 60)
        assert result.alarm is Alarm.LATE_CORRECTION


def test_a_correction_settles_no_unknown_outcome() -> None:
    unknown = make.working(ORDER, S.PARTIALLY_FILLED, filled=50, unresolved=True)
    assert corrected(unknown, 50, 40).working.unresolved


def test_a_canceled_order_keeps_its_fills() -> None:
    result = transition(make.working(ORDER, S.PENDING_CANCEL, filled=HELD), event_of("cancel"))
    assert (result.working.state, result.working.filled) == (S.CANCELED, HELD)


def test_an_unknown_outcome_stands_beside_the_last_known_state_until_the_broker_speaks() -> None:
    unknown = OrderUnresolved(ts_event=5, ts_init=5, order_id=ORDER.id, reason="no answer")
    lost = transition(make.working(ORDER, S.SENDING), unknown).working
    assert (lost.state, lost.unresolved, lost.reason) == (S.SENDING, True, "no answer")
    for column in ("ack", "fill_part", "cancel", "reject", "expire", "void"):
        assert not transition(lost, event_of(column)).working.unresolved


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_became_of_a_finished_order_is_known(state: OrderState) -> None:
    unknown = OrderUnresolved(ts_event=5, ts_init=5, order_id=ORDER.id, reason="error 999")
    assert transition(make.working(ORDER, state), unknown).working == make.working(ORDER, state)


def test_an_order_carries_what_the_broker_called_it_and_why_it_ended() -> None:
    sent = transition(make.working(ORDER), event_of("send")).working
    assert sent.broker_order_id == 3
    seen = transition(sent, event_of("ack")).working
    again = transition(seen, event_of("ack")).working
    other = transition(again, make.accepted(ORDER.id, perm_id=8)).working
    assert (seen.perm_ids, again.perm_ids, other.perm_ids) == ((7,), (7,), (7, 8))
    assert transition(sent, event_of("reject")).working.reason == "201: no"
    assert transition(seen, event_of("cancel")).working.reason == "by request"
    assert transition(sent, event_of("void")).working.reason == "never sent"


def test_a_fill_beyond_the_old_terms_proves_a_change_that_nobody_answered() -> None:
    asked = structs.replace(ORDER, quantity=3 * ORDER.quantity)
    changing = structs.replace(make.working(ORDER, S.PENDING_REPLACE), replacing=asked)
    part, whole, beyond = (
        transition(changing, make.filled(ORDER, quantity=n * ORDER.quantity)) for n in (2, 3, 4)
    )  # fmt: skip
    assert [(r.working.state, r.working.order, r.working.replacing, r.alarm) for r in (part, whole)] == [
        (S.PARTIALLY_FILLED, asked, None, None), (S.FILLED, asked, None, None),
    ]  # fmt: skip
    assert (beyond.working.order, beyond.alarm) == (ORDER, Alarm.OVERFILL)


def test_our_own_cancel_tells_nothing_of_an_order_whose_outcome_is_unknown() -> None:
    lost = make.working(ORDER, S.ACCEPTED, unresolved=True)
    asked = transition(lost, event_of("cancel_request")).working
    assert (asked.state, asked.unresolved) == (S.PENDING_CANCEL, True)


def changing() -> WorkingOrder:
    """Make an order for which 150 at 101.00 were asked and not answered."""
    asked = structs.replace(ORDER, quantity=150, limit_price=Decimal("101.00"))
    return structs.replace(make.working(ORDER, S.PENDING_REPLACE), replacing=asked)


def told(quantity: int, limit: str | None = None, stop: str | None = None) -> OrderReplaced:
    """Make the broker's word on an order's terms."""
    return OrderReplaced(ts_event=5, ts_init=5, order_id=ORDER.id, quantity=quantity,
                         limit_price=Decimal(limit) if limit else None,
                         stop_price=Decimal(stop) if stop else None)  # fmt: skip


def test_an_order_works_on_all_the_terms_that_the_broker_told() -> None:
    order = transition(make.working(ORDER, S.ACCEPTED), told(80, "99.50", "98.25")).working.order
    assert (order.quantity, order.limit_price, order.stop_price) == (80, Decimal("99.50"), Decimal("98.25"))


def test_terms_other_than_those_asked_for_leave_the_change_open() -> None:
    between = transition(changing(), told(120, "101.00")).working
    assert (between.state, between.order.quantity) == (S.PENDING_REPLACE, 120)
    assert between.replacing is not None
    answered = transition(between, told(150, "101.00")).working
    assert (answered.state, answered.order.quantity, answered.replacing) == (S.ACCEPTED, 150, None)


def test_a_fill_of_exactly_the_old_quantity_proves_no_change() -> None:
    full = transition(changing(), make.filled(ORDER, quantity=100)).working
    assert (full.state, full.order, full.replacing) == (S.FILLED, ORDER, None)


def test_a_second_perm_id_alarms_and_so_does_a_third_but_not_the_first() -> None:
    working, alarms = make.working(ORDER, S.SENDING), []
    for perm_id in (7, 7, 8, 8, 9):
        result = transition(working, make.accepted(ORDER.id, perm_id=perm_id))
        working = result.working
        alarms.append(result.alarm)
    assert alarms == [None, None, Alarm.SECOND_PERM_ID, None, Alarm.SECOND_PERM_ID]


def test_an_illegal_transition_names_the_order() -> None:
    with pytest.raises(InvariantViolation) as illegal:
        transition(make.working(ORDER, S.DENIED), event_of("ack"))
    assert illegal.value.context == {"order_id": ORDER.id}
