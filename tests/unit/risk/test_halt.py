"""Trading states by scope."""

import itertools

import pytest

from robotrader.model import TradingState
from robotrader.risk.halt import GLOBAL, TradingStates
from tests import builders as make

SCOPES = (GLOBAL, (make.TREND, None), (None, make.SPY.id), (make.TREND, make.SPY.id))


def test_nothing_said_is_active() -> None:
    assert TradingStates().effective(make.TREND, make.SPY.id) == (TradingState.ACTIVE, "")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("state", [s for s in TradingState if s is not TradingState.ACTIVE])
def test_any_scope_that_touches_an_order_can_stop_it(scope: tuple[None, None], state: TradingState) -> None:
    states = TradingStates()
    assert states.set(scope, state, "because")
    assert states.effective(make.TREND, make.SPY.id) == (state, "because")


def test_a_scope_stops_only_what_it_touches() -> None:
    states = TradingStates()
    states.set((make.TREND, make.SPY.id), TradingState.HALTED, "only here")
    assert states.effective(make.TREND, make.QQQ.id)[0] is TradingState.ACTIVE
    assert states.of(GLOBAL)[0] is TradingState.ACTIVE


def test_the_worst_scope_decides() -> None:
    for first, second in itertools.permutations(SCOPES, 2):
        states = TradingStates()
        states.set(first, TradingState.REDUCING, "reduce")
        states.set(second, TradingState.HALTED, "halt")
        assert states.effective(make.TREND, make.SPY.id) == (TradingState.HALTED, "halt")


def test_saying_the_same_again_changes_nothing() -> None:
    states = TradingStates()
    assert not states.set(GLOBAL, TradingState.ACTIVE, "")
    assert states.set(GLOBAL, TradingState.HALTED, "first")
    assert not states.set(GLOBAL, TradingState.HALTED, "second")
    assert states.of(GLOBAL) == (TradingState.HALTED, "first")


def test_severity_orders_the_states_from_free_to_closed() -> None:
    assert [s.severity for s in TradingState] == [0, 1, 2, 3]


def test_entries_are_all_scopes_that_were_ever_set_in_order() -> None:
    states = TradingStates()
    assert states.entries() == []
    states.set((make.TREND, make.SPY.id), TradingState.HALTED, "b")
    states.set((None, None), TradingState.REDUCING, "a")
    states.set((None, None), TradingState.ACTIVE, "well again")
    assert states.entries() == [
        ("", "", TradingState.ACTIVE, "well again"), (make.TREND, make.SPY.id, TradingState.HALTED, "b"),
    ]  # fmt: skip
