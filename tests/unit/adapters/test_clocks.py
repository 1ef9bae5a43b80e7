"""The runner's clocks never go back, and a standing clock asks once."""

import time

import pytest

from robotrader.adapters.clocks import BrokerClock, SystemClock
from robotrader.model import ConnectionLost
from robotrader.ports import Clock


def test_broker_time_moves_only_forward_and_only_by_messages() -> None:
    clock = BrokerClock(lambda: None, start=5)
    assert clock.now() == 5
    for ts, now in ((7, 7), (6, 7), (7, 7), (8, 8)):
        clock.advance(ts)
        assert clock.now() == now


def test_one_question_is_open_at_a_time() -> None:
    asked: list[int] = []
    clock = BrokerClock(lambda: asked.append(1))
    clock.pull()
    clock.pull()
    assert len(asked) == 1
    clock.advance(1)
    clock.pull()
    assert len(asked) == 2
    clock.advance(1)  # an answer that moves nothing is an answer
    clock.pull()
    assert len(asked) == 3
    clock.reconnected()
    clock.pull()
    assert len(asked) == 4


def test_a_question_that_could_not_be_sent_is_asked_again() -> None:
    outcomes = iter([ConnectionLost("gone"), None])

    def ask() -> None:
        if error := next(outcomes):
            raise error

    clock = BrokerClock(ask)
    with pytest.raises(ConnectionLost):
        clock.pull()
    clock.pull()
    assert next(outcomes, "asked twice") == "asked twice"


def test_an_answer_within_the_question_is_seen() -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        clock.advance(len(asked))

    clock = BrokerClock(ask)
    clock.pull()
    clock.pull()
    assert clock.now() == 2


def test_system_time_is_monotonic() -> None:
    source = iter([10, 8, 12])
    clock = SystemClock(lambda: next(source))
    assert [clock.now(), clock.now(), clock.now()] == [10, 10, 12]
    clock.pull()


def test_the_system_clock_does_not_fall_behind_what_it_was_told() -> None:
    clock = SystemClock(lambda: 10)
    clock.advance(15)
    assert clock.now() == 15
    before = time.time_ns()
    assert before <= SystemClock().now() <= time.time_ns()


def test_both_are_clocks() -> None:
    clocks: list[Clock] = [BrokerClock(lambda: None), SystemClock()]
    assert len(clocks) == 2
