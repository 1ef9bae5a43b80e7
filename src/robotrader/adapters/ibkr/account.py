"""The account's own values, as the broker pushes them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from robotrader.adapters.ibkr.translate import plain, stated
from robotrader.model import Account, AccountReported
from robotrader.ports import Inbox

KEYS = {
    "CashBalance": "cash", "NetLiquidation": "net_liquidation", "AvailableFunds": "available_funds",
    "ExcessLiquidity": "excess_liquidity", "InitMarginReq": "initial_margin", "MaintMarginReq": "maintenance_margin",
}  # fmt: skip
"""What we call the values that are read, by IBKR's keys."""


def account_of(name: str, values: Mapping[str, Decimal | None], day_pnl: Decimal | None) -> Account:
    """Return an account of its values by IBKR's keys, as far as they are there."""
    known: dict[str, Any] = {ours: values.get(key) for key, ours in KEYS.items()}
    return Account(id=name, day_pnl=day_pnl, **known)


class AccountValues:
    """Collect each push value by value; one that changed something is an `AccountReported` in `inbox`, without time.

    The day's profit comes by itself, and is told with the next push.
    """

    def __init__(self, inbox: Inbox, account: str) -> None:
        self.day_pnl: Decimal | None = None
        self._inbox = inbox
        self._account = account
        self._values: dict[str, Decimal | None] = {}
        self._told = Account(id=account)

    def value(self, key: str, text: str, currency: str, account: str) -> None:
        """Keep one value; DataError when it is no number."""
        if key in KEYS and (currency, account) == ("USD", self._account):
            self._values[key] = stated(key, text)

    def profit(self, _request_id: int, day: float, *_more: float) -> None:
        """Keep the profit since the last session's close, realized or not."""
        self.day_pnl = stated("DailyPnL", plain(day))

    def pushed(self, *_when: str) -> None:
        """Tell of the push that ends here: its last message is the time, the first one's an end marker."""
        account = account_of(self._account, self._values, self.day_pnl)
        if account != self._told:
            self._told = account
            self._inbox.put(AccountReported(ts_event=0, ts_init=0, account=account))
