"""Questions for history never break a window, never wait without need, and give way when refused."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.ibkr.pacing import HistoryGate, HistoryRequest, Sent, earliest
from robotrader.model import PacingLimit
from tests.virtual.loop import VirtualLoop, run

REQUESTS = st.builds(
    HistoryRequest,
    st.sampled_from(["AAPL@SMART", "SPY@SMART", "MSFT@SMART"]),
    st.sampled_from(["TRADES", "BID_ASK"]),
    st.integers(0, 40).map(str),
)


def broken(sent: list[Sent]) -> list[str]:
    """Return the limits that are broken, each counted anew for every request."""
    found = []
    for at, request in sent:
        before = [(t, r) for t, r in sent if t <= at]
        counts = {
            "60 in ten minutes": sum(1 + (r.what == "BID_ASK") for t, r in before if t > at - 600) > 60,
            "identical in 15 s": sum(r == request for t, r in before if t > at - 15) > 1,
            "6 of one contract in 2 s": sum(
                1 + (r.what == "BID_ASK")
                for t, r in before
                if t > at - 2 and (r.contract, r.what) == (request.contract, request.what)
            )
            >= 6,
        }
        found += [name for name, is_broken in counts.items() if is_broken]
    return found


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0, 15.0, 100.0]), REQUESTS), max_size=150))
def test_no_sequence_breaks_a_window_and_no_request_waits_without_need(
    drawn: list[tuple[float, HistoryRequest]],
) -> None:
    sent: list[Sent] = []
    now = 0.0
    for gap, request in drawn:
        now += gap
        at = earliest(request, now, sent)
        if at - 0.3 >= now:  # a margin apart, it could not have been put before
            assert broken([*sent, (at - 0.3, request)])
        now = at
        sent.append((at, request))
    assert broken(sent) == []


def test_the_checker_sees_each_broken_window() -> None:
    many = [HistoryRequest(f"S{n}", "TRADES") for n in range(61)]
    assert "60 in ten minutes" in broken([(float(n), r) for n, r in enumerate(many)])
    assert "60 in ten minutes" not in broken([(float(n), r) for n, r in enumerate(many[:60])])
    assert "identical in 15 s" in broken([(0.0, many[0]), (14.9, many[0])])
    same = [HistoryRequest("S", "TRADES", str(n)) for n in range(6)]
    assert "6 of one contract in 2 s" in broken([(0.1 * n, r) for n, r in enumerate(same)])


def test_the_gate_lets_through_as_the_windows_allow_and_all_in_time() -> None:
    times: list[Sent] = []

    async def body(loop: VirtualLoop) -> None:
        gate = HistoryGate(paced=True)

        async def one(request: HistoryRequest) -> None:
            async def question() -> None:
                times.append((loop.time(), request))

            await gate.ask(request, question)

        await asyncio.gather(*(one(HistoryRequest(f"S{n}", "TRADES")) for n in range(150)))

    run(body)
    assert len(times) == 150
    assert broken(times) == []
    assert times[59][0] == 0.0
    assert 1200 < times[-1][0] < 1202


def test_the_gate_remembers_for_ten_minutes() -> None:
    times: list[Sent] = []

    async def body(loop: VirtualLoop) -> None:
        gate = HistoryGate(paced=True)
        for n in range(160):
            request = HistoryRequest(f"S{n}", "TRADES")

            async def question(request: HistoryRequest = request) -> None:
                times.append((loop.time(), request))

            await gate.ask(request, question)
            await asyncio.sleep(8)

    run(body)
    assert broken(times) == []
    assert times[60][0] == pytest.approx(600.2)


def test_at_most_fifty_are_open() -> None:
    async def body(loop: VirtualLoop) -> int:
        gate, under_way, most = HistoryGate(paced=False), 0, 0

        async def question() -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(1)
            under_way -= 1

        await asyncio.gather(*(gate.ask(HistoryRequest("S", "TRADES"), question) for _ in range(120)))
        assert loop.time() == 3.0  # nothing else waits in lock-step
        return most

    assert run(body) == 50


def test_a_refusal_makes_everything_wait_ever_longer_and_the_fourth_is_final() -> None:
    asked: list[tuple[str, float]] = []

    async def body(loop: VirtualLoop) -> None:
        gate = HistoryGate(paced=True)

        async def refused() -> None:
            asked.append(("refused", loop.time()))
            raise PacingLimit("the gateway answered 162: pacing violation")

        async def answered() -> None:
            asked.append(("answered", loop.time()))

        first = asyncio.ensure_future(gate.ask(HistoryRequest("S", "TRADES"), refused))
        await asyncio.sleep(1)
        await gate.ask(HistoryRequest("T", "TRADES"), answered)
        with pytest.raises(PacingLimit):
            await first

    run(body)
    times = [t for name, t in asked if name == "refused"]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([15.2, 30, 60], abs=0.21)
    assert [t for name, t in asked if name == "answered"] == [15.0]


def test_in_lock_step_a_refusal_is_final_at_once() -> None:
    async def body(loop: VirtualLoop) -> None:
        async def refused() -> None:
            raise PacingLimit("pacing violation")

        with pytest.raises(PacingLimit):
            await HistoryGate(paced=False).ask(HistoryRequest("S", "TRADES"), refused)
        assert loop.time() == 0.0

    run(body)
