"""Cancels overtake everything but their own order; on the system clock the rate stays below IBKR's limit."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from robotrader.adapters.ibkr.sending import SendQueue
from tests.virtual.loop import run


def test_in_lock_step_everything_leaves_at_once_and_in_order() -> None:
    sent: list[int] = []
    queue = SendQueue(shaped=False)
    for n in range(500):
        queue.put(partial(sent.append, n))
    assert sent == list(range(500))
    assert len(queue) == 0


def test_what_a_message_queues_leaves_after_it_and_after_what_waited_before() -> None:
    async def scenario() -> list[str]:
        sent: list[str] = []
        queue = SendQueue(shaped=True)

        def begin_anew() -> None:
            queue.put(partial(sent.append, "a part of it"))
            sent.append("the whole of it")

        for _ in range(4):
            queue.put(partial(sent.append, "before"))
        queue.put(begin_anew)
        queue.put(partial(sent.append, "next"))
        await _sent(queue, sent, 7)
        return sent

    assert run(lambda _: scenario())[4:] == ["the whole of it", "next", "a part of it"]


def test_a_cancel_overtakes_what_waits() -> None:
    async def scenario() -> list[str]:
        sent: list[str] = []
        queue = SendQueue(shaped=True)
        for n in range(10):
            queue.put(partial(sent.append, f"place {n}"), order_id=n)
        queue.put_first(partial(sent.append, "cancel 1"), order_id=1)
        await _sent(queue, sent, 11)
        return sent

    sent = run(lambda _: scenario())
    assert sent[:5] == ["place 0", "place 1", "place 2", "place 3", "cancel 1"]  # four had left before


def test_a_cancel_does_not_overtake_its_own_order() -> None:
    async def scenario() -> list[str]:
        sent: list[str] = []
        queue = SendQueue(shaped=True)
        for n in range(10):
            queue.put(partial(sent.append, f"place {n}"), order_id=n)
        queue.put_first(partial(sent.append, "cancel 9"), order_id=9)
        await _sent(queue, sent, 11)
        return sent

    assert run(lambda _: scenario())[4:6] == ["place 9", "cancel 9"]


def test_at_most_four_messages_leave_in_a_slice() -> None:
    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        queue = SendQueue(shaped=True)
        for _ in range(12):
            queue.put(lambda: times.append(loop.time()))
        await _sent(queue, times, 12)
        return times

    times = run(lambda _: scenario())
    assert [later - earlier for earlier, later in pairwise(times[::4])] == pytest.approx([0.1, 0.1])
    assert times[3] == times[0]


def test_withdrawn_orders_never_leave_but_all_else_does() -> None:
    async def scenario() -> tuple[list[int], list[str]]:
        sent: list[str] = []
        queue = SendQueue(shaped=True)
        for n in range(8):
            queue.put(partial(sent.append, f"place {n}"), order_id=n)
            queue.put(partial(sent.append, f"ask {n}"))
        queue.put_first(partial(sent.append, "cancel 7"), order_id=7)
        withdrawn = queue.withdraw()
        await _sent(queue, sent, 11)
        return withdrawn, sent

    withdrawn, sent = run(lambda _: scenario())
    assert withdrawn == [7, 2, 3, 4, 5, 6]  # the cancel had drawn its order forward
    assert sent[4:] == ["cancel 7", *(f"ask {n}" for n in range(2, 8))]


def test_what_has_not_left_is_dropped_when_the_link_is_lost() -> None:
    async def scenario() -> tuple[list[int], int]:
        queue = SendQueue(shaped=True)
        for n in range(10):
            queue.put(lambda: None, order_id=n if n % 2 else None)
        return queue.clear(), len(queue)

    assert run(lambda _: scenario()) == ([5, 7, 9], 0)


async def _sent(queue: SendQueue, sent: list[str] | list[float], count: int) -> None:
    """Wait until the queue is empty: the last message to be sent resolves a future."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    finish: Callable[[], None] = partial(done.set_result, None)
    queue.put(finish)
    await asyncio.wait_for(done, 5)
    assert len(sent) == count
