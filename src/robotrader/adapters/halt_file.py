"""The flag file: a halt that needs neither database nor trader."""

from pathlib import Path

NAME = "HALT"


def raise_flag(state: Path, reason: str) -> None:
    """Write the flag file; an existing flag keeps its first reason."""
    state.mkdir(parents=True, exist_ok=True)
    path = state / NAME
    if not path.exists():
        path.write_text(reason + "\n", encoding="utf-8")


def lower_flag(state: Path) -> None:
    """Remove the flag file, if it is there."""
    (state / NAME).unlink(missing_ok=True)


def read_flag(state: Path) -> str | None:
    """Return why trading is halted, None when the flag is not raised; a flag that cannot be read is raised."""
    path = state / NAME
    try:
        return path.read_text(encoding="utf-8").strip() or "flag file"
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"flag file cannot be read: {error}"
