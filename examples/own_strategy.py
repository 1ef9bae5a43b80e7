"""An own strategy, from a class to a verdict: try it, sweep it, and see what the trials leave of it.

Run it with `python examples/own_strategy.py`, or paste it into a notebook.
"""

import numpy as np

import robotrader as rt
from robotrader.model import BarSpec, Manifest, Parameter
from robotrader.strategy.library.windows import trailing


class Dip:
    """Long after a fall of some per cent over some bars, out when half as many bars have risen."""

    PARAMETERS = {
        "bars": Parameter(default=10, low=2, high=100, doc="over which the fall is measured"),
        "fall": Parameter(default=5.0, low=0.5, high=50.0, doc="per cent"),
    }

    def __init__(self, *, bars, fall):
        self.bars, self.fall = bars, fall

    @property
    def manifest(self):
        return Manifest(
            id="dip", version="1", bar_spec=BarSpec.DAY, warmup_bars=self.bars + 1, parameters=self.PARAMETERS,
            hypothesis="What fell fast rises more than usual over the next days. The rise pays for its costs.",
        )  # fmt: skip

    def signals(self, panel):
        window = trailing(panel.close, self.bars + 1)
        change = window[..., -1] / window[..., 0] - 1
        rising = np.diff(window, axis=-1) > 0
        out = np.full(panel.close.shape, np.nan)  # NaN: stay as you are
        out[rising.mean(axis=-1) > 0.5] = 0.0
        out[change < -self.fall / 100] = 1.0
        out[np.isnan(change)] = np.nan
        return out


data = rt.load("sample:all")
print(rt.backtest(Dip, data, sizer="percent:0.25"))

# Thirty sets of parameters are thirty trials; whatever is best of them has been chosen by its luck, too.
sweep = rt.sweep(Dip, data, {"bars": range(5, 30, 5), "fall": range(2, 14, 2)}, sizer="percent:0.25")
print(sweep.table.sort("sharpe", descending=True, nulls_last=True).head(5))
print(f"best {sweep.best}: deflated Sharpe {sweep.deflated_sharpe:.2f}, overfit with probability {sweep.pbo:.2f}")
print(f"{len(rt.trials('Dip'))} trials so far")
