"""Nothing secret, nothing that steers a terminal, and nothing endless leaves as text."""

import math

import pytest

from robotrader.monitoring.redact import MASK, MAX_ITEMS, MAX_TEXT, clean, clean_text, is_secret, mask_account

CANARY = "c4nary-v4lue"


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "Passwd", "client_secret", "token", "access-token", "Authorization", "api_key",
     "X-API-Key", "apikey", "cookie", "private_key", "credentials"],
)  # fmt: skip
def test_secrets_are_known_by_their_key(key: str) -> None:
    assert is_secret(key)
    assert clean({key: CANARY, "other": [{key: {"deep": CANARY}}]}) == {key: MASK, "other": [{key: MASK}]}


@pytest.mark.parametrize("key", ["order_id", "symbol", "host", "quantity", "paths", "event"])
def test_other_keys_keep_their_values(key: str) -> None:
    assert clean({key: "SPY 100 @ 10.25"}) == {key: "SPY 100 @ 10.25"}


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}", f"'api_key': '{CANARY}'", f'{{"token": "{CANARY}"}}', f"Authorization: Bearer {CANARY}",
        f"bearer {CANARY}", f"postgresql://user:{CANARY}@host/db", f"secret = {CANARY};",
        f"Config(password='{CANARY} x')", f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n", f"db_password_file: {CANARY}",
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_shape(text: str) -> None:
    assert CANARY not in clean_text(f"before {text} after")
    assert clean_text(f"before {text}").startswith("before ")


def test_an_object_shows_no_secret_through_its_repr() -> None:
    class Login:
        def __repr__(self) -> str:
            return f"Login(password='{CANARY}')"

    assert CANARY not in str(clean({"login": Login(), "raw": f"token={CANARY}".encode()}))


def test_accounts_can_be_told_apart_but_not_read() -> None:
    assert clean({"account": "DU1234567"}) == {"account": "DU***67"}
    assert clean_text("account U7654321 rejected") == "account U***21 rejected"
    assert (mask_account(""), mask_account("X1")) == ("", MASK)
    assert clean({"accounts": ["DU1234567"]}) == {"accounts": ["DU***67"]}


def test_control_characters_are_gone() -> None:
    assert clean_text("a\x1b[31mb\x00c\x85d\u202ee") == "a[31mbcde"
    assert clean_text('x\n{"event": "forged"}\r\ty') == 'x {"event": "forged"} y'
    assert clean({"exception": "line 1\nline 2"}) == {"exception": "line 1\nline 2"}


def test_sizes_are_bounded() -> None:
    assert len(clean_text("x" * 10 * MAX_TEXT)) < MAX_TEXT + 30
    assert clean_text("x" * MAX_TEXT + "end", lines=True).startswith("xxx")
    assert "end" in clean_text("x" * MAX_TEXT + "end", lines=True)  # a traceback's point is at its end
    assert len(list(clean(list(range(10_000))))) == MAX_ITEMS  # type: ignore[call-overload]
    deep: list[object] = []
    for _ in range(1_000):
        deep = [deep]
    assert len(str(clean(deep))) < 100


def test_plain_values_stay_and_json_stays_json() -> None:
    assert clean({"n": 1, "x": 1.5, "b": True, "none": None}) == {"n": 1, "x": 1.5, "b": True, "none": None}
    assert clean([math.nan, math.inf]) == ["nan", "inf"]
    assert clean({"token": None}) == {"token": None}
