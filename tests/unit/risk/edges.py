"""Edges of the checks of rows 3, 8, 10 to 12, 14 to 26: at the limit, and one unit beyond."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from msgspec import structs

from robotrader.model import NANOS_PER_SECOND, Currency, Order, OrderType, Purpose, RiskLimit, Stage
from robotrader.risk import checks
from robotrader.risk.checks.check import Check
from robotrader.risk.facts import Exposures, Facts
from tests import builders as make
from tests.unit.risk.facts import KNOWN, OFF, D, buy, facts, knowing, sell

Case = tuple[Check, RiskLimit, tuple[Order, Facts], tuple[Order, Facts]]

SECOND = NANOS_PER_SECOND
CLOSES = KNOWN.session.closes or 0


def limits(**kwargs: object) -> RiskLimit:
    return structs.replace(OFF, **kwargs)


def elsewhere(gross: int = 0, *, long: int = 0, short: int = 0, **groups: int) -> Facts:
    """Make facts with this much in other instruments, in all and in groups of the order's."""
    found = Exposures(D(gross), D(long), D(short), tuple((name, D(amount)) for name, amount in groups.items()))
    return structs.replace(KNOWN, exposures=found)


def at(executes: int, **market: Any) -> Facts:
    return knowing("session", knowing("market", **market), executes=executes)


def conduct(**fields: Any) -> Facts:
    return knowing("conduct", **fields)


def market(**fields: Any) -> Facts:
    return knowing("market", **fields)


def cheap(close: str, **fields: Any) -> Facts:
    """Make facts of an instrument that stands at this price."""
    tick = structs.replace(make.SPY, tick=D("0.0001"))
    return knowing("market", facts(last_close=D(close), reference_price=D(close), instrument=tick), **fields)


def lost(equity: int, base: Facts = KNOWN, **fields: Any) -> Facts:
    return knowing("losses", base, equity=D(equity), **fields)


def typed(order: Order, kind: OrderType = OrderType.MARKET, purpose: Purpose = Purpose.TARGET) -> Order:
    return structs.replace(order, type=kind, purpose=purpose)


