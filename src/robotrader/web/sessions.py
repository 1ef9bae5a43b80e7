"""Who may look: one-time login codes and server-side sessions, of which only hashes are kept.

Both live in `<state>/web`, readable by the owner alone. Whoever may read that folder may operate the trader anyway.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

Now = Callable[[], float]

LOGIN_CODE_S = 600.0
LOGINS_PER_MINUTE = 5
SESSION_IDLE_S = 12 * 3600.0
SESSION_ABSOLUTE_S = 7 * 86_400.0
_SAVE_EVERY_S = 300.0  # a session's last use is written this often: losing it only ends a session early


class Session(Struct):
    """One browser's login; times in seconds of the wall clock."""

    created: float
    seen: float


def issue_login_code(state_dir: Path, *, now: Now = time.time) -> str:
    """Make the code of a one-time login link; an earlier code stops working."""
    code = secrets.token_urlsafe(32)
    _write(_code_file(state_dir), {_digest(code): now() + LOGIN_CODE_S})
    return code


def login_url(host: str, port: int, code: str) -> str:
    """Return the one-time link. The code is a fragment: browsers send it to nobody and servers log it nowhere."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/login#{code}"


def redeem_login_code(state_dir: Path, code: str, *, now: Now) -> bool:
    """Use a code up; True once, False for a wrong, used or expired one."""
    path = _code_file(state_dir)
    try:
        expires = msgspec.json.decode(path.read_bytes(), type=dict[str, float]).get(_digest(code))
        if expires is None:
            return False
        path.unlink()  # of two that come at the same time one fails here
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
    return now() < expires


def csrf_token(session_id: str) -> str:
    """Derive the session's CSRF token; it tells nothing about the session id."""
    return hmac.new(session_id.encode(), b"csrf", hashlib.sha256).hexdigest()


class Throttle:
    """Allow so many failures a minute."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._failures: deque[float] = deque()

    def wait_s(self) -> float:
        """Return for how many seconds no attempt is allowed, 0 when one is."""
        while self._failures and self._failures[0] <= self._now() - 60:
            self._failures.popleft()
        return self._failures[0] + 60 - self._now() if len(self._failures) >= LOGINS_PER_MINUTE else 0.0

    def fail(self) -> None:
        """Count a failed attempt."""
        self._failures.append(self._now())


class SessionStore:
    """Sessions by the hash of their id, kept over restarts in `<state>/web/sessions.json`."""

    def __init__(self, state_dir: Path, now: Now) -> None:
        self._path = state_dir / "web" / "sessions.json"
        self._now = now
        self._saved = 0.0
        self._sessions = self._load()

    def open(self) -> str:
        """Start a session and return its id (256 random bits), the only copy there is."""
        session_id = secrets.token_urlsafe(32)
        self._sessions[_digest(session_id)] = Session(created=self._now(), seen=self._now())
        self._save()
        return session_id

    def touch(self, session_id: str) -> bool:
        """Note that the session was used; False if it is unknown or over."""
        is_open = self.is_open(session_id)
        if is_open:
            self._sessions[_digest(session_id)].seen = self._now()
            if self._now() - self._saved > _SAVE_EVERY_S:
                self._save()
        return is_open

    def is_open(self, session_id: str) -> bool:
        """Tell whether the session is known and not over, without counting as use."""
        session = self._sessions.get(_digest(session_id))
        return session is not None and self._is_current(session)

    def close(self, session_id: str) -> None:
        """End the session at once."""
        if self._sessions.pop(_digest(session_id), None) is not None:
            self._save()

    def _is_current(self, session: Session) -> bool:
        return self._now() < min(session.seen + SESSION_IDLE_S, session.created + SESSION_ABSOLUTE_S)

    def _load(self) -> dict[str, Session]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Session])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}  # nobody is logged in: a new link is one command away

    def _save(self) -> None:
        self._sessions = {key: session for key, session in self._sessions.items() if self._is_current(session)}
        _write(self._path, self._sessions)
        self._saved = self._now()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits need no slow hash


def _code_file(state_dir: Path) -> Path:
    return state_dir / "web" / "login-code.json"


def _write(path: Path, content: object) -> None:
    """Replace a JSON file whole, readable by its owner alone from the first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(content))
    draft.replace(path)
