"""The three limit profiles. None switches a limit off; the profile's name is in every result."""

from decimal import Decimal

from robotrader.model import ConfigError, RiskLimit

_D = Decimal

# Starting defaults: `ibkr.md` 4.3 of the project's knowledge files; every value can be set in [risk].
PAPER = RiskLimit(
    profile="paper",
    max_order_quantity=5_000,
    max_order_adv_ratio=0.01,
    max_order_notional=_D(50_000),
    max_order_equity_ratio=_D("0.05"),
    price_collar_ratio=_D("0.03"),
    fat_finger_ratio=_D("0.20"),
    reference_max_age_bars=1.5,
    duplicate_window_s=2.0,
    messages_per_s=40,
    messages_per_s_instrument=5,
    bursts_per_s_strategy=2,
    max_position_equity_ratio=_D("0.10"),
    split_guard_ratio=0.05,
)

# Live starts with paper's numbers, so that what paper proved holds; live differs by arming, not by limits.
LIVE = RiskLimit(**{**{f: getattr(PAPER, f) for f in PAPER.__struct_fields__}, "profile": "live"})

# Capital and rate limits off, sanity checks on: a backtest must not be cut to an account's size.
RESEARCH = RiskLimit(
    profile="research",
    price_collar_ratio=_D("0.05"),
    fat_finger_ratio=_D("0.20"),
    reference_max_age_bars=1.5,
    duplicate_window_s=0.0,
)

_PROFILES = {limits.profile: limits for limits in (RESEARCH, PAPER, LIVE)}


def profile(name: str) -> RiskLimit:
    """Return the profile of that name: research, paper or live.

    Raises
    ------
    ConfigError
        There is no such profile.
    """
    if name not in _PROFILES:
        raise ConfigError(f"limit profile must be one of {', '.join(_PROFILES)}; found {name!r}")
    return _PROFILES[name]
