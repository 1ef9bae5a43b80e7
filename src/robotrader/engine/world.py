"""The adapters that a runner works with."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec import Struct

from robotrader.engine.asking import Ask, nobody
from robotrader.engine.inbox import Inbox
from robotrader.model import CorporateAction, SessionTable
from robotrader.ports import Broker, Clock, HostFacts, Journal, Link, MarketData
from robotrader.risk.host import HostLimits
from robotrader.strategy.contract import SourceFactory


def _keep_in_mind(_: str) -> None:
    """Have no flag file."""


class World(Struct, frozen=True, kw_only=True):
    """One trader's world.

    `latch` says why nothing may be sent (flag file), None if it may; `raise_latch` raises it, and never fails.
    `reconciles`: the broker is compared with at intervals too, which a clock that stands between sessions does not
    need. `actions` gives every version of each corporate action. `measure` looks at this machine, and `host` says how
    good it must be. `ask` asks the strategies that run in processes of their own.
    """

    journal: Journal
    link: Link
    broker: Broker
    feed: MarketData
    clock: Clock
    inbox: Inbox
    latch: Callable[[], str | None]
    source: SourceFactory
    sessions: SessionTable
    reconciles: bool = False
    actions: Callable[[], Sequence[CorporateAction]] = tuple
    borrow_rate: Decimal = Decimal(0)
    measure: Callable[[], HostFacts] = HostFacts
    host: HostLimits = HostLimits()
    raise_latch: Callable[[str], None] = _keep_in_mind
    ask: Ask = nobody
