"""vectorbt: targets at the rows of their fills; a share of the equity is valued at the close of the decision."""

import numpy as np
import pandas as pd
import vectorbt as vbt  # type: ignore[import-not-found]
from vectorbt.portfolio.enums import SizeType  # type: ignore[import-not-found]

from tests.differential.engines.drivers.exchange import Fills, Job, serve


def play(job: Job) -> tuple[Fills, float]:
    """Run one job."""
    close = pd.DataFrame(job.close, index=pd.to_datetime(job.ts), columns=job.symbols)
    wants = job.wants
    if job.averages:
        wants = job.crossed(*(vbt.MA.run(close.iloc[:, 0], n).ma.to_numpy() for n in job.averages))
    decided = job.close if job.fill == "this_close" else np.vstack((job.close[:1], job.close[:-1]))
    portfolio = vbt.Portfolio.from_orders(
        close, size=job.when_filled(wants), size_type=SizeType.TargetPercent if job.shares else SizeType.TargetAmount,
        price=job.open if job.fill == "next_open" else job.close, val_price=decided, fees=job.fee, init_cash=job.cash,
        size_granularity=1.0, group_by=True, cash_sharing=True, call_seq="auto", freq="1D",
    )  # fmt: skip
    orders = portfolio.orders.values
    units = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    fills = list(zip(orders["idx"], orders["col"], units, orders["price"], strict=True))
    return fills, float(portfolio.value().iloc[-1])


serve(play)
