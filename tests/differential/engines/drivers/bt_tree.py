"""bt: units by `transact`, shares of the equity by its own `Rebalance`; it knows one price a bar, the close."""

import bt  # type: ignore[import-not-found]
import numpy as np
import pandas as pd

from tests.differential.engines.drivers.exchange import Fills, Job, serve


class Transact(bt.Algo):  # type: ignore[misc]
    """Bring the children to their target units."""

    def __init__(self, targets: pd.DataFrame) -> None:
        super().__init__()
        self.targets = targets

    def __call__(self, target: "bt.Strategy") -> bool:
        for name, want in self.targets.loc[target.now].dropna().items():
            target.transact(want - target.children[name].position, child=name)
        return True


class Weights(bt.Algo):  # type: ignore[misc]
    """Hand on the weights of the rows at which something is wanted."""

    def __init__(self, weights: pd.DataFrame) -> None:
        super().__init__()
        self.weights = weights

    def __call__(self, target: "bt.Strategy") -> bool:
        target.temp["weights"] = self.weights.loc[target.now].dropna().to_dict()
        return bool(target.temp["weights"])


def play(job: Job) -> tuple[Fills, float]:
    """Run one job."""
    close = pd.DataFrame(job.close, index=pd.to_datetime(job.ts), columns=job.symbols)
    wants = job.wants
    if job.averages:
        series = close.iloc[:, 0]
        wants = job.crossed(*(series.rolling(n).mean().to_numpy() for n in job.averages))
    rows = pd.DataFrame(job.when_filled(wants), index=close.index, columns=close.columns)
    algos = [Weights(rows), bt.algos.Rebalance()] if job.shares else [Transact(rows)]
    strategy = bt.Strategy("wanted", algos, children=[bt.Security(name) for name in job.symbols])
    run = bt.Backtest(strategy, close, initial_capital=job.cash, integer_positions=True, progress_bar=False,
                      commissions=lambda units, price: abs(units) * price * job.fee)  # fmt: skip
    run.run()
    held = run.positions[job.symbols].to_numpy()  # its first row is a day before the data
    changes = np.diff(held, axis=0)
    fills = [(int(r), int(c), round(changes[r, c]), float(job.close[r, c])) for r, c in np.argwhere(changes)]
    return fills, float(run.strategy.value)


serve(play)
