"""Where the journal of a state folder is: a file in it, or the server that a small file beside it names."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from robotrader.model import ConfigError

JOURNAL = "journal.sqlite"
POINTER = "journal.url"


def checked_url(url: str) -> str:
    """Return the URL of a journal if it holds no secret, for it is shown, logged and kept in files.

    Raises
    ------
    ConfigError
        It holds a password, or is no PostgreSQL URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ConfigError("journal.url: expected postgresql://user@host/database, found another scheme")
    if parts.password or any(name == "password" for name, _ in parse_qsl(parts.query)):
        raise ConfigError("journal.url holds a password: put it into the environment (PGPASSWORD) or a password file "
                          "(PGPASSFILE, ~/.pgpass), and leave it out of the URL")  # fmt: skip
    return url


def remembered_url(state: Path) -> str:
    """Return the URL that a state folder remembers, empty where the journal is its file."""
    try:
        return checked_url((state / POINTER).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return ""


def check_place(state: Path, url: str) -> None:
    """Refuse to give a state folder a second journal: each would know half of what happened.

    Raises
    ------
    ConfigError
        The folder's journal is a file, or on another server.
    """
    known = remembered_url(state) or (str(state / JOURNAL) if (state / JOURNAL).exists() else url)
    if known != url:
        raise ConfigError(f"the journal of this state folder is {known}, but journal.url is {url}: "
                          "set it back, or use another state folder", state=str(state))  # fmt: skip


def remember(state: Path, url: str) -> None:
    """Write down where the journal is, for every other process on this state folder."""
    draft = state / f"{POINTER}.new"
    draft.write_text(f"{url}\n", encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(state / POINTER)
