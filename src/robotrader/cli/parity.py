"""One strategy twice: through the backtest and over the wire; every decision, order and fill compared."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from robotrader.model import (
    AnyCommand,
    Commission,
    CommissionReported,
    Crossed,
    Deny,
    Fill,
    Hold,
    Order,
    OrderFilled,
    StrategyConfig,
    Submit,
    decode_command,
    decode_event,
    encode,
)

if TYPE_CHECKING:
    from robotrader.data.panel import Panel
    from robotrader.research.backtest import BacktestResult

ACCOUNT = "DU1234567"


class WireResult(Struct, frozen=True, kw_only=True):
    """What a trader over the wire decided and did, read from its journal."""

    commands: tuple[AnyCommand, ...]
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    commissions: tuple[Commission, ...]


async def wire_run(configs: Sequence[StrategyConfig], panel: "Panel", state: Path) -> WireResult:
    """Trade strategies over a panel through ib_async and the gateway simulator, in lock-step, to the end.

    `state` is an empty folder; the journal is left in it.
    """
    from robotrader import bootstrap
    from robotrader.config import BrokerSettings, DataSettings, InstrumentSettings, RiskSettings, Settings
    from robotrader.simulation.gateway.server import GatewayConfig

    cash = sum((config.capital for config in configs), Decimal(0))
    gateway = GatewayConfig(account=ACCOUNT, lock_step=True, step="open", initial_cash=cash, state=state)
    async with bootstrap.serving(panel, bootstrap.Costs(), gateway) as port:
        universe = tuple(
            InstrumentSettings(id=i.id, tick=i.tick, lot=i.lot, multiplier=i.multiplier) for i in panel.instruments
        )
        settings = Settings(
            broker=BrokerSettings(port=port, account=ACCOUNT, lock_step=True),
            data=DataSettings(universe=universe, bar_spec=panel.spec),
            risk=RiskSettings(profile="paper"), strategies=tuple(configs),
        )  # fmt: skip
        await bootstrap.trade(settings, state)
    rows = await bootstrap.journal_rows(state)
    events = [decode_event(r.payload) for r in rows if r.kind == "event"]
    commands = tuple(decode_command(r.payload) for r in rows if r.kind == "command")
    return WireResult(
        commands=commands,
        orders=tuple(c.order for c in commands if isinstance(c, Submit)),
        fills=(*(e.fill for e in events if isinstance(e, OrderFilled)),
               *(fill for c in commands if isinstance(c, Crossed) for fill in c.fills)),
        commissions=tuple(e.commission for e in events if isinstance(e, CommissionReported)),
    )  # fmt: skip


def compare(event: "BacktestResult", wire: WireResult) -> tuple[dict[str, int], list[str]]:
    """Return how many decisions, orders and fills were compared, and a sentence for each difference."""
    sides = {
        "decisions": (_decisions(event.commands), _decisions(wire.commands)),
        "orders": ([encode_order(o) for o in event.orders], [encode_order(o) for o in wire.orders]),
        "fills": (_fills(event.fills, event.commissions), _fills(wire.fills, wire.commissions)),
    }
    compared, differences = {}, []
    for name, (left, right) in sides.items():
        compared[name] = min(len(left), len(right))
        if len(left) != len(right):
            differences.append(f"{name}: backtest has {len(left)}, the wire {len(right)}")
        differences += [
            f"{name}[{k}]: backtest {a}, wire {b}" for k, (a, b) in enumerate(zip(left, right, strict=False)) if a != b
        ]
    return compared, differences


def _decisions(commands: Sequence[AnyCommand]) -> list[str]:
    """Return the decisions with all their numbers, as journaled."""
    return [encode(c).decode() for c in commands if isinstance(c, Submit | Deny | Hold)]


def encode_order(order: Order) -> str:
    """Return an order with its id: both sides must derive the same."""
    return "|".join(str(getattr(order, name)) for name in order.__struct_fields__)


def _fills(fills: Sequence[Fill], commissions: Sequence[Commission]) -> list[str]:
    """Return the fills with what they cost; execution ids are the venue's own and left out."""
    paid: dict[str, Decimal] = {c.exec_id: c.amount for c in commissions}
    return sorted(
        f"{f.ts_event}|{f.order_id}|{f.instrument}|{f.side}|{f.quantity}|{f.price}|{paid.get(f.exec_id)}" for f in fills
    )
