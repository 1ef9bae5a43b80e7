"""Trading states by scope; the effective state of an order is the worst that touches it."""

from robotrader.model import HostCondition, InstrumentId, StrategyId, TradingState

Scope = tuple[StrategyId | None, InstrumentId | None]

GLOBAL: Scope = (None, None)

NO_LINK = (TradingState.ACTIVE, "")
"""What the link lets through where none was ever reported: a backtest has none."""


class TradingStates:
    """The current state and reason of each scope; a scope without an entry is ACTIVE.

    `link` is what the connection to the broker lets through, `conditions` what this machine does: they come and go by
    themselves and are nobody's order.
    """

    def __init__(self) -> None:
        self._states: dict[Scope, tuple[TradingState, str]] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what the last process had of link and machine."""
        self.link = NO_LINK
        self.conditions: dict[HostCondition, tuple[TradingState, str]] = {}

    def set(self, scope: Scope, state: TradingState, reason: str) -> bool:
        """Set a scope's state; False when it already was so."""
        if self.of(scope)[0] is state:
            return False
        self._states[scope] = (state, reason)
        return True

    def of(self, scope: Scope) -> tuple[TradingState, str]:
        """Return state and reason of one scope."""
        return self._states.get(scope, (TradingState.ACTIVE, ""))

    def effective(self, strategy: StrategyId, instrument: InstrumentId) -> tuple[TradingState, str]:
        """Return the worst of global, strategy, instrument, link and machine, with its reason."""
        scopes: tuple[Scope, ...] = (GLOBAL, (strategy, None), (None, instrument), (strategy, instrument))
        found = (*(self.of(s) for s in scopes), self.link, *self.conditions.values())
        return max(found, key=lambda entry: entry[0].severity)

    def entries(self) -> list[tuple[str, str, TradingState, str]]:
        """Return (strategy, instrument, state, reason) of every scope that was ever set; "" is all of them."""
        return sorted((strategy or "", iid or "", *entry) for (strategy, iid), entry in self._states.items())
