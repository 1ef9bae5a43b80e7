"""The simulated account: cash, holdings at cost, and the values that IBKR reports of them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

from robotrader.model import Instrument, InstrumentId, money
from robotrader.simulation.gateway.record import Execution, Intervention, after_split, in_lieu
from robotrader.simulation.venue import VenueFill, VenueOrder

MARGIN = Decimal("0.5")
"""Initial margin of a US margin account, as a share of gross position value."""

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_BUYING_POWER = 4
"""Intraday leverage of a US margin account."""

Prices = Mapping[InstrumentId, float]


class Holding(Struct):
    """One instrument held: signed quantity, and its cost with commissions (signed like the quantity)."""

    quantity: int = 0
    cost: Decimal = _ZERO
    realized: Decimal = _ZERO

    @property
    def average_cost(self) -> Decimal:
        """Return the cost of one unit including commissions, as IBKR counts it for stocks."""
        return round(self.cost / self.quantity, 8) if self.quantity else _ZERO


class Account:
    """Cash and holdings, moved only by fills and splits."""

    def __init__(self, name: str, cash: Decimal, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self.name = name
        self.cash = self._initial = money(cash)
        self.holdings: dict[InstrumentId, Holding] = {}
        self._instruments = instruments
        self.split_once = False

    def split(self, split: Intervention) -> None:
        """Turn a holding into new units, and pay what is left over."""
        holding = self.holdings.setdefault(split.instrument, Holding())
        held, self.split_once = holding.quantity, True
        holding.quantity = after_split(held, split)
        paid = in_lieu(held, split) * self._instruments[split.instrument].multiplier
        self.cash = money(self.cash + paid)
        holding.cost = holding.cost - paid if holding.quantity else _ZERO

    def apply(self, fill: VenueFill | Execution) -> Decimal | None:
        """Book one fill and return the profit it realized after commission; None when it only opens."""
        holding = self.holdings.setdefault(fill.instrument, Holding())
        signed = fill.side.sign * fill.quantity
        value = signed * fill.price * self._instruments[fill.instrument].multiplier
        self.cash = money(self.cash - value - fill.commission)
        closing = min(fill.quantity, abs(holding.quantity)) if holding.quantity * signed < 0 else 0
        share = Decimal(closing) / fill.quantity
        realized = None
        if closing:
            given_up = holding.cost * closing / abs(holding.quantity)
            realized = money(-(value * share) - given_up - fill.commission * share)
            holding.cost -= given_up
            holding.realized += realized
        holding.quantity += signed
        holding.cost += (value + fill.commission) * (1 - share)
        if not holding.quantity:
            holding.cost = _ZERO  # not a remainder of divisions
        return realized

    def rebuild(self, executions: Iterable[Execution]) -> list[Decimal | None]:
        """Book all executions anew, because one was corrected; return what each realized."""
        self.cash = self._initial
        self.holdings = {iid: Holding() for iid in self.holdings}
        return [self.apply(e) if e.quantity else None for e in executions]

    def added(self, order: VenueOrder, prices: Prices) -> Decimal:
        """Return how much an order would add to the gross value, at its instrument's price."""
        holding = self.holdings.get(order.instrument)
        held = holding.quantity if holding else 0
        more = abs(held + order.side.sign * order.quantity) - abs(held)
        return more * Decimal(repr(prices[order.instrument]))

    def value(self, instrument: InstrumentId, price: float | None) -> Decimal:
        """Return a holding's signed market value; at cost while there is no price."""
        holding = self.holdings[instrument]
        if price is None:
            return holding.cost
        return holding.quantity * Decimal(repr(price)) * self._instruments[instrument].multiplier

    def gross(self, prices: Prices) -> Decimal:
        """Return the sum of the holdings' absolute values."""
        return sum((abs(self.value(iid, prices.get(iid))) for iid in self.holdings), _ZERO)

    def equity(self, prices: Prices) -> Decimal:
        """Return cash and holdings at these prices."""
        return sum((self.value(iid, prices.get(iid)) for iid in self.holdings), self.cash)

    def values(self, prices: Prices) -> dict[str, str]:
        """Return the account values by IBKR's keys."""
        gross, equity = self.gross(prices), self.equity(prices)
        required = gross * MARGIN
        cost = sum((h.cost for h in self.holdings.values()), _ZERO)
        amounts = {
            "AvailableFunds": equity - required, "BuyingPower": max((equity - required) * _BUYING_POWER, _ZERO),
            "EquityWithLoanValue": equity, "ExcessLiquidity": equity - required, "GrossPositionValue": gross,
            "InitMarginReq": required, "MaintMarginReq": required, "NetLiquidation": equity,
            "RealizedPnL": sum((h.realized for h in self.holdings.values()), _ZERO),
            "StockMarketValue": equity - self.cash, "TotalCashValue": self.cash,
            "UnrealizedPnL": equity - self.cash - cost,
        }  # fmt: skip
        exact = {"CashBalance": format(self.cash, "f")}
        named = {"AccountCode": self.name, "AccountReady": "true", "AccountType": "INDIVIDUAL"}
        return named | exact | {k: format(v.quantize(_CENT), "f") for k, v in amounts.items()}
