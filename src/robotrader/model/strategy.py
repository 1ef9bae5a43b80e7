"""What a strategy declares, and what it says."""

from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Annotated

from msgspec import Meta, Struct

from robotrader.model.errors import BadTick, StrategyError
from robotrader.model.market import BarSpec, InstrumentId
from robotrader.model.orders import StrategyId


class Stage(StrEnum):
    """Lifecycle of a strategy."""

    RESEARCH = "RESEARCH"
    SHADOW = "SHADOW"
    PAPER = "PAPER"
    CANARY = "CANARY"
    LIVE = "LIVE"
    RETIRED = "RETIRED"


class Resize(StrEnum):
    """When a target is sized anew.

    ON_CHANGE: only when the strength changes. EVERY_BAR: on every bar on which the strategy
    has a view (strength not NaN); a strategy with views at month starts only thus rebalances monthly.
    """

    ON_CHANGE = "on_change"
    EVERY_BAR = "every_bar"


class Parameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One typed parameter: its default and inclusive range."""

    default: int | float
    low: int | float
    high: int | float
    doc: str = ""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a strategy declares of itself; `warmup_bars` may depend on the parameters.

    `hypothesis` could be false; `reference` is where it comes from.
    """

    id: StrategyId
    version: str
    hypothesis: str
    reference: str = ""
    bar_spec: BarSpec
    warmup_bars: int
    parameters: dict[str, Parameter] = {}
    resize: Resize = Resize.ON_CHANGE


class Signal(Struct, frozen=True, kw_only=True):
    """A strategy's view: unitless `strength` in [-1, 1]; not an order. Raises `StrategyError` where it is not."""

    strategy: StrategyId
    instrument: InstrumentId
    ts_event: int
    strength: Annotated[float, Meta(ge=-1.0, le=1.0)]
    confidence: float = 1.0
    horizon: str | None = None
    metadata: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not -1 <= self.strength <= 1 or not isfinite(self.confidence):
            raise StrategyError(f"{self.strategy}: expected a strength from -1 to 1 and a finite confidence, found "
                                f"{self.strength} and {self.confidence}", strategy=self.strategy)  # fmt: skip


class Target(Struct, frozen=True, kw_only=True):
    """Desired signed position in units, and the numbers it was sized with."""

    strategy: StrategyId
    instrument: InstrumentId
    ts_event: int
    quantity: int
    sizing: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.quantity, int):
            raise BadTick(f"{self.strategy}: expected a target in whole units, found {self.quantity!r}")


class StrategyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configured strategy of a run; with the instruments, all that its decisions depend on.

    `source` is a library id or `path/to/file.py:ClassName`; `sizer` as in `portfolio/sizing.py`;
    `capital` in account currency, or `budget`, its part of what the strategies of the account share. `stop_loss` and
    `take_profit` rest at the broker, so far from the price at the decision: `percent:0.05` or `atr:2`, as in
    `execution/protection.py`; `trailing_percent:0.05` and `trailing_atr:2` are stops that follow the closes. A position
    held for `time_exit` (`90m`, `12h`, `10d`) is closed, and not opened again before the strength changes. None: no
    such order, no such exit.

    A target stays as it is where it would change by less than the part `turnover_buffer` of the larger one. Names whose
    returns correlate above `cluster_correlation` share one exposure, where the sizer sizes all names together.
    `drawdown_throttle` makes targets smaller in a drawdown, as in `portfolio/allocation.py`: `0.05:0.5,0.10:0`.

    A trader runs a strategy's file in a process of its own, unless `isolated` is not set: for what cannot be imported
    there (Numba), and is trusted like the trader itself.
    """

    id: StrategyId
    source: str
    universe: tuple[InstrumentId, ...]
    capital: Decimal = Decimal(0)
    budget: Decimal | None = None
    sizer: str = "fixed:100"
    parameters: dict[str, int | float] = {}
    resize: Resize | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    time_exit: str | None = None
    turnover_buffer: float = 0.0
    cluster_correlation: float | None = None
    drawdown_throttle: str | None = None
    stage: Stage = Stage.PAPER
    isolated: bool = True
