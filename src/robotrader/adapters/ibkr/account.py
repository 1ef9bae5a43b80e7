"""The account's own values, as the broker pushes them."""

from decimal import Decimal

from robotrader.adapters.ibkr.translate import amount
from robotrader.model import Account, AccountReported
from robotrader.ports import Inbox


class AccountValues:
    """Collect each push value by value; one that changed something is an `AccountReported` in `inbox`, without time."""

    def __init__(self, inbox: Inbox, account: str) -> None:
        self._inbox = inbox
        self._account = account
        self._values: dict[str, Decimal] = {}
        self._told = Account(id=account)

    def value(self, key: str, text: str, currency: str, account: str) -> None:
        """Keep one value; DataError when it is no number."""
        if key in {"CashBalance", "NetLiquidation"} and (currency, account) == ("USD", self._account):
            self._values[key] = amount(key, text)

    def pushed(self, *_when: str) -> None:
        """Tell of the push that ends here: its last message is the time, the first one's an end marker."""
        cash, value = self._values.get("CashBalance"), self._values.get("NetLiquidation")
        account = Account(id=self._account, cash=cash, net_liquidation=value)
        if account != self._told:
            self._told = account
            self._inbox.put(AccountReported(ts_event=0, ts_init=0, account=account))
