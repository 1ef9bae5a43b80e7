"""Frames and fields survive the wire exactly, whatever the network does to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.simulation.gateway.wire import Malformed, fields_frame, frame, greeted, read_frame, split, stamp, text

values = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.integers(-(2**53), 2**53), st.booleans(), st.floats(allow_nan=False), st.none(),
)  # fmt: skip


def read(stream: bytes) -> list[list[str]]:
    """Return the messages of a stream that then ends."""

    async def run() -> list[list[str]]:
        reader, found = asyncio.StreamReader(), []
        reader.feed_data(stream)
        reader.feed_eof()
        with suppress(asyncio.IncompleteReadError):
            while True:
                found.append(split(await read_frame(reader)))
        return found

    return asyncio.run(run())


@given(st.lists(st.lists(values, max_size=8), max_size=5))
def test_frames_come_out_as_they_went_in(messages: list[list[object]]) -> None:
    assert read(b"".join(fields_frame(*message) for message in messages)) == [[text(v) for v in m] for m in messages]


@given(st.floats(allow_nan=False))
def test_floats_are_exact(value: float) -> None:
    assert float(text(value)) == value


def test_values_as_text() -> None:
    assert [text(v) for v in (None, True, False, 7, 1e6, Decimal("1E+2"))] == ["", "1", "0", "7", "1000000.0", "100"]


def negotiated(greeting: str, server: int) -> int:
    async def run() -> int:
        reader = asyncio.StreamReader()
        reader.feed_data(b"API\0" + frame(greeting))
        return await greeted(reader, server)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("greeting", "server", "version"),
    [("v100..178", 200, 178), ("v157..200 +PACEAPI", 178, 178), ("v100..226", 200, 200), ("v157", 200, 157)],
)
def test_the_lower_version_is_spoken(greeting: str, server: int, version: int) -> None:
    assert negotiated(greeting, server) == version


@pytest.mark.parametrize("greeting", ["v100..156", "v201..226", "v180..200", "hello", "v..", ""])
def test_no_common_version(greeting: str) -> None:
    with pytest.raises(Malformed):
        negotiated(greeting, 178)


def test_an_impossible_length_ends_the_stream() -> None:
    with pytest.raises(Malformed, match="length"):
        read(b"\xff\xff\xff\xff")


def test_times_carry_their_zone_from_174() -> None:
    noon = 1_776_096_000 * 10**9  # 2026-04-13 12:00 in New York
    assert stamp(noon, 174) == "20260413 12:00:00 US/Eastern"
    assert stamp(noon, 173) == "20260413  12:00:00"
