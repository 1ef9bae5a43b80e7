"""The hash chain: each journal row seals its own content and the row before it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

GENESIS = "0" * 64
"""`prev_hash` of the first row."""

SEALED = ("seq", "run_id", "epoch", "kind", "type", "source_id", "cause", "ts_event", "ts_init", "payload_hash")
"""What `row_hash` covers beside `prev_hash`, in this order."""

_ENCODER = msgspec.json.Encoder()


def payload_hash(payload: bytes) -> str:
    """Return the SHA-256 of a row's canonical payload."""
    return hashlib.sha256(payload).hexdigest()


def row_hash(prev_hash: str, row: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the hash of the row before and this row's content as a JSON array."""
    content = _ENCODER.encode([row[name] for name in SEALED])
    return hashlib.sha256(prev_hash.encode() + content).hexdigest()
