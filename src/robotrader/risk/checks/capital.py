"""Rows 12, 13, 18, 19, 20 and 23: how much capital may be at risk, everything open filled."""

from datetime import date
from decimal import Decimal

from msgspec.structs import astuple

from robotrader.model import NANOS_PER_SECOND, Order, Purpose, RiskCheck, RiskLimit, Side
from robotrader.risk.checks.amounts import sides, unit_value
from robotrader.risk.checks.check import PASSED, Exempt, Finding, check, missing, unknown, within, within_all
from robotrader.risk.facts import Facts, is_reducing

_BUY, _TARGET = Side.BUY, Purpose.TARGET
_DAY_TRADES, _DAY_TRADER_EQUITY = 3, Decimal(25_000)
_DAY_NS, _EPOCH = 86_400 * NANOS_PER_SECOND, date(1970, 1, 1).toordinal()


@check(RiskCheck.BUYING_POWER, 12, "what_if_equity_ratio", "min_excess_liquidity_ratio", "intraday_margin_from",
       exempt=Exempt.EXITS)  # fmt: skip
def buying_power(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 12: keep a buffer of excess liquidity; what an order above a share of the equity leaves, the broker says.

    A smaller one is counted as if it needed all of its value. `used` is the equity that margin would take.
    """
    if limits.intraday_margin_from is not None and (refused := _day_trade(order, facts, limits.intraday_margin_from)):
        return refused
    equity, margin, each = facts.snapshot.equity, facts.margin, unit_value(order, facts.snapshot)
    if each is None:
        return unknown("reference price")
    value, after = each * order.quantity, margin.excess_after
    if after is None and limits.what_if_equity_ratio is not None and value > equity * limits.what_if_equity_ratio:
        return "the broker's margin preview is missing or late", {"value": value}
    if after is None and margin.excess_liquidity is not None:
        after = margin.excess_liquidity - value
    if after is None:
        return unknown("excess liquidity")
    buffer = equity * (limits.min_excess_liquidity_ratio or 0)
    return within(equity - after, equity - buffer, "too little excess liquidity would be left", after=after)


def _day_trade(order: Order, facts: Facts, intraday_margin_from: date) -> Finding | None:
    """Refuse to enter where that could become a fourth day trade of a small account in five sessions.

    Source: FINRA Rule 4210(f)(8)(B), which the intraday margin standards replace: from then on only margin counts.
    """
    margin, day = facts.margin, order.ts_event // _DAY_NS + _EPOCH
    worth, done = margin.net_liquidation, margin.day_trades
    if day >= intraday_margin_from.toordinal():
        return None
    if worth is None or done is None:
        return unknown(*missing(margin, "net_liquidation", "day_trades"))
    if worth >= _DAY_TRADER_EQUITY or done < _DAY_TRADES:
        return None
    return "it could become a day trade too many", {"used": done + 1, "limit": _DAY_TRADES, "equity": worth}


@check(RiskCheck.POSITION_LIMIT, 13, "max_position_equity_ratio", "max_position_adv_ratio", exempt=Exempt.REDUCING)
def position_limit(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 13: cap the position if every open order of the same side fills: its value, and its share of the volume."""
    snapshot, each = facts.snapshot, unit_value(order, facts.snapshot)
    long, short = sides(order, snapshot.position, snapshot.open_buy, snapshot.open_sell)
    units = long if order.side is _BUY else short
    if each is None:
        return "no reference price", {"units": units}
    share, volume, most = limits.max_position_adv_ratio, snapshot.average_daily_volume, None
    if share is not None:
        if volume is None:
            return "average daily volume is not known", {"units": units}
        most = int(volume * share)
    reason, numbers = within_all(
        "position would be too large",
        ("value", abs(units) * each, _times(snapshot.equity, limits.max_position_equity_ratio)),
        ("volume", abs(units), most),
    )
    return reason, {"units": units} | (numbers or {})


@check(RiskCheck.EXPOSURE, 18, "max_gross_ratio", "max_net_ratio", "max_leverage", exempt=Exempt.EXITS)
def exposure(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 18: cap gross and net exposure by the equity, and gross by what the broker says the account is worth."""
    own, held, snapshot = _own(order, facts), facts.exposures, facts.snapshot
    if own is None or held is None:
        return unknown("exposures" if held is None else "reference price")
    worth = facts.margin.net_liquidation
    if worth is None and limits.max_leverage is not None:
        return unknown("net liquidation")
    long, short = own
    gross = held.gross + max(long, -short)
    net = max(held.long + long, -(held.short + short))
    return within_all(
        "exposure would be too large",
        ("gross", gross, _times(snapshot.equity, limits.max_gross_ratio)),
        ("net", net, _times(snapshot.equity, limits.max_net_ratio)),
        ("leverage", gross, _times(worth, limits.max_leverage)),
    )


@check(RiskCheck.STRATEGY_BUDGET, 19, "max_budget_ratio", "max_strategies_gross_ratio", exempt=Exempt.EXITS)
def strategy_budget(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 19: cap what a strategy has by its allocation, and what all have, each for itself, by the equity."""
    budget, each = facts.budget, unit_value(order, facts.snapshot)
    allocated, others, position, buys, sells, all_others = known = astuple(budget)
    if None in known:
        return unknown(*missing(budget, *budget.__struct_fields__))
    if each is None:
        return unknown("reference price")
    long, short = sides(order, position, buys, sells)
    own = max(long, -short) * each
    return within_all(
        "it exceeds what is allocated",
        ("strategy", others + own, _times(allocated, limits.max_budget_ratio)),
        ("all", all_others + own, _times(facts.snapshot.equity, limits.max_strategies_gross_ratio)),
    )


@check(RiskCheck.GROUP_EXPOSURE, 20, "max_group_ratio", exempt=Exempt.EXITS)
def group_exposure(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 20: cap the gross of each sector or correlation group that the instrument belongs to."""
    own, held = _own(order, facts), facts.exposures
    if own is None or held is None:
        return unknown("exposures" if held is None else "reference price")
    limit, gross = _times(facts.snapshot.equity, limits.max_group_ratio), max(own[0], -own[1])
    if not held.groups:
        return "", {"limit": limit}
    return within_all("its group would be too large", *((name, other + gross, limit) for name, other in held.groups))


def _own(order: Order, facts: Facts) -> tuple[Decimal, Decimal] | None:
    """Return the instrument's signed values with this order at worst case: all buys filled, or all sells."""
    snapshot, each = facts.snapshot, unit_value(order, facts.snapshot)
    long, short = sides(order, snapshot.position, snapshot.open_buy, snapshot.open_sell)
    return None if each is None else (long * each, short * each)


def _times(amount: Decimal | None, ratio: Decimal | None) -> Decimal | None:
    return None if ratio is None or amount is None else amount * ratio


@check(RiskCheck.LOSS_LIMIT, 23, "soft_daily_loss_ratio", "max_daily_loss_ratio", "max_drawdown_ratio")
def loss_limit(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 23: beyond the soft daily loss only exits go; beyond the hard one or the drawdown nothing but protection.

    What flattens by an operator's word goes in any case.
    """
    losses, leaves = facts.losses, is_reducing(order, facts.snapshot)
    equity, start, peak = losses.equity, losses.day_start, losses.peak
    if order.purpose is not _TARGET:
        return PASSED
    if equity is None or start is None or peak is None:
        return PASSED if leaves else unknown(*missing(losses, "equity", "day_start", "peak"))
    soft = None if leaves else _times(start, limits.soft_daily_loss_ratio)
    hard, drawdown = _times(start, limits.max_daily_loss_ratio), _times(peak, limits.max_drawdown_ratio)
    if soft is None and hard is None and drawdown is None:
        return "", {"used": start - equity}
    return within_all("lost too much", ("soft_daily_loss", start - equity, soft), ("daily_loss", start - equity, hard),
                    ("drawdown", peak - equity, drawdown))  # fmt: skip
