"""How long what stays where: the retention policy, and which backups are kept."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Days = Annotated[int, Meta(ge=1)]
Copies = Annotated[int, Meta(ge=1, le=1_000)]


class RetentionPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long rows stay in the journal's database before they move, and how many backups stay.

    Days count back from the journal's newest row, not from today: a replayed market has a time of its own. Daily bars
    stay for ever. `backups`: the folder of nightly backups; None is `backups` in the state folder.
    """

    journal_days: Days = 365
    intraday_days: Days = 90
    backups: str | None = None
    daily_backups: Copies = 7
    weekly_backups: Copies = 4
    monthly_backups: Copies = 12


def kept(taken: Iterable[datetime], policy: RetentionPolicy) -> set[datetime]:
    """Return the backups that stay: the newest of each of the last days, ISO weeks and months that have one."""
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (policy.daily_backups, lambda t: t.date()),
        (policy.weekly_backups, lambda t: t.isocalendar()[:2]),
        (policy.monthly_backups, lambda t: (t.year, t.month)),
    )
    oldest_first = sorted(taken)
    keep: set[datetime] = set()
    for count, period in periods:
        newest = {period(t): t for t in oldest_first}  # in the order of the periods
        keep.update(list(newest.values())[-count:])
    return keep
