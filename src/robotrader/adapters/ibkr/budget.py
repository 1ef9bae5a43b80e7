"""How often a login may be begun, counted over all lives of the trader."""

from pathlib import Path

import msgspec

from robotrader.model import NANOS_PER_SECOND, BrokerUnavailable, ConfigError

_HOUR_NS = 3600 * NANOS_PER_SECOND
_GAP_NS = 2 * NANOS_PER_SECOND


class Login(msgspec.Struct, frozen=True):
    """One login that was begun, ns UTC."""

    ts: int


class LoginBudget:
    """At most `per_hour` logins in any hour, never two within 2 s; kept in a file of JSON lines.

    A line that cannot be read (torn by a crash, damaged) counts as a login begun now, and so does a time that is
    still to come: its true time cannot be later, so that the budget is never exceeded, and free again within an hour.

    Parameters
    ----------
    path : Path
        The file, in a folder that exists; ConfigError when it cannot be read.
    now : int
        The time, ns UTC.
    """

    def __init__(self, path: Path, now: int, *, per_hour: int = 10) -> None:
        self._path = path
        self._per_hour = per_hour
        try:
            lines = path.read_bytes().splitlines() if path.exists() else []
        except OSError as error:
            raise ConfigError(
                f"the login budget {path} cannot be read ({error.strerror}): repair or remove it"
            ) from error
        self._begun = sorted(min(_read(line, now), now) for line in lines if line)

    def next_allowed(self) -> int:
        """Return when the next login may begin, ns UTC; it may lie in the past."""
        earliest = self._begun[-1] + _GAP_NS if self._begun else 0
        full = len(self._begun) >= self._per_hour
        return max(earliest, self._begun[-self._per_hour] + _HOUR_NS) if full else earliest

    def spend(self, now: int) -> None:
        """Note a login before it begins; BrokerUnavailable when that cannot be kept: then it may not begin."""
        try:
            with self._path.open("ab") as file:  # the line break comes first, so that a torn line spoils no other
                file.write(b"\n" + msgspec.json.encode(Login(now)))
        except OSError as error:
            raise BrokerUnavailable(f"the login budget {self._path} cannot be written ({error.strerror})") from error
        self._begun.append(now)


def _read(line: bytes, now: int) -> int:
    try:
        return msgspec.json.decode(line, type=Login).ts
    except msgspec.DecodeError:
        return now
