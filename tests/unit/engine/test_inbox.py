"""What waits for the runner."""

import asyncio

from robotrader.engine.inbox import Inbox
from robotrader.ports import Arrival, BrokerMessage, TimeAdvanced


def message(n: int) -> BrokerMessage:
    return BrokerMessage(name="orderStatus", fields={"n": n})


def taken(*arrivals: Arrival) -> list[Arrival]:
    inbox = Inbox()
    for arrival in arrivals:
        inbox.put(arrival)
    return asyncio.run(inbox.take())


def test_time_that_waits_is_overtaken_by_later_time() -> None:
    assert taken(*(TimeAdvanced(ts=n) for n in range(10_000))) == [TimeAdvanced(ts=9_999)]


def test_messages_wait_in_full_and_time_never_passes_them() -> None:
    first, second = message(1), message(2)
    found = taken(TimeAdvanced(ts=1), TimeAdvanced(ts=2), first, second, TimeAdvanced(ts=3), first, TimeAdvanced(ts=4))
    assert found == [TimeAdvanced(ts=2), first, second, TimeAdvanced(ts=3), first, TimeAdvanced(ts=4)]


def test_the_end_of_a_replay_is_never_overtaken() -> None:
    end = TimeAdvanced(ts=2, ended=True)
    assert taken(TimeAdvanced(ts=1), end, TimeAdvanced(ts=3)) == [end, TimeAdvanced(ts=3)]


def test_taking_waits_until_something_is_there_or_somebody_wakes_it() -> None:
    async def test() -> None:
        inbox = Inbox()
        waiting = asyncio.create_task(inbox.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.put(message(1))
        inbox.put(message(2))
        assert await waiting == [message(1), message(2)]
        assert len(inbox) == 0
        inbox.wake()
        assert await inbox.take() == []

    asyncio.run(test())
