"""Backtests: the trader with the simulated venue."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from robotrader.model import CorporateAction, RiskLimit, StrategyConfig
from robotrader.risk.limits import profile

if TYPE_CHECKING:
    from robotrader.data.panel import Panel
    from robotrader.research.backtest import BacktestResult
    from robotrader.research.kernel_setup import Friction


_WORTH_COMPILED_CODE = 100_000  # bars: below, the event engine is done before the compiler's library is imported


class Costs(Struct, frozen=True, kw_only=True):
    """What the simulated venue charges and fills.

    `commission` as in `simulation.costs.cost_model`, half a spread in bps; `participation` is the share of a bar's
    volume that fills at most, None all of it; `impact` the coefficient of the square-root law (`simulation.impact`);
    `borrow_rate` what shorts pay a year. The last two are for backtests only.
    """

    commission: str = "ibkr_fixed"
    half_spread_bps: Decimal = Decimal(1)
    fill: str = "next_open"
    participation: float | None = None
    impact: Decimal = Decimal(0)
    borrow_rate: Decimal = Decimal(0)


PESSIMISTIC = Costs(participation=0.1, impact=Decimal(1), borrow_rate=Decimal("0.01"))
"""What a backtest assumes unless told."""
_FIXED_RULES = {
    "gap": "stops and limits fill at the open", "limit": "traded through by a tick", "no_volume": "no fill",
    "stop_and_target_in_one_bar": "the stop",
}  # fmt: skip


def backtest(
    strategies: Sequence[StrategyConfig],
    panel: "Panel",
    *,
    limits: str = "research",
    costs: Costs | None = None,
    actions: Sequence[CorporateAction] = (),
    engine: str = "event",
    keep_commands: bool = False,
    progress: Callable[[int], None] | None = None,
) -> "BacktestResult":
    """Run a backtest, with `PESSIMISTIC` costs unless told.

    `engine`: `event` (the trader with the simulated venue), `fast` (the compiled kernel) or `auto`: the kernel where it
    supports the run, and the panel is large enough to pay for loading it.

    Raises
    ------
    Unsupported
        Only the event engine can play this, and `fast` was asked for.
    """
    from robotrader.research.backtest import run_backtest
    from robotrader.simulation.venue import FillAt

    costs = costs or PESSIMISTIC
    if engine == "fast" or (engine == "auto" and not keep_commands and panel.bar_count >= _WORTH_COMPILED_CODE):
        found = _on_kernel(strategies, panel, profile(limits), costs, actions=actions, required=engine == "fast")
        if found is not None:
            return structs.replace(found, assumptions=_assumed(costs))
    found = run_backtest(
        strategies, panel, venue_of(panel, costs), limits=profile(limits), fill=FillAt(costs.fill),
        actions=actions, borrow_rate=costs.borrow_rate, keep_commands=keep_commands, progress=progress,
    )  # fmt: skip
    return structs.replace(found, assumptions=_assumed(costs))


def _assumed(costs: Costs) -> dict[str, str]:
    chosen = {name: "all" if value is None else str(value) for name, value in structs.asdict(costs).items()}
    return {**chosen, **_FIXED_RULES}


def _on_kernel(
    strategies: Sequence[StrategyConfig], panel: "Panel", limits: RiskLimit, costs: Costs, *,
    actions: Sequence[CorporateAction], required: bool,
) -> "BacktestResult | None":  # fmt: skip
    from robotrader.research.fast import run_fast
    from robotrader.research.kernel_setup import Unsupported

    try:
        return run_fast(strategies, panel, friction_of(costs), limits=limits, actions=actions).result()
    except Unsupported:
        if required:
            raise
        return None


def friction_of(costs: Costs) -> "Friction":
    """Return costs as the kernel takes them."""
    from robotrader.research.kernel_setup import Friction
    from robotrader.simulation.costs import cost_model
    from robotrader.simulation.venue import FillAt

    return Friction(
        costs=cost_model(costs.commission), fill=FillAt(costs.fill), half_spread_bps=costs.half_spread_bps,
        participation=costs.participation, impact=costs.impact, borrow_rate=costs.borrow_rate,
    )  # fmt: skip


def venue_of(panel: "Panel", costs: Costs) -> Any:
    """Return a simulated venue for a panel's instruments."""
    from robotrader.simulation.costs import cost_model
    from robotrader.simulation.impact import Impact
    from robotrader.simulation.venue import FillAt, Venue

    model = cost_model(costs.commission)
    instruments = {i.id: i for i in panel.instruments}
    return Venue(
        instruments, model, fill=FillAt(costs.fill), half_spread_bps=costs.half_spread_bps,
        participation=costs.participation, impact=Impact(panel, costs.impact) if costs.impact else None,
    )  # fmt: skip
