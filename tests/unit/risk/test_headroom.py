"""What a check that passes leaves in the journal: how much of its limit is used."""

from robotrader.model import CheckResult, InstrumentId, OrderType, Purpose, RiskCheck
from robotrader.risk import checks
from robotrader.risk.exposure import ExposureBook
from robotrader.risk.gate import evaluate
from tests.unit.risk.edges import elsewhere, limits, lost, market, typed
from tests.unit.risk.facts import KNOWN, D, buy, facts, knowing, sell

STOP = typed(sell(1, stop="50.00"), OrderType.STOP, Purpose.STOP_LOSS)


def test_an_exempt_order_says_that_it_is() -> None:
    held = facts(position=100)
    [found] = [r for r in evaluate(sell(100), held, limits(max_gross_ratio=D("0.01"))).checks
               if r.check is RiskCheck.EXPOSURE]  # fmt: skip
    assert found == CheckResult(check=RiskCheck.EXPOSURE, passed=True, numbers={"exempt": True})


def test_an_exit_below_the_soft_loss_says_how_much_is_lost() -> None:
    found = checks.loss_limit(sell(100), lost(99_000, facts(position=100)), limits(soft_daily_loss_ratio=D("0.001")))
    assert (found.passed, found.reason, found.numbers) == (True, "", {"used": D(1_000)})


def test_an_instrument_of_no_group_says_what_a_group_may_have() -> None:
    found = checks.group_exposure(buy(1), KNOWN, limits(max_group_ratio=D("0.3")))
    assert (found.passed, found.numbers) == (True, {"limit": D(30_000)})


def test_the_smaller_of_two_limits_of_value_counts_whichever_it_is() -> None:
    both = limits(max_order_notional=D(5_000), max_order_equity_ratio=D("0.5"))
    assert checks.max_order_notional(buy(50), KNOWN, both).passed
    assert not checks.max_order_notional(buy(51), KNOWN, both).passed


def test_a_clock_without_an_offset_is_within_any_limit() -> None:
    assert checks.data_fitness(buy(1), market(clock_skew_s=0.0), limits(max_clock_skew_s=0.5)).passed


def test_a_missing_fact_is_named() -> None:
    unheard = knowing("margin", excess_liquidity=None, excess_after=None)
    found = checks.buying_power(buy(1), unheard, limits(min_excess_liquidity_ratio=D("0.2")))
    assert found.reason == "not known: excess liquidity"


def test_a_group_counts_what_is_sold_short_as_well() -> None:
    most = limits(max_group_ratio=D("0.3"))
    assert checks.group_exposure(sell(300), elsewhere(technology=0), most).passed
    assert not checks.group_exposure(sell(301), elsewhere(technology=0), most).passed


def test_beyond_the_hard_loss_not_even_an_exit_is_a_target() -> None:
    hard = limits(max_daily_loss_ratio=D("0.005"))
    assert not checks.loss_limit(sell(100), lost(99_000, facts(position=100)), hard).passed


def test_how_often_it_filled_is_said_with_the_window() -> None:
    found = checks.repeated_execution(buy(1), KNOWN, limits(max_repeated_fills=9, repeated_window_s=60.0))
    assert (found.numbers or {})["window_s"] == 60.0


def test_what_is_held_may_be_sold_where_the_volume_is_not_known() -> None:
    held = facts(position=100, average_daily_volume=None)
    found = checks.max_order_quantity(sell(100), held, limits(max_order_adv_ratio=0.01))
    assert (found.passed, found.reason, found.numbers) == (True, "", {"used": 100})


def test_a_stop_far_from_the_price_is_no_slip_of_the_finger_and_says_what_it_waits_for() -> None:
    assert checks.fat_finger(STOP, KNOWN, limits(fat_finger_ratio=D("0.1"))).passed
    found = checks.price_collar(STOP, KNOWN, limits(price_collar_ratio=D("0.03")))
    assert (found.passed, found.numbers) == (True, {"reference": D("100.00")})


def test_the_bands_of_a_share_at_the_edge_of_a_tier_are_those_of_the_tier_above() -> None:
    edge = knowing("market", facts(last_close=D("0.75"), reference_price=D("1.00")), lower_band=None, upper_band=None)
    assert checks.luld(buy(1, limit="1.20"), edge, limits(luld_bands=True)).passed


def test_where_the_execution_is_not_known_bands_are_those_of_the_middle_of_a_session() -> None:
    unheard = knowing("session", knowing("market", lower_band=None, upper_band=None), executes=None)
    assert checks.luld(buy(1, limit="105.00"), unheard, limits(luld_bands=True)).passed
    assert not checks.luld(buy(1, limit="105.01"), unheard, limits(luld_bands=True)).passed


def test_what_nobody_lends_is_hard_to_borrow_whatever_is_asked() -> None:
    assert not checks.borrow(sell(1), knowing("borrow", level=0.0), limits(min_borrow_level=0.5)).passed


def test_a_group_that_an_entry_is_not_of_keeps_all_of_its_sum() -> None:
    book, one, other = ExposureBook(), InstrumentId("A.X"), InstrumentId("B.X")
    book.put(one, (10, 0, 0), D(1), ("x",))
    book.put(other, (5, 0, 0), D(1), ("y",))
    assert book.without(one, ("x", "y")).groups == (("x", D(0)), ("y", D(5)))


def test_the_gate_lets_what_protects_through_a_limit_state() -> None:
    found = evaluate(STOP, market(limit_state=True), limits(luld_bands=True))
    assert {r.check: r.passed for r in found.checks}[RiskCheck.LULD]
