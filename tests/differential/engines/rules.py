"""The closed list of the rules by which other engines differ from ours, and the search for those that explain."""

from itertools import combinations
from typing import Any

from msgspec import Struct, structs

from tests.differential.engines.drivers.exchange import Job
from tests.differential.engines.ledger import Record, Rules, play, same


class Rule(Struct, frozen=True, kw_only=True):
    """A rule of another engine: what it changes in the ledger, a sentence, where the engine says so."""

    engine: str
    name: str
    changes: dict[str, Any]
    sentence: str
    evidence: str


RULES = (
    Rule(engine="backtesting.py", name="sized-at-fill", changes={"valued_late": True},
         sentence="A size below 1 is a share of the free margin when the order fills, at the price of the fill.",
         evidence="0.6.6, backtesting/backtesting.py, _Broker._process_orders: size from margin_available"),
    Rule(engine="backtesting.py", name="fee-within", changes={"fee_within": True},
         sentence="Such a size is what the share buys at the price with the commission added.",
         evidence="0.6.6, backtesting/backtesting.py, _Broker._process_orders: adjusted_price_plus_commission"),
    Rule(engine="backtesting.py", name="refused-without-cash", changes={"cash": "refuse"},
         sentence="A purchase that costs more than the free margin is cancelled whole.",
         evidence="0.6.6, backtesting/backtesting.py, _Broker._process_orders: 'canceled ... insufficient margin'"),
    Rule(engine="backtesting.py", name="second-bar", changes={"second_bar": True},
         sentence="The strategy is asked from the second bar on.",
         evidence="0.6.6, backtesting/backtesting.py, Backtest.run: '+1 to have at least two entries available'"),
    Rule(engine="backtesting.py", name="last-bar", changes={"last_bar": False},
         sentence="With trade_on_close an order fills when the next bar comes: one of the last bar never does.",
         evidence="0.6.6, backtesting/backtesting.py, _Broker._process_orders: prev_close = data.Close[-2]"),
    Rule(engine="vectorbt", name="change-toward-zero", changes={"toward_zero": True},
         sentence="The granularity rounds the size of the order down, not the target: a sale leaves a fraction more.",
         evidence="1.2.0, vectorbt/portfolio/nb.py, sell_nb: size_limit // size_granularity * size_granularity"),
    Rule(engine="vectorbt", name="cut-to-cash", changes={"cash": "cut"},
         sentence="A purchase is cut to what the cash pays, commission included.",
         evidence="1.2.0, vectorbt/portfolio/nb.py, buy_nb: 'Insufficient amount of cash, size will be less'"),
    Rule(engine="bt", name="fee-within", changes={"fee_within": True},
         sentence="The commission is paid out of the amount allocated: purchases are smaller by it, sales larger.",
         evidence="1.4.1, bt/core.py, SecurityBase.allocate: 'determine quantity - must also factor in commission'"),
    Rule(engine="bt", name="weighed-at-trade", changes={"valued_late": True},
         sentence="Weights are of the value at the bar of the trade: a decision carried over a bar is sized there.",
         evidence="1.4.1, bt/algos.py, Rebalance.__call__: base = target.value"),
    Rule(engine="nautilus_trader", name="cents", changes={"cents": True},
         sentence="Commissions and realised profits are Money, and USD has two decimals: rounded to cents, halves up.",
         evidence="1.231.0, nautilus_trader/backtest/models/fee.pyx, MakerTakerFeeModel; position.pyx, calculate_pnl"),
    Rule(engine="nautilus_trader", name="fill-unseen", changes={"unseen": True},
         sentence="An order under way fills after the strategy has seen the bar: it decides on the account before.",
         evidence="1.231.0, nautilus_trader/backtest/engine.pyx, BacktestEngine._run: data first, then settle venues"),
    Rule(engine="nautilus_trader", name="first-instrument", changes={"first_only": True},
         sentence="Orders under way are all matched when the time's first bar is in: others at their close before.",
         evidence="1.231.0, nautilus_trader/backtest/engine.pyx, SimulatedExchange._drain_commands"),
    Rule(engine="nautilus_trader", name="quarter-volume", changes={"shallow": True},
         sentence="A bar is four ticks of a quarter of its volume; what an order takes beyond fills a tick worse.",
         evidence="1.231.0, nautilus_trader/model/data.pxd, compute_bar_quarter_sizes; engine.pyx, apply_fills"),
)  # fmt: skip


def explanation(job: Job, engine: str, found: Record, rules: tuple[Rule, ...] = RULES) -> list[str] | None:
    """Return the fewest rules of an engine that predict its fills and equity: none where it is as ours is.

    None when they do not, or when all rules of the engine together do not: a rule holds always, or is none.
    """
    own = tuple(rule for rule in rules if rule.engine == engine)
    if not same(predicted(job, own), found):
        return None
    subsets = (chosen for count in range(len(own) + 1) for chosen in combinations(own, count))
    return next([rule.name for rule in chosen] for chosen in subsets if same(predicted(job, chosen), found))


def predicted(job: Job, rules: tuple[Rule, ...]) -> Record:
    """Return what an engine of these rules does with a job."""
    changed = {name: value for rule in rules for name, value in rule.changes.items()}
    return play(job, structs.replace(Rules(), **changed))
