"""What is recorded of each check, word for word: `refusals.txt` beside this file is the page to look over."""

from pathlib import Path

from msgspec import structs

from robotrader.model import CheckResult
from robotrader.risk.checks import CHECKS
from robotrader.risk.limits import profile
from tests.unit.risk import edges
from tests.unit.risk.facts import KNOWN, UNKNOWN, D, buy, facts, knowing, sell
from tests.unit.risk.test_checks import EDGES

PAGE = Path(__file__).with_name("refusals.txt")
LIVE = structs.replace(profile("live"), min_order_notional=D(1))
LACKING = {
    "price": facts(reference_price=None), "close": facts(last_close=None),
    "volume": facts(average_daily_volume=None),
    "clock": knowing("market", clock_skew_s=None), "quote-age": knowing("market", quote_age_ns=None),
    "net-liquidation": knowing("margin", net_liquidation=None),
    **{group: structs.replace(KNOWN, **{group: getattr(UNKNOWN, group)})
       for group in ("conduct", "session", "borrow", "margin", "exposures", "budget", "losses", "authority")},
}  # fmt: skip
"""Facts in which one thing is not known."""


def line(name: str, result: CheckResult) -> str:
    numbers = ", ".join(f"{key} {value}" for key, value in result.numbers.items())
    return f"{name}: {result.check}: {result.reason}{f' ({numbers})' if numbers else ''}"


def refusals() -> list[str]:
    """Return lines for each edge, at its limit and one unit too far, and for each check that does not know enough."""
    found = []
    for name, (check, limits, at, beyond) in (EDGES | edges.EDGES).items():
        found += [line(name, check(*at, limits)), line(f"{name}, beyond", check(*beyond, limits))]
    for order in (buy(1), sell(1, limit="100.00")):
        found += [line(f"unknown-{order.side}", check(order, UNKNOWN, LIVE)) for check in CHECKS]
        for name, lacking in LACKING.items():
            results = [check(order, lacking, LIVE) for check in CHECKS]
            found += [line(f"no-{name}-{order.side}", result) for result in results if not result.passed]
    return found


def test_every_refusal_says_what_the_page_says() -> None:
    assert "\n".join(refusals()) + "\n" == PAGE.read_text(encoding="utf-8")
