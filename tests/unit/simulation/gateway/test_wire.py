"""Frames and fields survive the wire exactly, whatever the network does to them."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.simulation.gateway.wire import (
    HELLO,
    Fields,
    FrameBuffer,
    Malformed,
    day,
    escaped,
    fields_frame,
    negotiate,
    split,
    stamp,
    text,
)

values = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.integers(-(2**53), 2**53), st.booleans(), st.floats(allow_nan=False), st.none(),
)  # fmt: skip


@given(st.lists(st.lists(values, max_size=8), max_size=5), st.integers(1, 9))
def test_frames_come_out_as_they_went_in_however_they_are_cut(messages: list[list[object]], step: int) -> None:
    stream = HELLO + b"".join(fields_frame(*message) for message in messages)
    buffer, opened, found = FrameBuffer(), False, []
    for at in range(0, len(stream), step):
        buffer.feed(stream[at : at + step])
        opened = opened or buffer.hello()
        if opened:
            found += [split(body) for body in buffer.frames()]
    assert found == [[text(v) for v in message] for message in messages]


@given(st.floats(allow_nan=False))
def test_floats_are_exact(value: float) -> None:
    assert float(text(value)) == value


def test_values_as_text() -> None:
    assert [text(v) for v in (None, True, False, 7, 1e6, Decimal("1E+2"), math.nan, math.inf)] == [
        "", "1", "0", "7", "1000000.0", "100", "", "Infinity",
    ]  # fmt: skip
    assert escaped("café €") == "caf\\u00e9 \\u20ac"


@pytest.mark.parametrize(
    "unset", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647", "9223372036854775807"]
)
def test_every_form_of_unset_reads_as_none(unset: str) -> None:
    assert Fields([unset]).integer() is None
    assert Fields([unset]).decimal() is None
    with pytest.raises(Malformed, match="missing"):
        Fields([unset]).required()


@pytest.mark.parametrize("bad", ["x", "1.5", "9" * 19, "1_000", "٣"])
def test_what_is_no_whole_number_is_malformed(bad: str) -> None:
    with pytest.raises(Malformed):
        Fields([bad]).integer()


@pytest.mark.parametrize("bad", ["x", "NaN", "Infinity", "1E+99999999", "1e-40"])
def test_what_is_no_quantity_or_price_is_malformed(bad: str) -> None:
    with pytest.raises(Malformed):
        Fields([bad]).decimal()


def test_fields_are_read_in_order_and_end() -> None:
    fields = Fields(["a", "b", "1", "2.50"])
    assert fields.text() == "a"
    fields.skip()
    assert (fields.flag(), fields.decimal()) == (True, Decimal("2.50"))
    with pytest.raises(Malformed, match="field 5 is missing"):
        fields.text()


@pytest.mark.parametrize(
    ("greeting", "server", "version"),
    [("v100..178", 200, 178), ("v157..200 +PACEAPI", 178, 178), ("v100..226", 200, 200), ("v157", 200, 157)],
)
def test_the_lower_version_is_spoken(greeting: str, server: int, version: int) -> None:
    assert negotiate(greeting, server) == version


@pytest.mark.parametrize("greeting", ["v100..156", "v201..226", "v180..200", "hello", "v..", ""])
def test_no_common_version(greeting: str) -> None:
    with pytest.raises(Malformed):
        negotiate(greeting, 178)


def test_streams_that_are_not_the_protocol_end() -> None:
    buffer = FrameBuffer()
    buffer.feed(b"GET / HTTP/1.1")
    with pytest.raises(Malformed):
        buffer.hello()
    buffer = FrameBuffer()
    buffer.feed(b"\xff\xff\xff\xff")
    with pytest.raises(Malformed, match="length"):
        list(buffer.frames())


def test_times_carry_their_zone_from_174() -> None:
    noon = 1_776_096_000 * 10**9  # 2026-04-13 12:00 in New York
    assert stamp(noon, 174) == "20260413 12:00:00 US/Eastern"
    assert stamp(noon, 173) == "20260413  12:00:00"
    assert day(noon) == "20260413"
