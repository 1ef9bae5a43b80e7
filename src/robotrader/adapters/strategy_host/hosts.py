"""All strategies of a run that are in processes of their own."""

from collections.abc import Sequence
from contextlib import suppress

from robotrader.adapters.strategy_host.host import StrategyHost, ask_all
from robotrader.model import (
    BarsClosed,
    CorporateActionDue,
    CorporateActionKind,
    Instrument,
    Manifest,
    SignalsComputed,
    StrategyConfig,
    StrategyId,
)


class StrategyHosts:
    """`start` them, `ask` them of each event in order, `close` them."""

    def __init__(self, strategies: Sequence[StrategyConfig], instruments: Sequence[Instrument]) -> None:
        known = {i.id: i for i in instruments}
        self._hosts = {s.id: StrategyHost(s, tuple(known[i] for i in s.universe)) for s in strategies if hosted(s)}
        self._last = 0

    def start(self) -> dict[StrategyId, Manifest]:
        """Start the processes, and return what each strategy declares.

        Raises
        ------
        ConfigError
            One cannot be loaded, or not in time.
        """
        return {name: host.start() for name, host in self._hosts.items()}

    def ask(self, event: BarsClosed | CorporateActionDue) -> Sequence[SignalsComputed]:
        """Return what they say of bars that they do not know yet; one that is quarantined said so once."""
        hosts = [host for host in self._hosts.values() if not host.fault]
        if isinstance(event, CorporateActionDue):
            if event.action.kind is CorporateActionKind.SPLIT:
                for host in hosts:
                    host.split(event.instrument, float(event.action.ratio), event.action.ex_at)
            return ()
        if event.ts_event <= self._last:
            return ()
        self._last = event.ts_event
        return ask_all(hosts, event)

    def close(self) -> None:
        """End the processes."""
        for host in self._hosts.values():
            with suppress(OSError):
                host.close()


def hosted(strategy: StrategyConfig) -> bool:
    """Tell whether a strategy runs in a process of its own: what comes with the release does not."""
    return strategy.isolated and ".py:" in strategy.source
