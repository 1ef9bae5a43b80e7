"""Keep one session with the gateway for ever, and tell the runner what it is worth."""

import asyncio
import logging
import random
from typing import Any

from msgspec import Struct, structs

from robotrader.adapters.ibkr.budget import LoginBudget
from robotrader.adapters.ibkr.connection import IbkrConnection, Listener
from robotrader.adapters.ibkr.errors import ErrorClass, farm
from robotrader.adapters.ibkr.link import LinkFacts, SkewWatch, judge
from robotrader.adapters.ibkr.resets import ResetSchedule
from robotrader.model import (
    NANOS_PER_SECOND,
    ConfigError,
    ConnectionLost,
    LinkChanged,
    LinkState,
    RoboTraderError,
    TradingState,
)
from robotrader.ports import Clock, Inbox
from robotrader.risk.host import HostLimits

_log = logging.getLogger(__name__)

_MAX_BACKOFF_S = 300.0
_MAX_REFUSED_S = 60.0  # a closed port costs the gateway nothing, and opens at any moment
_JITTER = 0.2
_SYNC_RETRIES_S = (5.0, 10.0)
_SHORT_S = 2.0
_NOTICEABLE_S = 0.5


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where the gateway listens, and the one client id that this trader ever takes."""

    host: str
    port: int
    client_id: int
    timeout_s: float = 10.0


class Supervisor(Listener):
    """The `Link` port over one `IbkrConnection`: reconnect, judge, and ask for comparisons.

    Its `LinkChanged`s reach the inbox only when state, open or sync changes, or while it is open the clocks' skew by
    half a second; `ts` is the clock's. The first one of a life is SYNCING with sync 1, or RESET_WINDOW when `open` has
    to wait.

    Parameters
    ----------
    clock : Clock
        The host's time, ns UTC. In lock-step it is the market's: then it only stamps events, no reset is known, no
        login is counted and no clocks are compared.
    rng : random.Random
        Jitter of the waits between attempts.
    limits : HostLimits
        How far the clocks may be apart, and for how long they must have been right.
    """

    def __init__(
        self, connection: IbkrConnection, inbox: Inbox, clock: Clock, endpoint: Endpoint, *, rng: random.Random,
        schedule: ResetSchedule | None = None, budget: LoginBudget | None = None, limits: HostLimits | None = None,
    ) -> None:  # fmt: skip
        connection.listener = self
        self._connection = connection
        self._inbox = inbox
        self._clock = clock
        self._endpoint = endpoint
        self._timed = not connection.lock_step  # else the clock is the market's
        self._schedule = schedule if self._timed else None
        self._budget = budget if self._timed else None
        self._skews = SkewWatch(limits or HostLimits())
        self._rng = rng
        self._facts = LinkFacts()
        self._told = LinkChanged(ts_event=0, ts_init=0, state=LinkState.CONNECTING, open=False, reason="")
        self._gone = asyncio.Event()
        self._tries = 0  # since the last comparison that succeeded
        self._sync_failures = 0  # of this session
        self._retry: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the first session; inside a known reset window go on trying until it is over.

        ConnectionLost, ConfigError: as of `IbkrConnection.connect`; the first also when the login budget is used up.
        """
        wait_s = self._budget_wait_s()
        if wait_s > _SHORT_S:
            raise ConnectionLost(self._told.reason)
        await asyncio.sleep(wait_s)
        try:
            await self._attempt()
        except ConnectionLost as error:
            self._failed(error)
            if self._told.state is not LinkState.RESET_WINDOW:
                raise
            await self._reconnect()

    async def run(self) -> None:
        """Open a new session whenever there is none, for ever: run it as a task, cancel it to stop."""
        while True:
            await self._gone.wait()
            await self._reconnect()

    async def close(self) -> None:
        """End the session in order (after `run` was cancelled); nothing is put into the inbox."""
        self._forget_retry()
        await self._connection.close()

    def synced(self, sync: int) -> LinkChanged:
        """Note that comparison `sync` is done, and return the state from now on; the inbox is not told of it.

        An outdated `sync` changes nothing: the state is the one that the inbox was told of last.
        """
        if sync == self._facts.sync_wanted:
            self._sync_failures = self._tries = 0
            self._facts = structs.replace(self._facts, sync_done=sync)
            self._told = self._judge()
            _log.warning("link %s: %s", self._told.state, self._told.reason)
        return self._told

    def sync_failed(self, sync: int, reason: str) -> None:
        """Ask for the comparison again after 5 s, then 10 s, by a new SYNCING; a session's third failure drops it."""
        if sync != self._facts.sync_wanted or not self._connection.connected:
            return  # a newer one is asked for, or will be
        _log.warning("comparison %d with the broker failed: %s", sync, reason)
        if self._sync_failures == len(_SYNC_RETRIES_S):
            self._connection.drop(f"three comparisons with the broker failed, the last one: {reason}")
            return
        delay = _SYNC_RETRIES_S[self._sync_failures]
        self._sync_failures += 1
        self._retry = asyncio.get_running_loop().call_later(delay, self._ask_for_sync)

    def take_unsent(self) -> tuple[int, ...]:
        """Return, once, the broker order ids whose placing never reached the socket; known before the loss is told."""
        taken, self._connection.unsent = tuple(self._connection.unsent), []
        return taken

    def down(self, reason: str) -> None:
        """Take note that the session ended."""
        self._gone.set()
        self._note(session=False, why=reason)

    def notice(self, kind: ErrorClass, text: str) -> None:
        """Take note of a broken farm, a lost link to IBKR, and their return."""
        broken, name = self._facts.broken_farms, frozenset({farm(text)})
        if kind is ErrorClass.LINK_LOST:
            self._note(ibkr=False, why=text)
        elif kind is ErrorClass.LINK_RESTORED:
            self._facts = structs.replace(self._facts, ibkr=True)
            self._ask_for_sync()
        elif kind in {ErrorClass.FARM_BROKEN, ErrorClass.FARM_OK}:
            self._note(broken_farms=broken | name if kind is ErrorClass.FARM_BROKEN else broken - name)

    def time(self, told: int, waited_s: float) -> None:
        """Compare the clocks; this beat also is when known windows are looked at.

        While a clock was wrong nothing was decided: when it is right again, what was missed is made up for.
        """
        if not self._timed:
            return
        before, (worst, state) = self._facts.clock, self._skews.compare(self._clock.now(), told, waited_s)
        self._facts = structs.replace(self._facts, skew_s=worst, clock=state)
        take_over = self._ask_for_sync if before is TradingState.HALTED and state is not before else self._note
        take_over()

    async def _reconnect(self) -> None:
        """Try until there is a session, with the same client id, ever slower."""
        while True:
            await self._back_off()
            if self._budget_wait_s() > 0:
                continue
            try:
                return await self._attempt()
            except (ConfigError, ConnectionLost) as error:
                self._failed(error)

    async def _back_off(self) -> None:
        """Wait 1 s, then twice as long each time, each wait up to a fifth shorter or longer."""
        wait_s = min(2.0 ** min(self._tries, 10), _MAX_BACKOFF_S if self._facts.refused is None else _MAX_REFUSED_S)
        self._tries += 1
        await asyncio.sleep(wait_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER))

    async def _attempt(self) -> None:
        """Try once to open a session."""
        skew_s = None if self._timed else 0.0  # in lock-step there is one clock
        self._note(ibkr=True, broken_farms=frozenset(), skew_s=skew_s)  # told anew, already during the login
        where = self._endpoint
        await self._connection.connect(
            where.host, where.port, where.client_id, timeout_s=where.timeout_s, before=self._spend
        )
        self._gone.clear()
        self._sync_failures = 0
        opened = self._clock.now()
        self._facts = structs.replace(self._facts, session=True, opened=opened, refused=None, foreign="")
        self._ask_for_sync()

    def _failed(self, error: RoboTraderError) -> None:
        """Take note of an attempt that failed."""
        _log.warning("no session with the gateway: %s", error.message)
        refused = (self._facts.refused or self._clock.now()) if error.context.get("refused") else None
        foreign = error.message if isinstance(error, ConfigError) else self._facts.foreign
        self._note(why=error.message, refused=refused, foreign=foreign)

    def _budget_wait_s(self) -> float:
        """Return how long no login may begin, and tell of it unless it is a matter of seconds."""
        if self._budget is None:
            return 0.0
        allowed = self._budget.next_allowed()
        wait_s = max(0.0, (allowed - self._clock.now()) / NANOS_PER_SECOND)
        self._note(not_before=allowed if wait_s > _SHORT_S else None)
        return wait_s

    def _spend(self) -> None:
        if self._budget is not None:
            self._budget.spend(self._clock.now())

    def _ask_for_sync(self) -> None:
        self._forget_retry()
        self._note(sync_wanted=self._facts.sync_wanted + self._connection.connected)  # if not: when it is again

    def _forget_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _note(self, **changes: Any) -> None:
        """Take over new facts, and tell the inbox where that changes what the link is worth."""
        self._facts = structs.replace(self._facts, **changes)
        link = self._judge()
        if (link.state, link.open, link.sync) != (self._told.state, self._told.open, self._told.sync):
            _log.warning("link %s: %s", link.state, link.reason)
        elif not (link.open and link.skew_s is not None and _apart(link.skew_s, self._told.skew_s)):
            return
        self._told = link
        self._inbox.put(link)

    def _judge(self) -> LinkChanged:
        now, sync = self._clock.now(), self._facts.sync_wanted
        state, is_open, reason = judge(self._facts, self._schedule, now)
        return LinkChanged(ts_event=now, ts_init=now, state=state, open=is_open, reason=reason, sync=sync,
                           skew_s=self._facts.skew_s)  # fmt: skip


def _apart(skew_s: float, told: float | None) -> bool:
    return told is None or abs(skew_s - told) >= _NOTICEABLE_S
