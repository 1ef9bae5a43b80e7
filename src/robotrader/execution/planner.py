"""Target minus position minus working orders = the order to send."""

from robotrader.model import Order, OrderType, Purpose, Side, Target, TimeInForce, derive_order_id


def plan(target: Target, *, position: int, working: int, version: str, n: int = 0) -> Order | None:
    """Return the market order that takes the strategy to its target, None when nothing is missing.

    Parameters
    ----------
    position, working : int
        Signed units held, and unfilled in the strategy's open orders (buys minus sells).
    version : str
        The strategy's version, part of the order's identity.
    n : int
        Which order of this decision it is.
    """
    delta = target.quantity - position - working
    if not delta:
        return None
    return Order(
        id=derive_order_id(strategy=target.strategy, version=version, ts_event=target.ts_event,
                           instrument=target.instrument, purpose=Purpose.TARGET, n=n),
        strategy=target.strategy,
        instrument=target.instrument,
        side=Side.BUY if delta > 0 else Side.SELL,
        quantity=abs(delta),
        ts_event=target.ts_event,
        type=OrderType.MARKET,
        tif=TimeInForce.DAY,
    )  # fmt: skip
