"""What-ifs: questions what an order would need, in the shape of an order that is not placed."""

import asyncio
from typing import Any

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.translate import Send
from robotrader.model import OrderId, RoboTraderError
from robotrader.ports import BrokerMessage


class Previews:
    """Ask, and see that each question ends in one `whatIf` message in the inbox: the answer, or why there is none.

    An answer goes there in the order of the socket; one that comes after `timeout_s` is nobody's.
    """

    def __init__(self, connection: IbkrConnection, *, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._under_way: dict[OrderId, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many are not answered yet."""
        return len(self._under_way)

    def ask(self, order_id: OrderId, number: int, message: Send) -> None:
        """Send a what-if under a broker order id, unless the order has one under way; ConnectionLost: nothing was sent.

        Its errors come under that id, like an order's.
        """
        if order_id in self._under_way:
            return
        self._connection.send(message)
        answer = self._connection.pending.open(number, lambda fields: self._tell(order_id, number, fields))
        self._under_way[order_id] = asyncio.ensure_future(self._wait(order_id, number, answer))

    async def _wait(self, order_id: OrderId, number: int, answer: "asyncio.Future[list[Any]]") -> None:
        try:
            await asyncio.wait_for(answer, self._timeout_s)
        except RoboTraderError as error:
            self._tell(order_id, number, {"error": str(error)})
        except TimeoutError:
            self._tell(order_id, number, {"error": f"the gateway did not answer within {self._timeout_s:g} s"})
        finally:
            self._connection.pending.end(number)

    def _tell(self, order_id: OrderId, number: int, fields: dict[str, Any]) -> None:
        del self._under_way[order_id]
        ids = {"orderRef": order_id, "orderId": number}
        self._connection.inbox.put(BrokerMessage(name="whatIf", fields=ids | fields))
