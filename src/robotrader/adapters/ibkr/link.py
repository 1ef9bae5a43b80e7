"""What the connection is worth, judged from facts alone."""

from datetime import UTC, datetime

from msgspec import Struct

from robotrader.adapters.ibkr.resets import ResetSchedule, Window
from robotrader.model import NANOS_PER_SECOND, LinkState, TradingState
from robotrader.risk.host import HostLimits

_NEAR_NS = 120 * NANOS_PER_SECOND


class LinkFacts(Struct, frozen=True, kw_only=True):
    """All that is known of the connection; times in ns UTC."""

    session: bool = False
    opened: int | None = None  # when the last session began
    refused: int | None = None  # since when nobody listens on the gateway's port
    not_before: int | None = None  # when the login budget allows the next attempt; None: now
    foreign: str = ""  # why the gateway is logged in elsewhere than configured
    ibkr: bool = True  # the gateway's own link to IBKR
    why: str = ""  # the session, or that link, is down
    sync_wanted: int = 0  # the latest comparison asked for
    sync_done: int = 0
    broken_farms: frozenset[str] = frozenset()
    skew_s: float | None = None  # this host's clock ahead of the broker's (negative: behind), for certain
    clock: TradingState = TradingState.ACTIVE  # what that lets trading be


Judgement = tuple[LinkState, bool, str]
"""State, whether orders and cancels can be sent, and why."""


def judge(facts: LinkFacts, schedule: ResetSchedule | None, now: int) -> Judgement:
    """Return what the connection is worth; without a schedule no reset is known.

    Nothing is open while SYNCING: what the broker holds is not known, not even what would reduce it.
    """
    window = None if schedule is None else schedule.window(now) or schedule.window(now + _NEAR_NS)
    if facts.session:
        return _judge_session(facts, window)
    login = facts.foreign
    if not login and schedule is not None and facts.refused is not None:
        login = schedule.login_needed(now, opened=facts.opened, refused=facts.refused)
    if login:
        return LinkState.LOGIN_NEEDED, False, login
    if window is not None:
        return LinkState.RESET_WINDOW, False, "; ".join(filter(None, [str(window), facts.why]))
    if facts.not_before is not None:
        until = datetime.fromtimestamp(facts.not_before // NANOS_PER_SECOND, UTC).isoformat()
        return LinkState.DISCONNECTED, False, "; ".join(filter(None, [f"no login is left until {until}", facts.why]))
    return LinkState.CONNECTING, False, facts.why


def _judge_session(facts: LinkFacts, window: Window | None) -> Judgement:
    if not facts.ibkr:
        return LinkState.DISCONNECTED, False, facts.why
    if facts.sync_done < facts.sync_wanted:
        return LinkState.SYNCING, False, f"comparison {facts.sync_wanted} with the broker"
    side = "ahead of" if (facts.skew_s or 0.0) > 0 else "behind"
    off = f"this host's clock is {abs(facts.skew_s or 0.0):.1f} s {side} the broker's: set it"
    if facts.clock is TradingState.HALTED:
        return LinkState.DEGRADED, False, off
    unfit = [f"data farm {name} is broken" for name in sorted(facts.broken_farms)]
    unfit += [off] if facts.clock is TradingState.REDUCING else []
    if window is not None:
        return LinkState.RESET_WINDOW, True, "; ".join([str(window), *unfit])
    return (LinkState.DEGRADED, True, "; ".join(unfit)) if unfit else (LinkState.READY, True, "all is well")


class SkewWatch:
    """Compare the clocks: the worst of the last `limits.clean_s` counts.

    An answer has whole seconds only, so that many tell more than one, and a skew that comes and goes is one.
    """

    def __init__(self, limits: HostLimits) -> None:
        self._limits = limits
        self._found: list[tuple[int, float]] = []

    def compare(self, now: int, told: int, waited_s: float) -> tuple[float, TradingState]:
        """Return how far the host's clock is ahead (s), and what that lets trading be; see `skew`."""
        since = now - self._limits.clean_s * NANOS_PER_SECOND
        newest = (now, skew(now / NANOS_PER_SECOND, told, waited_s))
        self._found = [newest, *(found for found in self._found if found[0] > since)]
        worst = max((s for _, s in self._found), key=abs)
        return worst, self._limits.of_clocks(worst)


def skew(host_s: float, told: int, waited_s: float) -> float:
    """Return how far the host's clock is ahead (s), as far as it is certain.

    Parameters
    ----------
    host_s : float
        The host's time when the answer came, s.
    told : int
        The other's time, s, its fraction cut off.
    waited_s : float
        How long ago the answer may have been written.
    """
    return max(host_s - waited_s - (told + 1), 0.0) + min(host_s - told, 0.0)
