"""The market of the scripted session: what trades at any time can be said by a formula."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
DAYS = tuple(datetime(2024, 1, day, 9, 30, tzinfo=EASTERN) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12))
MINUTES = 30
"""A short session: half an hour has everything that a day has."""


def level(day: int, minute: int) -> float:
    """Return AAPL's open of a minute: it rises a cent a minute and four dollars from open to open."""
    return round(100 + 4 * day + minute / 100, 2)


def epoch(day: int, minute: int = 0) -> int:
    """Return the time at which a minute begins, epoch seconds."""
    return int(DAYS[day].timestamp()) + 60 * minute


def write(path: Path) -> Path:
    """Write minute bars of AAPL, which rises, and of IBM, which stands still at 50."""
    lines = ["symbol,timestamp,open,high,low,close,volume"]
    for day, opens in enumerate(DAYS):
        for minute in range(MINUTES):
            start = (opens + timedelta(minutes=minute)).astimezone(UTC)
            stamp, at = f"{start:%Y-%m-%dT%H:%M:%SZ}", level(day, minute)
            lines.append(
                f"AAPL.NASDAQ,{stamp},{at:.2f},{at + 0.02:.2f},{at - 0.01:.2f},{at + 0.01:.2f},{1000 + minute}"
            )
            lines.append(f"IBM.NYSE,{stamp},50,50,50,50,500")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
