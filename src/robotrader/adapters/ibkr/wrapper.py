"""What ib_async's decoder calls.

It swallows every exception, also from callbacks: they only take note, and its error log is heard by `LostMessages`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC
from types import SimpleNamespace
from typing import Any

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.account import AccountValues
from robotrader.adapters.ibkr.errors import HARMLESS, ErrorClass, classify, request_failure
from robotrader.adapters.ibkr.pending import FIRST_REQUEST_ID, PendingRequests, Question
from robotrader.model import ConfigError
from robotrader.ports import BrokerMessage, Inbox

_log = logging.getLogger(__name__)

DECODING_LOGGERS = ("ib_async.Decoder", "eventkit.event")
"""Where a message that could not be decoded or handled is logged, and nowhere else noted."""

_HOOKS = frozenset({"tcpDataArrived", "tcpDataProcessed"})
"""Callbacks that ib_async makes only if they are there."""


class Session:
    """What concerns the session as a whole, and every error message."""

    def __init__(self, inbox: Inbox, pending: PendingRequests, *, on_notice: Callable[[ErrorClass, str], None]) -> None:
        self._inbox = inbox
        self._pending = pending
        self._on_notice = on_notice
        self.next_order_id: int | None = None
        self.last_words = ""
        self.link_up = True
        self.gone: asyncio.Future[None]

    def open(self, gone: "asyncio.Future[None]") -> None:
        """Begin a session; `gone` is resolved when its socket closes."""
        self.gone, self.last_words, self.link_up, self.next_order_id = gone, "", True, None

    def next_valid_id(self, order_id: int) -> None:
        self.next_order_id = order_id
        self._pending.add(Question.NEXT_ID, order_id)
        self._pending.end(Question.NEXT_ID)

    def socket_closed(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def error(self, request_id: int, code: int, text: str, advanced: str) -> None:
        kind, words = classify(code), f"{code}: {text}"
        if request_id in self._pending:
            if kind not in HARMLESS:
                self._pending.end(request_id, request_failure(code, text))
        elif request_id >= FIRST_REQUEST_ID:
            _log.info("gateway, of request %d, which nobody waits for any more: %s", request_id, words)
        elif request_id > 0:
            fields = {"orderId": request_id, "code": code, "text": text, "advanced": advanced}
            self._inbox.put(BrokerMessage(name="error", fields=fields))
        else:
            if kind in {ErrorClass.LINK_LOST, ErrorClass.LINK_RESTORED}:
                self.link_up = kind is ErrorClass.LINK_RESTORED
            elif kind not in HARMLESS:
                _log.warning("gateway: %s", words)
                self.last_words = words
            self._on_notice(kind, words)


class Wrapper:
    """The callbacks under ib_async's names.

    Messages of orders go to the inbox as they came. Open orders, statuses and commissions cannot be told from the
    answer to a question, so during one they go both ways: nothing is lost, and events are idempotent.

    `on_time` takes the broker's time (s), `on_closed` the end of an established session.
    """

    def __init__(
        self,
        inbox: Inbox,
        pending: PendingRequests,
        session: Session,
        *,
        account: AccountValues,
        on_time: Callable[[int], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._pending = pending
        self.defaultTimezone = UTC
        self.ib = SimpleNamespace(TimezoneTWS="America/New_York")  # of times without one, below version 174
        self.error = session.error
        self.nextValidId = session.next_valid_id
        self.setEventsDone = session.socket_closed
        self.currentTime = on_time
        self.connectionClosed = on_closed
        self.openOrder = self._open_order
        self.orderStatus = self._order_status
        self.execDetails = self._execution
        self.commissionReport = self._commission
        self.completedOrder = self._completed_order
        self.position = self._position
        self.updateAccountValue = account.value
        self.updateAccountTime = self.accountDownloadEnd = account.pushed
        self.accountUpdateMulti = self._account_value
        self.historicalData = self._history
        self.realtimeBar = self.tickSize = lambda number, *values: pending.add(number, values)
        self.tickGeneric, self.pnl = self.tickSize, account.profit
        self.marketDataType = pending.add
        self.openOrderEnd = lambda: pending.end(Question.OPEN_ORDERS)
        self.completedOrdersEnd = lambda: pending.end(Question.COMPLETED_ORDERS)
        self.positionEnd = lambda: pending.end(Question.POSITIONS)
        self.execDetailsEnd = self.accountUpdateMultiEnd = self.historicalDataEnd = self._end

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Ignore what nothing here asks for, but do not fake an optional hook."""
        if name.startswith("_") or name in _HOOKS:
            raise AttributeError(name)
        return lambda *_anything: None

    def price_tick(self, fields: Sequence[str]) -> None:
        """Take a price tick in the fields of the wire: ib_async's own decoder drops the attributes, its last one."""
        _, _, number, kind, price, size, attributes = fields
        if price:
            self._pending.add(int(number), (int(kind), float(price), float(size or 0), int(attributes or 0)))

    def _open_order(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        if order.whatIf:  # no order at all
            self._pending.add(order_id, translate.margins(state))
            self._pending.end(order_id)
            return
        fields = translate.open_order(order_id, contract, order, state)
        self._both(BrokerMessage(name="openOrder", fields=fields), Question.OPEN_ORDERS)

    def _order_status(self, *values: object) -> None:
        fields = dict(zip(translate.ORDER_STATUS, map(translate.plain, values), strict=True))
        self._both(BrokerMessage(name="orderStatus", fields=fields), Question.OPEN_ORDERS)

    def _commission(self, report: Any) -> None:
        self._both(BrokerMessage(name="commissionReport", fields=translate.commission(report)), Question.COMMISSIONS)

    def _both(self, message: BrokerMessage, question: Question) -> None:
        self._pending.add(question, message)
        self._inbox.put(message)

    def _execution(self, request_id: int, contract: Any, execution: Any) -> None:
        message = BrokerMessage(name="execDetails", fields=translate.execution(contract, execution))
        if not self._pending.add(request_id, message):  # live ones have id -1; a late answer is news as well
            self._inbox.put(message)

    def _completed_order(self, contract: Any, order: Any, state: Any) -> None:
        message = BrokerMessage(name="completedOrder", fields=translate.completed_order(contract, order, state))
        if not self._pending.add(Question.COMPLETED_ORDERS, message):
            self._inbox.put(message)

    def _end(self, request_id: int, *_more: str) -> None:
        self._pending.end(request_id)

    def _position(self, account: str, contract: Any, quantity: float, average_cost: float) -> None:
        self._pending.add(Question.POSITIONS, translate.position(account, contract, quantity, average_cost))

    def _account_value(self, request_id: int, account: str, _model: str, *value: str) -> None:
        self._pending.add(request_id, (account, *value))

    def _history(self, request_id: int, bar: Any) -> None:
        self._pending.add(request_id, translate.history_row(bar))


class LostMessages(logging.Handler):
    """Count the messages that were lost in decoding; each one is a `lostMessage` in the inbox, and trading halts."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(logging.ERROR)
        self._inbox = inbox
        self.count = 0

    def listen(self) -> None:
        """Begin to hear the decoder; ConfigError when the log set-up silences it."""
        loggers = [logging.getLogger(name) for name in DECODING_LOGGERS]
        for logger in loggers:
            if logger.disabled or not logger.isEnabledFor(logging.ERROR):
                raise ConfigError(f"logger {logger.name} must be on: it tells of messages lost in decoding")
        for logger in loggers:
            logger.addHandler(self)

    def stop(self) -> None:
        """Hear no more."""
        for name in DECODING_LOGGERS:
            logging.getLogger(name).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one error of the decoder."""
        self.count += 1
        cause = "" if not record.exc_info else repr(record.exc_info[1])
        self._inbox.put(BrokerMessage(name="lostMessage", fields={"text": record.getMessage()[:500], "cause": cause}))
