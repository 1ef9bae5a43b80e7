"""From research to production: what a gate asks, what was found, and the room in which nobody is asked."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from robotrader.model.errors import ConfigError
from robotrader.model.orders import StrategyId

_Share = Annotated[float, Meta(gt=0, le=1)]
_Ratio = Annotated[float, Meta(ge=0, le=1)]
_Sessions = Annotated[int, Meta(ge=1)]


class Gate(StrEnum):
    """What decides on a change of stage; G0 to G5 let a strategy on, a guard or an operator takes it back."""

    CODE = "G0"
    RESEARCH = "G1"
    SHADOW = "G2"
    PAPER = "G3"
    CANARY = "G4"
    RAMP = "G5"
    GUARD = "guard"
    OPERATOR = "operator"


class Exit(StrEnum):
    """What becomes of a position when its strategy goes back to shadow: it ends at once, or as the strategy ends it."""

    FLATTEN = "flatten"
    WORK_OUT = "work_out"


class Criterion(Struct, frozen=True, kw_only=True):
    """One thing that a gate or a guard looks at: met where `value` is at least, or at most, `bound`.

    None: nothing is known of it, which meets nothing.
    """

    name: str
    value: float | None
    bound: float
    at_least: bool
    detail: str = ""

    @property
    def met(self) -> bool:
        """Tell whether it is so; what is not a number is not."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound


class Dossier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What research found of one version of a strategy: the figures of gates G0 and G1, and what to expect of it.

    `source_hash` is that of the strategy's code, `data_hash` that of the bars. `figures` are by the criterion's name,
    None where there is nothing to say. `drawdown_band` is the largest drawdown (a ratio) that backtests drawn from the
    same returns show within `band_sessions`, but for one in a hundred; `edge_bps` what a trade earned before costs, per
    unit of what it traded; `denial_ratio` the part of its orders that the gate denied; `strengths` how often each of
    the bins of `strength_bins` was said (ratios).
    """

    strategy: StrategyId
    version: str
    source_hash: str
    data: str
    data_hash: str
    figures: dict[str, float | None]
    drawdown_band: float | None = None
    band_sessions: int = 20
    edge_bps: float | None = None
    denial_ratio: float = 0.0
    strengths: tuple[float, ...] = ()


class LifecycleRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gates ask, and the pre-approved envelope in which strategies are promoted without being asked.

    `capital` is the most that the strategies in CANARY and LIVE may have together, in account currency; `loss_budget`
    the part of its capital that a strategy may lose in CANARY, and in each step of the ramp. The envelope is in force
    once somebody armed it, for one run of the trader. `sessions` each stage takes at least, `ramp_sessions` each step
    of the ramp. Slippage is the average price beyond the decision's, in bps, less that of the virtual book: of paper it
    must lie within `slippage_band_bps`, of real orders it must be no more than `slippage_margin_bps` worse.
    `return_margin` is that of a session's return, real less virtual, of the same capital.
    """

    capital: Decimal
    loss_budget: _Ratio = 0.02
    sessions: _Sessions = 20
    ramp_sessions: _Sessions = 10
    canary: _Share = 0.05
    ramp: tuple[_Share, ...] = (0.25, 0.5, 1.0)
    exit: Exit = Exit.FLATTEN
    deflated_sharpe: _Ratio = 0.95
    overfitting: _Ratio = 0.2
    spa_p: _Ratio = 0.05
    oos_is: float = 0.5
    data_ratio: _Ratio = 0.99
    slippage_band_bps: Annotated[float, Meta(gt=0)] = 5.0
    slippage_margin_bps: Annotated[float, Meta(gt=0)] = 3.0
    return_margin: Annotated[float, Meta(gt=0)] = 0.002
    fewest_orders: Annotated[int, Meta(ge=1)] = 30
    reject_ratio: _Ratio = 0.05
    drift: Annotated[float, Meta(gt=0)] = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.capital < Decimal("Infinity") or list(self.ramp) != sorted({*self.ramp}) or not self.ramp:
            raise ConfigError("lifecycle: expected capital above 0 and a ramp of growing shares, found "
                              f"{self.capital} and {self.ramp}")  # fmt: skip


class StageFacts(Struct, frozen=True, kw_only=True):
    """What was seen of a strategy since its stage, or its step of the ramp, began.

    `sections` cross-sections came of `sections_due`, with `bars` of `bars_due` bars. `signals` were said anew from the
    recorded bars, `signals_differing` of them otherwise than live. `slippage_bps` are those of real orders,
    `slippage_excess_bps` the same less the virtual book's, order by order; `returns` the sessions' returns of the real
    book, `virtual_returns` those of the virtual one, both of the same capital. `drawdown` is the deepest of the virtual
    book within the last `band_sessions`. `breaches` are broken invariants, `breaks` tickets. `strengths` counts what
    was said by bin, `faults` why the strategy was quarantined. `loss` is the real book's, in account currency, > 0.
    """

    sessions: int = 0
    sections: int = 0
    sections_due: int = 0
    bars: int = 0
    bars_due: int = 0
    signals: int = 0
    signals_differing: int = 0
    virtual_orders: int = 0
    virtual_denied: int = 0
    orders: int = 0
    rejected: int = 0
    breaches: int = 0
    breaks: int = 0
    slippage_bps: tuple[float, ...] = ()
    slippage_excess_bps: tuple[float, ...] = ()
    returns: tuple[float, ...] = ()
    virtual_returns: tuple[float, ...] = ()
    drawdown: float = 0.0
    loss: Decimal = Decimal(0)
    capital: Decimal = Decimal(0)
    strengths: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()


STRENGTH_BINS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Upper ends of the bins in which strengths are counted, each with its end; no view is one bin more, the last."""
