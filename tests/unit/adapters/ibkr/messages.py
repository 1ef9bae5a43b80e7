"""Broker messages as they stand in the journal, and the order they are about."""

from decimal import Decimal
from typing import Any

from robotrader.model import Order, OrderId, OrderType, Side, StrategyId, TimeInForce, Venue, stock
from robotrader.ports import BrokerMessage

AAPL = stock("AAPL", Venue.NASDAQ)
SPY = stock("SPY", Venue.ARCA)
CLIENT = 7
NOW = 1_776_110_824_000_000_000  # 2026-04-13 20:07:04 UTC


def order(name: str = "RT-A", **terms: Any) -> Order:
    """Return a market order to buy 100 AAPL, with other terms where given."""
    default: dict[str, Any] = {
        "id": OrderId(name), "strategy": StrategyId("sma"), "instrument": AAPL.id, "side": Side.BUY, "quantity": 100,
        "ts_event": NOW,
    }  # fmt: skip
    return Order(**{**default, **terms})


def limit_order(price: str = "187.50") -> Order:
    """Return a limit order, good till canceled."""
    return order(type=OrderType.LIMIT, limit_price=Decimal(price), tif=TimeInForce.GTC)


def message(name: str, **fields: Any) -> BrokerMessage:
    """Return a message taken in at NOW."""
    return BrokerMessage(name=name, fields=fields, ts_init=NOW)


def open_order(status: str, **other: Any) -> BrokerMessage:
    """Return an openOrder of order RT-A, id 1, permId 900."""
    fields = {
        "orderId": 1, "clientId": CLIENT, "permId": 900, "orderRef": "RT-A", "warningText": "", "status": status,
        "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD", "localSymbol": "AAPL",
        "action": "BUY", "totalQuantity": 100.0,
    }  # fmt: skip
    return message("openOrder", **(fields | other))


def order_status(status: str, **other: Any) -> BrokerMessage:
    """Return an orderStatus of order id 1, permId 900."""
    fields = {"orderId": 1, "clientId": CLIENT, "permId": 900, "whyHeld": "", "status": status}
    return message("orderStatus", **(fields | other))


def completed_order(status: str, **other: Any) -> BrokerMessage:
    """Return a completedOrder of order RT-A, permId 900."""
    fields = {"permId": 900, "orderRef": "RT-A", "status": status, "completedStatus": "Cancelled by Trader"}
    return message("completedOrder", **(fields | other))


def execution(**other: Any) -> BrokerMessage:
    """Return an execDetails: all of order RT-A at 187.33, on 2026-04-13 09:30 in New York."""
    fields = {
        "orderId": 1, "clientId": CLIENT, "permId": 900, "orderRef": "RT-A", "execId": "0000e0d5.69dd7411.01.01",
        "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD", "localSymbol": "AAPL",
        "side": "BOT", "shares": 100.0, "price": 187.33, "time": "2026-04-13T13:30:00+00:00",
    }  # fmt: skip
    return message("execDetails", **(fields | other))


def commission(**other: Any) -> BrokerMessage:
    """Return the commissionReport of that execution."""
    fields = {"execId": "0000e0d5.69dd7411.01.01", "commission": 1.0035, "currency": "USD", "realizedPNL": None}
    return message("commissionReport", **(fields | other))


def error(code: int, text: str = "text", order_id: int = 1) -> BrokerMessage:
    """Return an error that names order id 1."""
    return message("error", orderId=order_id, code=code, text=text, advanced="")
