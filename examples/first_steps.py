"""First steps: load bars, run a library strategy, look at what it did, and write its report.

Run it with `python examples/first_steps.py`, or paste it into a notebook.
"""

import robotrader as rt

# Real daily bars of four large companies, 2000 to 2013. They were chosen because they did well: a flattering sample.
data = rt.load("sample:all", start="2005-01-01")
print(data)

# Ten per cent of the equity in each instrument that is above its long average. Costs are on unless you turn them off.
result = rt.backtest("sma_crossover", data, {"fast": 20, "slow": 100}, sizer="percent:0.1")
print(result)

# Everything comes out as Polars frames.
print(result.equity.tail(3))
print(result.fills.head(3))
print(result.fills["instrument"].value_counts(sort=True))

# The same with twice the costs: does anything remain?
doubled = rt.Costs(half_spread_bps=2, impact=2, borrow_rate=0.02)
worse = rt.backtest("sma_crossover", data, {"fast": 20, "slow": 100}, sizer="percent:0.1", costs=doubled)
print(f"Sharpe {result.metrics['sharpe']:.2f}, at twice the costs {worse.metrics['sharpe']:.2f}")

# Both runs were counted before they began: the deflated Sharpe ratio knows how often you have tried.
print(rt.trials("sma_crossover"))
print(rt.report(result, "first_steps.html"))