LULD = limits(luld_bands=True)
NARROW = limits(max_gross_ratio=D("1.5"), max_net_ratio=D(9), max_leverage=D(9))
EUROS = facts(instrument=structs.replace(make.SPY, currency=Currency("EUR")))
BORROW = limits(min_borrow_level=2.5, min_borrow_cover=2.0, max_borrow_age_s=900.0, max_borrow_fee_ratio=0.10)
LOSSES = limits(soft_daily_loss_ratio=D("0.02"), max_daily_loss_ratio=D("0.03"), max_drawdown_ratio=D("0.10"))
HELD = facts(position=100)
OER = limits(order_efficiency_warning=10.0, max_order_efficiency=15.0)
DAY_NS = 86_400 * SECOND
MIDNIGHT = make.T0 // DAY_NS * DAY_NS
THAT_DAY = date(1970, 1, 1) + timedelta(days=make.T0 // DAY_NS)
FROM_THAT_DAY = limits(intraday_margin_from=THAT_DAY)
FROM_NEXT_DAY = limits(intraday_margin_from=THAT_DAY + timedelta(days=1))
STANDING = limits(standing_required=True)
AUTHORITY = limits(authority_required=True)

EDGES: dict[str, Case] = {
    "least": (checks.min_order_notional, limits(min_order_notional=D(200)), (buy(2), KNOWN), (buy(1), KNOWN)),
    "least-cent": (
        checks.min_order_notional, limits(min_order_notional=D(200)),
        (buy(2, limit="100.00"), KNOWN), (buy(2, limit="99.99"), KNOWN),
    ),
    "currency": (checks.allow_list, limits(currencies=(Currency("USD"),)), (buy(1), KNOWN), (buy(1), EUROS)),
    "repeated": (
        checks.repeated_execution, limits(max_repeated_fills=10),
        (buy(1), conduct(recent_fills=9)), (buy(1), conduct(recent_fills=10)),
    ),
    "open": (
        checks.open_orders, limits(max_open_orders=100),
        (buy(1), conduct(open_orders=99)), (buy(1), conduct(open_orders=100)),
    ),
    "open-instrument": (
        checks.open_orders, limits(max_open_orders=100, max_open_orders_instrument=5),
        (buy(1), conduct(instrument_open_orders=4)), (buy(1), conduct(instrument_open_orders=5)),
    ),
    "buying-power-previewed": (
        checks.buying_power, limits(what_if_equity_ratio=D("0.02"), min_excess_liquidity_ratio=D("0.20")),
        (buy(21), knowing("margin", excess_after=D(20_000))), (buy(21), knowing("margin", excess_after=D("19999.99"))),
    ),
    "buying-power-asks-for-a-preview": (
        checks.buying_power, limits(what_if_equity_ratio=D("0.02"), min_excess_liquidity_ratio=D("0.20")),
        (buy(20), knowing("margin", excess_after=None)), (buy(21), knowing("margin", excess_after=None)),
    ),
    "buying-power-small": (
        checks.buying_power, limits(what_if_equity_ratio=D("0.02"), min_excess_liquidity_ratio=D("0.20")),
        (buy(10), knowing("margin", excess_after=None, excess_liquidity=D(21_000))),
        (buy(10), knowing("margin", excess_after=None, excess_liquidity=D("20999.99"))),
    ),
    "position-adv": (
        checks.position_limit, limits(max_position_adv_ratio=0.02),
        (buy(150), facts(average_daily_volume=10_000.0, position=50)),
        (buy(151), facts(average_daily_volume=10_000.0, position=50)),
    ),
    "position-adv-short": (
        checks.position_limit, limits(max_position_adv_ratio=0.02),
        (sell(150), facts(average_daily_volume=10_000.0, position=-50)),
        (sell(151), facts(average_daily_volume=10_000.0, position=-50)),
    ),
    "luld-computed": (checks.luld, LULD, (buy(1, limit="105.00"), KNOWN), (buy(1, limit="105.01"), KNOWN)),
    "luld-computed-sell": (checks.luld, LULD, (sell(1, limit="95.00"), KNOWN), (sell(1, limit="94.99"), KNOWN)),
    "luld-tier-2": (
        checks.luld, LULD,
        (buy(1, limit="110.00"), market(luld_tier=2)), (buy(1, limit="110.01"), market(luld_tier=2)),
    ),
    "luld-unknown-tier-is-the-narrower": (
        checks.luld, LULD,
        (buy(1, limit="105.00"), market(luld_tier=None)), (buy(1, limit="105.01"), market(luld_tier=None)),
    ),
    "luld-three-dollars": (
        checks.luld, LULD, (buy(1, limit="3.60"), cheap("3.00")), (buy(1, limit="3.6001"), cheap("3.00")),
    ),
    "luld-above-three-dollars": (
        checks.luld, LULD, (buy(1, limit="4.20"), cheap("4.00")), (buy(1, limit="4.2001"), cheap("4.00")),
    ),
    "luld-cents": (
        checks.luld, LULD, (buy(1, limit="0.75"), cheap("0.60")), (buy(1, limit="0.7501"), cheap("0.60")),
    ),
    "luld-pennies": (
        checks.luld, LULD, (buy(1, limit="0.175"), cheap("0.10")), (buy(1, limit="0.1751"), cheap("0.10")),
    ),
    "luld-last-25-minutes": (
        checks.luld, LULD,
        (buy(1, limit="110.00"), at(CLOSES - 1_500 * SECOND)), (buy(1, limit="110.00"), at(CLOSES - 1_501 * SECOND)),
    ),
    "luld-tier-2-is-not-doubled": (
        checks.luld, LULD,
        (buy(1, limit="110.00"), at(CLOSES - SECOND, luld_tier=2)),
        (buy(1, limit="110.01"), at(CLOSES - SECOND, luld_tier=2)),
    ),
    "luld-given": (
        checks.luld, LULD,
        (buy(1, limit="101.00"), market(upper_band=D(101))), (buy(1, limit="101.01"), market(upper_band=D(101))),
    ),
    "luld-given-sell": (
        checks.luld, LULD,
        (sell(1, limit="99.00"), market(lower_band=D(99), upper_band=D(101))),
        (sell(1, limit="98.99"), market(lower_band=D(99), upper_band=D(101))),
    ),
    "luld-market-order-pays-the-ask": (
        checks.luld, LULD,
        (buy(1), market(ask=D(101), upper_band=D(101))), (buy(1), market(ask=D("101.01"), upper_band=D(101))),
    ),
    "luld-limit-state": (checks.luld, LULD, (buy(1), KNOWN), (buy(1), market(limit_state=True))),
    "session-opens": (
        checks.session, limits(entry_cutoff_s=600.0), (buy(1), at(make.T0)), (buy(1), at(make.T0 - 1)),
    ),
    "session-cutoff": (
        checks.session, limits(entry_cutoff_s=600.0),
        (buy(1), at(CLOSES - 600 * SECOND)), (buy(1), at(CLOSES - 600 * SECOND + 1)),
    ),
    "session-closes": (
        checks.session, limits(entry_cutoff_s=0.0), (buy(1), at(CLOSES - 1)), (buy(1), at(CLOSES)),
    ),
    "session-early-close": (
        checks.session, limits(entry_cutoff_s=600.0),
        (buy(1), knowing("session", executes=make.T0 + 3_000 * SECOND, closes=make.T0 + 3_600 * SECOND)),
        (buy(1), knowing("session", executes=make.T0 + 3_001 * SECOND, closes=make.T0 + 3_600 * SECOND)),
    ),
    "session-halt": (
        checks.session, limits(entry_cutoff_s=600.0), (buy(1), KNOWN), (buy(1), market(halted=True)),
    ),
    "borrow-level": (
        checks.borrow, BORROW, (sell(1), knowing("borrow", level=2.51)), (sell(1), knowing("borrow", level=2.5)),
    ),
    "borrow-shares": (
        checks.borrow, BORROW, (sell(50), knowing("borrow", shares=100)), (sell(50), knowing("borrow", shares=99)),
    ),
    "borrow-for-open-sells-too": (
        checks.borrow, BORROW,
        (sell(50), knowing("borrow", facts(position=30, open_sell=40), shares=120)),
        (sell(51), knowing("borrow", facts(position=30, open_sell=40), shares=120)),
    ),
    "borrow-age": (
        checks.borrow, BORROW,
        (sell(1), knowing("borrow", age_ns=900 * SECOND)), (sell(1), knowing("borrow", age_ns=900 * SECOND + 1)),
    ),
    "borrow-fee": (
        checks.borrow, BORROW,
        (sell(1), knowing("borrow", fee_rate=0.10)), (sell(1), knowing("borrow", fee_rate=0.1001)),
    ),
    "rule-201": (
        checks.short_price_test, limits(short_price_test=True),
        (sell(1, limit="100.00"), market(short_restricted=True)),
        (sell(1, limit="99.99"), market(short_restricted=True)),
    ),
    "rule-201-market-order": (
        checks.short_price_test, limits(short_price_test=True),
        (sell(1), KNOWN), (sell(1), market(short_restricted=True)),
    ),
    "gross": (checks.exposure, NARROW, (buy(100), elsewhere(140_000)), (buy(101), elsewhere(140_000))),
    "gross-worst-side": (
        checks.exposure, NARROW,
        (buy(1), structs.replace(elsewhere(140_000), snapshot=facts(position=-40, open_buy=40, open_sell=60).snapshot)),
        (buy(1), structs.replace(elsewhere(140_000), snapshot=facts(position=-40, open_buy=40, open_sell=61).snapshot)),
    ),
    "net-long": (
        checks.exposure, limits(max_net_ratio=D(1)),
        (buy(100), elsewhere(long=90_000, short=90_000)), (buy(101), elsewhere(long=90_000, short=90_000)),
    ),
    "net-short": (
        checks.exposure, limits(max_net_ratio=D(1)), (sell(100), elsewhere(short=-90_000)),
        (sell(101), elsewhere(short=-90_000)),
    ),
    "leverage": (
        checks.exposure, limits(max_leverage=D("1.5")),
        (buy(1), knowing("margin", elsewhere(1_400), net_liquidation=D(1_000))),
        (buy(2), knowing("margin", elsewhere(1_400), net_liquidation=D(1_000))),
    ),
    "budget": (
        checks.strategy_budget, limits(max_budget_ratio=D(1)),
        (buy(100), knowing("budget", others=D(90_000))), (buy(101), knowing("budget", others=D(90_000))),
    ),
    "budget-own-open-orders": (
        checks.strategy_budget, limits(max_budget_ratio=D(1)),
        (buy(40), knowing("budget", others=D(90_000), position=20, open_buy=40)),
        (buy(41), knowing("budget", others=D(90_000), position=20, open_buy=40)),
    ),
    "budget-own-sells": (
        checks.strategy_budget, limits(max_budget_ratio=D(1)),
        (sell(40), knowing("budget", others=D(90_000), position=-20, open_sell=40)),
        (sell(41), knowing("budget", others=D(90_000), position=-20, open_sell=40)),
    ),
    "budgets-together": (
        checks.strategy_budget, limits(max_budget_ratio=D(1), max_strategies_gross_ratio=D("1.5")),
        (buy(100), knowing("budget", all_others=D(140_000))), (buy(101), knowing("budget", all_others=D(140_000))),
    ),
    "group": (
        checks.group_exposure, limits(max_group_ratio=D("0.25")),
        (buy(50), elsewhere(energy=20_000, oil=1)), (buy(51), elsewhere(energy=20_000, oil=1)),
    ),
    "self-trade": (
        checks.self_trade, limits(self_trade_guard=True),
        (buy(1, limit="100.00"), conduct(opposite=(sell(1, limit="100.01"),))),
        (buy(1, limit="100.01"), conduct(opposite=(sell(1, limit="100.01"),))),
    ),
    "self-trade-sell": (
        checks.self_trade, limits(self_trade_guard=True),
        (sell(1, limit="100.01"), conduct(opposite=(buy(1, limit="100.00"),))),
        (sell(1, limit="100.00"), conduct(opposite=(buy(1, limit="100.00"),))),
    ),
    "self-trade-market-order-goes-to-the-collar": (
        checks.self_trade, limits(self_trade_guard=True, price_collar_ratio=D("0.03")),
        (buy(1), conduct(opposite=(sell(1, limit="103.01"),))), (buy(1), conduct(opposite=(sell(1, limit="103.00"),))),
    ),
    "self-trade-stops-rest-at-no-price": (
        checks.self_trade, limits(self_trade_guard=True),
        (buy(1), conduct(opposite=(sell(1, stop="95.00"),))), (buy(1), conduct(opposite=(sell(1),))),
    ),
    "efficiency": (
        checks.order_efficiency, OER,
        (buy(1), conduct(submitted=20, revised=5, canceled=4, executed=1)),
        (buy(1), conduct(submitted=20, revised=5, canceled=5, executed=1)),
    ),
    "efficiency-floor": (
        checks.order_efficiency, structs.replace(OER, order_efficiency_floor=100),
        (buy(1), conduct(submitted=90, revised=5, canceled=4)), (buy(1), conduct(submitted=90, revised=5, canceled=5)),
    ),
    "day-trades": (
        checks.buying_power, FROM_NEXT_DAY,
        (buy(1), knowing("margin", net_liquidation=D(24_999), day_trades=2)),
        (buy(1), knowing("margin", net_liquidation=D(24_999), day_trades=3)),
    ),
    "day-trades-of-a-small-account": (
        checks.buying_power, FROM_NEXT_DAY,
        (buy(1), knowing("margin", net_liquidation=D(25_000), day_trades=9)),
        (buy(1), knowing("margin", net_liquidation=D("24999.99"), day_trades=9)),
    ),
    "intraday-margin-from-its-first-day": (
        checks.buying_power, FROM_THAT_DAY,
        (buy(1), knowing("margin", net_liquidation=D(1), day_trades=9)),
        (structs.replace(buy(1), ts_event=MIDNIGHT - 1), knowing("margin", net_liquidation=D(1), day_trades=9)),
    ),
    "intraday-margin-no-deficit": (
        checks.buying_power, FROM_THAT_DAY,
        (buy(10), knowing("margin", excess_after=None, excess_liquidity=D(1_000))),
        (buy(10), knowing("margin", excess_after=None, excess_liquidity=D("999.99"))),
    ),
    "loss-soft": (checks.loss_limit, LOSSES, (buy(1), lost(98_000)), (buy(1), lost(97_999))),
    "loss-hard": (checks.loss_limit, LOSSES, (sell(100), lost(97_000, HELD)), (sell(100), lost(96_999, HELD))),
    "drawdown": (
        checks.loss_limit, LOSSES,
        (sell(1), lost(90_000, HELD, day_start=D(90_000))), (sell(1), lost(89_999, HELD, day_start=D(89_999))),
    ),
    "quote-age": (
        checks.data_fitness, limits(quote_max_age_s=5.0),
        (buy(1), market(quote_age_ns=5 * SECOND)), (buy(1), market(quote_age_ns=5 * SECOND + 1)),
    ),
    "quote-crossed": (
        checks.data_fitness, limits(quote_max_age_s=5.0),
        (buy(1), market(bid=D("100.01"))), (buy(1), market(bid=D("100.02"))),
    ),
    "quote-delayed": (
        checks.data_fitness, limits(live_data_required=True), (buy(1), KNOWN), (buy(1), market(live=False)),
    ),
    "clock": (
        checks.data_fitness, limits(max_clock_skew_s=2.0),
        (buy(1), market(clock_skew_s=-2.0)), (buy(1), market(clock_skew_s=-2.001)),
    ),
    "standing": (checks.trading_state, STANDING, (buy(1), KNOWN), (buy(1), knowing("standing", lease_held=False))),
    "standing-reset-window": (
        checks.trading_state, STANDING,
        (sell(100), knowing("standing", HELD, outside_reset=False)), (buy(1), knowing("standing", outside_reset=False)),
    ),
    "standing-exit": (
        checks.trading_state, STANDING, (sell(100), HELD), (sell(100), knowing("standing", HELD, reconciled=False)),
    ),
    "stage": (
        checks.authority, AUTHORITY,
        (buy(1), knowing("authority", stage=Stage.CANARY)), (buy(1), knowing("authority", stage=Stage.PAPER)),
    ),
    "stage-in-paper": (
        checks.authority, AUTHORITY,
        (buy(1), knowing("authority", mode="paper", stage=Stage.PAPER)),
        (buy(1), knowing("authority", mode="paper", stage=Stage.SHADOW)),
    ),
    "mode": (checks.authority, AUTHORITY, (buy(1), KNOWN), (buy(1), knowing("authority", mode="backtest"))),
    "model": (checks.authority, AUTHORITY, (buy(1), KNOWN), (buy(1), knowing("authority", model_signed=False))),
    "role": (checks.authority, AUTHORITY, (buy(1), KNOWN), (buy(1), knowing("authority", role_allowed=False))),
}  # fmt: skip

Unknown = tuple[Check, RiskLimit, Order, Facts]


def _without(check: Check, limit: RiskLimit, order: Order, group: str, *fields: str) -> dict[str, Unknown]:
    no: dict[str, Any] = dict.fromkeys(fields)
    return {f"{check.name}-{field}": (check, limit, order, knowing(group, **{field: no[field]})) for field in fields}


POWER = limits(min_excess_liquidity_ratio=D("0.2"))
UNKNOWNS: dict[str, Unknown] = {
    "least": (checks.min_order_notional, limits(min_order_notional=D(1)), buy(1), facts(reference_price=None)),
    "volume": (checks.position_limit, limits(max_position_adv_ratio=1.0), buy(1), facts(average_daily_volume=None)),
    "preview-price": (checks.buying_power, POWER, buy(1), facts(reference_price=None)),
    "excess": (checks.buying_power, POWER, buy(1),
               knowing("margin", excess_after=None, excess_liquidity=None)),
    "luld-price": (checks.luld, LULD, buy(1), facts(reference_price=None)),
    "exposures": (checks.exposure, NARROW, buy(1), structs.replace(KNOWN, exposures=None)),
    "exposure-price": (checks.exposure, NARROW, buy(1), facts(reference_price=None)),
    "groups": (checks.group_exposure, limits(max_group_ratio=D(1)), buy(1), structs.replace(KNOWN, exposures=None)),
    "group-price": (checks.group_exposure, limits(max_group_ratio=D(1)), buy(1), facts(reference_price=None)),
    "budget-price": (checks.strategy_budget, limits(max_budget_ratio=D(1)), buy(1), facts(reference_price=None)),
    "rule-201-bid": (checks.short_price_test, limits(short_price_test=True), sell(1, limit="100.00"),
                     market(short_restricted=True, bid=None)),
    **_without(checks.repeated_execution, limits(max_repeated_fills=10), buy(1), "conduct", "recent_fills"),
    **_without(checks.open_orders, limits(max_open_orders=9), buy(1), "conduct", "open_orders",
               "instrument_open_orders"),
    **_without(checks.self_trade, limits(self_trade_guard=True), buy(1), "conduct", "opposite"),
    **_without(checks.order_efficiency, OER, buy(1), "conduct", "submitted", "revised", "canceled", "executed"),
    **_without(checks.luld, LULD, buy(1), "market", "limit_state"),
    **_without(checks.session, limits(entry_cutoff_s=0.0), buy(1), "market", "halted"),
    **_without(checks.session, limits(entry_cutoff_s=0.0), buy(1), "session", "executes", "opens", "closes"),
    **_without(checks.borrow, BORROW, sell(1), "borrow", "level", "shares", "fee_rate", "age_ns"),
    **_without(checks.short_price_test, limits(short_price_test=True), sell(1), "market", "short_restricted"),
    **_without(checks.exposure, NARROW, buy(1), "margin", "net_liquidation"),
    **_without(checks.strategy_budget, limits(max_budget_ratio=D(1)), buy(1), "budget", "allocated", "others",
               "position", "open_buy", "open_sell", "all_others"),
    **_without(checks.loss_limit, LOSSES, buy(1), "losses", "equity", "day_start", "peak"),
    **_without(checks.data_fitness, limits(quote_max_age_s=5.0), buy(1), "market", "bid", "ask", "quote_age_ns"),
    **_without(checks.data_fitness, limits(live_data_required=True), buy(1), "market", "live"),
    **_without(checks.data_fitness, limits(max_clock_skew_s=2.0), buy(1), "market", "clock_skew_s"),
    **_without(checks.trading_state, STANDING, buy(1), "standing", "connected", "heartbeat_fresh", "reconciled",
               "outside_reset", "lease_held"),
    **_without(checks.authority, AUTHORITY, buy(1), "authority", "mode", "stage", "model_signed", "role_allowed"),
}  # fmt: skip


def broken(limit: Decimal) -> Facts:
    """Make facts that no arithmetic can be done with."""
    return facts(reference_price=limit, last_close=limit, equity=limit)
