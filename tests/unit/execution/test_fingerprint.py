"""Two runs are equal when they decided and did the same."""

from decimal import Decimal

from msgspec import structs

from robotrader.execution.fingerprint import fills_hash, orders_hash
from robotrader.model import OrderId, Side
from tests import builders as make

ORDERS = [make.order(0), make.order(1, side=Side.SELL)]
FILLS = [make.filled(o, exec_id=str(n)).fill for n, o in enumerate(ORDERS)]


def test_ids_and_the_order_of_the_list_do_not_matter() -> None:
    renamed = [structs.replace(o, id=OrderId(f"x{n}")) for n, o in enumerate(reversed(ORDERS))]
    assert orders_hash(renamed) == orders_hash(ORDERS)
    other = [structs.replace(f, exec_id=f"y{f.exec_id}", order_id=OrderId("x"), revision=9) for f in reversed(FILLS)]
    assert fills_hash(other) == fills_hash(FILLS)


def test_every_term_of_an_order_matters() -> None:
    changes = {
        "ts_event": 1, "strategy": "other", "instrument": make.QQQ.id, "side": Side.SELL, "quantity": 1,
        "type": "LMT", "limit_price": Decimal(1), "stop_price": Decimal(1), "tif": "GTC",
    }  # fmt: skip
    found = {orders_hash([structs.replace(ORDERS[0], **{name: value})]) for name, value in changes.items()}
    assert len(found | {orders_hash(ORDERS[:1])}) == len(changes) + 1


def test_every_term_of_a_fill_matters() -> None:
    changes = {
        "ts_event": 1, "strategy": "other", "instrument": make.QQQ.id, "side": Side.SELL, "quantity": 1,
        "price": Decimal(1),
    }  # fmt: skip
    found = {fills_hash([structs.replace(FILLS[0], **{name: value})]) for name, value in changes.items()}
    assert len(found | {fills_hash(FILLS[:1])}) == len(changes) + 1


def test_the_same_thing_twice_is_not_the_same_as_once() -> None:
    assert fills_hash([FILLS[0], FILLS[0]]) != fills_hash([FILLS[0]])
