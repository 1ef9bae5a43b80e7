"""One formatter: absent is a word, zero is a number, a loss has a true minus sign."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from robotrader.web import formatting as f

DECIMALS = st.decimals(min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=6)


def test_absent_is_said_in_words_and_zero_is_a_number() -> None:
    for text in (
        f.number(None),
        f.money(None, "USD"),
        f.price(None),
        f.percent(None),
        f.moment(None),
        f.duration(None),
    ):
        assert text == "not available"
    assert f.money(Decimal(0), "USD", signed=True) == "0.00 USD"
    assert f.tone(Decimal(0)) == f.tone(None) == ""


def test_a_sign_is_always_written_out() -> None:
    assert f.money(Decimal("1234567.891"), "USD", signed=True) == "+1,234,567.89 USD"
    assert f.money(Decimal("-0.5"), "USD") == "\N{MINUS SIGN}0.50 USD"
    assert f.number(Decimal("-0.004"), places=2, signed=True) == "0.00"  # no loss where nothing is shown
    assert f.percent(Decimal("0.0067")) == "+0.67 %"
    assert (f.tone(Decimal("0.01")), f.tone(Decimal("-0.01"))) == ("gain", "loss")


def test_prices_keep_two_to_four_decimals() -> None:
    assert f.price(Decimal("26.630000")) == "26.63"
    assert f.price(Decimal(1000)) == "1,000.00"
    assert f.price(Decimal("431.871428")) == "431.8714"


def test_durations_read_in_two_units() -> None:
    seconds = (0, 37, 60, 3_725, 4 * 3_600, 2 * 86_400 + 4 * 3_600, -5)
    assert [f.duration(s) for s in seconds] == ["0 s", "37 s", "1 min", "1 h 2 min", "4 h", "2 d 4 h", "0 s"]


@given(DECIMALS)
def test_a_written_number_reads_back_to_the_cent(value: Decimal) -> None:
    text = f.number(value, places=2, signed=True)
    assert Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) == value.quantize(Decimal("0.01"))


@given(st.integers(min_value=0, max_value=2**62))
def test_times_keep_their_microseconds(ns: int) -> None:
    at = f.utc(ns)
    assert round(at.timestamp() * 1_000_000) == ns // 1000 or abs(at.timestamp() - ns / 1e9) < 1e-3
    assert at.utcoffset() is not None
