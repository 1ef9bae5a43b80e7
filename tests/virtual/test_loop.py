"""The virtual loop: what a scenario may rely on."""

import asyncio
from random import Random

import pytest

from tests.virtual.loop import Deadlock, VirtualLoop, run


def test_a_week_of_sleep_takes_no_time() -> None:
    async def body(loop: VirtualLoop) -> float:
        for _ in range(7):
            await asyncio.sleep(86_400)
        return loop.time()

    assert run(body) == pytest.approx(7 * 86_400)


def test_streams_talk_through_memory_and_end_in_order() -> None:
    async def body(loop: VirtualLoop) -> list[bytes]:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readexactly(4))
            writer.write(b"pong")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        heard.append(await reader.read())
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return heard

    assert run(body, latency_s=0.01) == [b"ping", b"pong"]


def test_an_abort_is_a_reset_at_the_other_end() -> None:
    async def body(loop: VirtualLoop) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, _ = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        server.close()

    run(body)


def test_waiting_for_what_cannot_happen_fails_at_once() -> None:
    async def body(loop: VirtualLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(body)


def test_many_writes_of_one_moment_arrive_in_order() -> None:
    async def body(loop: VirtualLoop) -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for number in range(200):
                writer.write(bytes([number]))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        heard = await reader.read()
        writer.close()
        server.close()
        return heard

    assert run(body, latency_s=0.01) == bytes(range(200))


def test_who_does_not_read_does_not_learn_that_the_peer_has_gone() -> None:
    async def body(loop: VirtualLoop) -> list[bytes]:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(5)
            heard.append(bytes(reader._buffer))  # type: ignore[attr-defined]
            assert not reader.at_eof()
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            heard.append(await reader.read())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"late")
        writer.close()
        await asyncio.sleep(10)
        server.close()
        return heard

    assert run(body) == [b"", b"late"]


def _orders(seed: int | None) -> list[str]:
    async def body(loop: VirtualLoop) -> list[str]:
        seen: list[str] = []

        async def task(name: str) -> None:
            await asyncio.sleep(1)
            seen.append(name)

        tasks = [loop.create_task(task(f"task {n}")) for n in range(5)]
        for n in range(5):
            loop.call_later(2, seen.append, f"call {n}")
        await asyncio.gather(*tasks)
        await asyncio.sleep(3)
        return seen

    return run(body, choice=None if seed is None else Random(seed))  # noqa: S311 - drawn, not secret


def test_ready_tasks_run_in_a_drawn_order_and_callbacks_keep_theirs() -> None:
    plain, drawn = _orders(None), _orders(1)
    assert drawn != plain
    assert sorted(drawn) == sorted(plain)
    assert [s for s in drawn if s.startswith("call")] == [s for s in plain if s.startswith("call")]
    assert _orders(1) == drawn
    assert len({tuple(_orders(n)) for n in range(10)}) > 5


def test_a_cut_resets_every_connection_behind_what_was_written() -> None:
    async def body(loop: VirtualLoop) -> bytes:
        heard = b""

        async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            nonlocal heard
            heard = await reader.readexactly(4)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            heard += b"!"

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"ping")
        loop.cut()
        writer.write(b"lost")
        await asyncio.sleep(1)
        server.close()
        return heard

    assert run(body, latency_s=0.01) == b"ping!"
