"""backtesting.py: orders of whole units or, of a share of the equity, sized by the engine itself."""

import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy  # type: ignore[import-not-found]
from backtesting.test import SMA  # type: ignore[import-not-found]

from tests.differential.engines.drivers.exchange import VALUES, Fills, Floats, Job, serve


class Wanted(Strategy):  # type: ignore[misc]
    """Order what is wanted, when that changes."""

    job: Job | None = None
    wants: Floats
    shares = False
    asked = np.nan

    def init(self) -> None:
        assert self.job is not None
        self.shares = self.job.shares
        if self.job.averages:
            close = self.job.close[:, 0]
            self.wants = self.job.crossed(*(SMA(close, n).to_numpy() for n in self.job.averages))[:, 0]
        else:
            self.wants = self.job.wants[:, 0]
        self.wants = pd.Series(self.wants).ffill().to_numpy()

    def next(self) -> None:
        want = self.wants[len(self.data) - 1]
        if np.isnan(want) or want == self.asked:
            return
        self.asked, change = want, want - self.position.size
        if self.shares:
            self.buy(size=min(want, 1 - 1e-12)) if want else self.position.close()
        elif change:
            (self.buy if change > 0 else self.sell)(size=abs(change))


def play(job: Job) -> tuple[Fills, float]:
    """Run one job."""
    frame = pd.DataFrame({name.title(): getattr(job, name)[:, 0] for name in VALUES},
                         index=pd.to_datetime(job.ts))  # fmt: skip
    run = Backtest(frame, Wanted, cash=job.cash, commission=job.fee, trade_on_close=job.fill == "this_close",
                   finalize_trades=False).run(job=job)  # fmt: skip
    closed = run["_trades"]
    fills = [(t.EntryBar, 0, t.Size, t.EntryPrice) for t in closed.itertuples()]
    fills += [(t.ExitBar, 0, -t.Size, t.ExitPrice) for t in closed.itertuples()]
    fills += [(t.entry_bar, 0, t.size, t.entry_price) for t in run["_strategy"].trades]
    return fills, run["Equity Final [$]"]


warnings.filterwarnings("ignore")  # it warns of each order it cancels and of what stays open: both are compared
serve(play)
