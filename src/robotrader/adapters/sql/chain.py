"""The hash chain: each journal row seals its own content and the row before it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

GENESIS = "0" * 64
"""`prev_hash` of the first row."""

SEALED = ("seq", "run_id", "epoch", "kind", "type", "source_id", "cause", "ts_event", "ts_init", "payload_hash")
"""What `row_hash` covers beside `prev_hash`, in this order."""


def payload_hash(payload: bytes) -> str:
    """Return the SHA-256 of a row's canonical payload."""
    return hashlib.sha256(payload).hexdigest()


def row_hash(prev_hash: str, row: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the hash of the row before and this row's content as a JSON array."""
    content = msgspec.json.encode([row[name] for name in SEALED])
    return hashlib.sha256(prev_hash.encode() + content).hexdigest()


def first_break(rows: Iterable[Mapping[Any, Any]], *, seq: int = 0, last: str = GENESIS) -> str | None:
    """Say where rows, by seq, fail to continue the chain that ended at `seq` with hash `last`; None if they do."""
    for row in rows:
        if row["seq"] != seq + 1:
            return f"seq {seq + 1} is missing: {row['seq']} follows {seq}"
        if row["prev_hash"] != last:
            return f"seq {row['seq']} does not follow on from seq {seq}"
        if payload_hash(row["payload"].encode()) != row["payload_hash"]:
            return f"seq {row['seq']}: the payload was changed"
        if row_hash(last, row) != row["row_hash"]:
            return f"seq {row['seq']}: the row was changed"
        seq, last = row["seq"], row["row_hash"]
    return None
