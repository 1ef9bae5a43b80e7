"""One verdict on an order, with every reason kept."""

import pytest
from msgspec import structs

from robotrader.model import Approved, ConfigError, Denied, RiskCheck, TradingState
from robotrader.risk.gate import evaluate
from robotrader.risk.limits import LIVE, PAPER, RESEARCH, profile
from tests.unit.risk.facts import KNOWN, OFF, D, buy, facts, sell


def test_an_order_within_all_limits_is_approved_with_all_results() -> None:
    verdict = evaluate(buy(10), KNOWN, PAPER)
    assert isinstance(verdict, Approved)
    assert [r.check for r in verdict.checks] == list(RiskCheck)
    assert verdict.limits == "paper"


def test_all_reasons_are_kept_not_only_the_first() -> None:
    limits = structs.replace(
        OFF, max_order_quantity=5, max_order_notional=D(100), allow_list=(), fat_finger_ratio=D("0.1")
    )
    verdict = evaluate(buy(10, limit="200.00"), facts(TradingState.HALTED), limits)
    assert isinstance(verdict, Denied)
    assert verdict.reasons == (
        RiskCheck.MAX_ORDER_QUANTITY, RiskCheck.MAX_ORDER_NOTIONAL, RiskCheck.FAT_FINGER, RiskCheck.ALLOW_LIST,
        RiskCheck.TRADING_STATE,
    )  # fmt: skip
    assert len(verdict.checks) == len(RiskCheck), "what passed is kept, too"
    assert {r.check: r.numbers for r in verdict.checks}[RiskCheck.MAX_ORDER_QUANTITY] == {"used": 10, "limit": 5}


@pytest.mark.parametrize("failing", [
    structs.replace(OFF, max_order_quantity=9),
    structs.replace(OFF, max_order_notional=D("999.99")),
    structs.replace(OFF, min_order_notional=D("1000.01")),
    structs.replace(OFF, allow_list=()),
    structs.replace(OFF, messages_per_s=0),
    structs.replace(OFF, max_position_equity_ratio=D("0.009")),
])  # fmt: skip
def test_one_failed_check_denies(failing: object) -> None:
    assert isinstance(evaluate(buy(10), KNOWN, OFF), Approved)
    verdict = evaluate(buy(10), KNOWN, failing)  # type: ignore[arg-type]
    assert isinstance(verdict, Denied)
    assert len(verdict.reasons) == 1
    assert verdict.limits == "off"


def test_halted_denies_even_the_order_that_closes_the_position() -> None:
    held = facts(TradingState.HALTED, position=100)
    verdict = evaluate(sell(100), held, OFF)
    assert isinstance(verdict, Denied)
    assert verdict.reasons == (RiskCheck.TRADING_STATE,)


def test_a_position_can_always_be_closed_under_the_paper_limits() -> None:
    huge = facts(TradingState.REDUCING, position=1_000_000, average_daily_volume=1_000.0, equity=D(1))
    assert isinstance(evaluate(sell(1_000_000), huge, PAPER), Approved)
    assert isinstance(evaluate(buy(100), structs.replace(huge, state=TradingState.ACTIVE), PAPER), Denied)


def test_profiles_have_names_and_live_starts_with_what_paper_proved() -> None:
    assert [profile(n) for n in ("research", "paper", "live")] == [RESEARCH, PAPER, LIVE]
    for name in set(PAPER.__struct_fields__) - {"profile"}:
        assert getattr(PAPER, name) in {None, getattr(LIVE, name)}, f"what paper proved of {name} does not hold"
    with pytest.raises(ConfigError, match="research, paper, live"):
        profile("none")


def test_research_cuts_no_order_to_an_accounts_size_but_keeps_sanity() -> None:
    poor = facts(equity=D(1), average_daily_volume=None)
    assert isinstance(evaluate(buy(10**6), poor, RESEARCH), Approved)
    assert isinstance(evaluate(buy(1, limit="105.01"), poor, RESEARCH), Denied)
    assert isinstance(evaluate(buy(1), facts(reference_price=None), RESEARCH), Denied)
