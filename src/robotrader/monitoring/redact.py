"""What may leave the process as text: secrets masked, control characters out, lengths bounded."""

import math
import re
from collections.abc import Mapping, Sequence

MASK = "***"
MAX_TEXT = 4_000
MAX_ITEMS = 200
MAX_DEPTH = 8

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|authorization|api_?key|access_?key|private_?key|cookie|credential", re.IGNORECASE
)
_ACCOUNT_KEY = re.compile(r"^(account|account_?id|acct|acct_?number|account_?number)$", re.IGNORECASE)
_ACCOUNT = re.compile(r"\b(DU|DF|DI|U|F|I)\d{4,12}(\d{2})\b")
_SECRETS = (
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{6,}|\b(basic)\s+[\w+/=]{16,}", re.IGNORECASE), rf"\1\2 {MASK}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{MASK}@"),
    (
        re.compile(
            r"((?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|authorization)[\w-]{0,30}[\"']?\s{0,4}[:=]\s{0,4})"
            r"(?!(?:bearer|basic)\b)(\"[^\"]*\"|'[^']*'|[^\s,;&\"')\]}]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LINE_BREAKS = re.compile(r"[\t\n]+")


def is_secret(key: str) -> bool:
    """Tell whether a value under this key is a secret."""
    return _SECRET_KEY.search(key.replace("-", "_")) is not None


def mask_account(account: str) -> str:
    """Return an account id with its kind and last two characters: enough to tell accounts apart."""
    if len(account) < 4:
        return MASK if account else account
    kind = re.match(r"[A-Z]{0,2}", account)
    return f"{kind.group() if kind else ''}{MASK}{account[-2:]}"


def clean_text(text: str, *, lines: bool = False) -> str:
    """Mask what looks like a secret or an account, drop control characters, bound the length.

    `lines` keeps line breaks and, of a long text, the end (tracebacks); else line breaks become spaces, so that a text
    cannot pose as several records, and the beginning stays.
    """
    surplus = len(text) - MAX_TEXT
    text = text[-MAX_TEXT:] if lines else text[:MAX_TEXT]
    text = _CONTROL.sub("", text if lines else _LINE_BREAKS.sub(" ", text))
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = _ACCOUNT.sub(rf"\1{MASK}\2", text)
    return f"{text}… ({surplus} more)" if surplus > 0 else text


def clean(value: object, key: str = "", *, depth: int = 0) -> object:
    """Return a value fit for a log: plain JSON types only, masked, bounded.

    `key` is the name it goes by; a secret's value is masked whatever it is.
    """
    if value is not None and is_secret(key):
        return MASK
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    if isinstance(value, int | float) or value is None:
        return value
    if depth >= MAX_DEPTH:
        return clean_text(str(type(value)))
    if isinstance(value, Mapping):
        return {clean_text(str(k)): clean(v, str(k), depth=depth + 1) for k, v in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [clean(v, key, depth=depth + 1) for v in list(value)[:MAX_ITEMS]]
    text = value if isinstance(value, str) else repr(value)
    if _ACCOUNT_KEY.match(key):
        return mask_account(text)
    return clean_text(text, lines=key in {"exception", "stack"})
