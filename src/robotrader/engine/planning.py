"""From a signal to the order that its target asks for: size, then compare with what is held and on its way."""

from robotrader.engine.crossing import Crossing
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.runtime import StrategyRuntime
from robotrader.engine.strategy_sizing import Change
from robotrader.engine.valuation import Valuation
from robotrader.execution.planner import plan
from robotrader.model import BarsClosed, Decision, InvariantViolation, Order, Signal
from robotrader.portfolio.ledger import Ledger


class Planning:
    """Decide what one signal asks for; nothing is checked or sent."""

    def __init__(
        self, orders: WorkingOrders, ledger: Ledger, market: MarketFacts, values: Valuation, *, crossing: Crossing
    ) -> None:
        self._orders = orders
        self._ledger = ledger
        self._market = market
        self._values = values
        self._crossing = crossing

    def plan(self, runtime: StrategyRuntime, change: Change, event: BarsClosed) -> tuple[Decision, Order | None]:
        """Size one signal, and plan the order that its target asks for, if any."""
        iid, strength, before = change
        strategy = runtime.config.id
        price = self._market.close(iid)
        if price is None:
            raise InvariantViolation(f"{strategy} has a view on {iid}, which never had a bar", instrument=iid)
        signal = Signal(strategy=strategy, instrument=iid, ts_event=event.ts_event, strength=strength)
        target = self._values.target(signal, runtime.sizing, price)
        position, working = self._ledger.book(strategy).quantity(iid), self._orders.net(strategy, iid)
        decision = Decision(
            signal=signal, target=target, position=position, working=working,
            inputs={"close": str(price), "strength_before": "none" if before is None else str(before),
                    **runtime.reasons(iid), **self._crossing.reasons(strategy, iid, event.ts_event)},
        )  # fmt: skip
        return decision, plan(target, position=position, working=working, version=runtime.manifest.version)
