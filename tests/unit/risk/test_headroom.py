"""What a check that passes leaves in the journal: how much of its limit is used."""

from robotrader.model import CheckResult, RiskCheck
from robotrader.risk import checks
from robotrader.risk.gate import evaluate
from tests.unit.risk.edges import limits, lost, market
from tests.unit.risk.facts import KNOWN, D, buy, facts, sell


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
