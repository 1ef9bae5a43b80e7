"""The eighteen bugs that an order path must not survive, and six of protection: how each is planted, what must fail."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct, structs

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.interpreter import Interpreter
from robotrader.adapters.ibkr.pending import PendingRequests
from robotrader.adapters.sql import engine as sql_engine
from robotrader.adapters.sql import statements
from robotrader.adapters.sql.journal import SqlTransaction
from robotrader.engine import recovery, write_ahead
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.protection import Protection
from robotrader.engine.settlement import Settlement
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import BrokerUnavailable, Cancel, Order, OrderPendingCancel
from robotrader.portfolio.ledger import Book, Ledger
from robotrader.ports import BrokerSnapshot
from robotrader.risk.halt import TradingStates
from tests.scenarios import mutants as incidents

Patch = pytest.MonkeyPatch
_ENGINE, _IBKR, _FILE = "tests/unit/engine/", "tests/integration/ibkr/", "tests/integration/sql/test_file.py::"
_PROTECTION = _ENGINE + "test_protection.py::"


class Mutant(Struct, frozen=True, kw_only=True):
    """One bug by its name in the design; `tests` are the cheapest that must fail under it, each of them."""

    name: str
    plant: Callable[[Patch], None]
    tests: tuple[str, ...]


def _commit_after_send(patch: Patch) -> None:
    """Write the order to the socket first, and down afterwards."""

    async def send(self: WriteAhead, orders: Sequence[Order]) -> None:
        late: list[Any] = []

        async def later(events: Sequence[Any]) -> list[Any]:
            late.extend(events)
            return []

        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(self, "record", later)
            await sending(self, orders)
        await self.record(late)

    sending = WriteAhead.send
    patch.setattr(WriteAhead, "send", send)


def _open_orders_only(patch: Patch) -> None:
    """Recover from what the broker says of open orders, and ask for nothing else."""

    async def snapshots(self: Settlement) -> tuple[BrokerSnapshot, BrokerSnapshot]:
        return tuple(map(_without_executions, await stable(self)))  # type: ignore[return-value]

    stable = Settlement._stable_snapshots
    patch.setattr(Settlement, "_stable_snapshots", snapshots)


def _without_executions(snapshot: BrokerSnapshot) -> BrokerSnapshot:
    named = {m.fields.get("orderRef") for m in snapshot.messages if m.name not in {"execDetails", "completedOrder"}}
    kept = tuple(m for m in snapshot.messages if m.name in {"openOrder", "orderStatus"})
    return structs.replace(snapshot, messages=kept, order_refs=snapshot.order_refs & named)


def _key_by_order_id(patch: Patch) -> None:
    """Take the order id for who an order is, whatever its reference says."""

    def owner(self: Interpreter, fields: Any) -> Any:
        by_id = {number: known for (_, number), known in self._by_id.items()}
        return by_id.get(fields.get("orderId", 0))

    patch.setattr(Interpreter, "_owner", owner)


def _skip_end_marker(patch: Patch) -> None:
    """Take what has come until the time is over for the whole answer."""

    async def ask(self: IbkrConnection, key: Any, *about: Any, **options: Any) -> list[Any]:
        parts: list[Any] = []

        def opened(requests: PendingRequests, key: Any) -> Any:
            answer = opening(requests, key)
            parts.append(requests._waiting[key][0])
            return answer

        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(PendingRequests, "open", opened)
            try:
                return await asking(self, key, *about, **options)
            except BrokerUnavailable:
                return [part for found in parts for part in found]

    asking, opening = IbkrConnection.ask, PendingRequests.open
    patch.setattr(IbkrConnection, "ask", ask)


def _empty_is_flat(patch: Patch) -> None:
    """Take a look without positions for an account without positions, which nobody needs to compare."""

    def breaks(trader: Trader, snapshot: BrokerSnapshot) -> Any:
        return comparing(trader, snapshot) if snapshot.positions else []

    comparing = recovery.position_breaks
    patch.setattr("robotrader.engine.settlement.position_breaks", breaks)


def _no_exec_id_dedupe(patch: Patch) -> None:
    """Book an execution as often as it is told."""

    def apply(self: Ledger, fill: Any) -> bool:
        self._fills.pop(fill.exec_id, None)
        return booking(self, fill)

    booking = Ledger.apply
    patch.setattr(Ledger, "apply", apply)


def _interpret_before_raw(patch: Patch) -> None:
    """Keep what a message means, and not the message."""
    patch.setattr(SqlTransaction, "raw", lambda *_: None)
    patch.setattr("tests.fakes.MemoryTransaction.raw", lambda *_: None)


def _synchronous_off(patch: Patch) -> None:
    """Tell SQLite not to wait for the disk."""
    pragmas = tuple(p.replace("synchronous=FULL", "synchronous=OFF") for p in sql_engine._WRITE_PRAGMAS)
    patch.setattr(sql_engine, "_WRITE_PRAGMAS", pragmas)


def _halt_in_memory_only(patch: Patch) -> None:
    """Forget on a restart that trading was halted."""

    def forgetful(*args: Any) -> Any:
        found = replaying(*args)
        found.trader.control.states = TradingStates()
        return found

    replaying = recovery.replay
    patch.setattr("robotrader.engine.runner.replay", forgetful)


def _no_second_look(patch: Patch) -> None:
    """Send in T2 what T1 allowed, whatever has been halted since."""

    async def nothing_asked(_: object) -> None:
        return None

    def trusting(self: WriteAhead, **parts: Any) -> None:
        begin(self, **{**parts, "halted": lambda: None})

    begin = WriteAhead.__init__
    patch.setattr(WriteAhead, "__init__", trusting)
    patch.setattr(write_ahead, "_requested_halt", nothing_asked)
    patch.setattr(write_ahead, "_stopped", lambda *_: None)


def _cancel_needs_the_journal(patch: Patch) -> None:
    """Write a cancel down before it is asked for: no cancel while the journal cannot be written."""

    async def cancel(self: WriteAhead, command: Cancel) -> None:
        now = self._clock.now()
        await self.record([OrderPendingCancel(ts_event=now, ts_init=now, order_id=command.order_id)])
        await canceling(self, command)

    canceling = WriteAhead._cancel
    patch.setattr(WriteAhead, "_cancel", cancel)


def _retry_without_cap(patch: Patch) -> None:
    """Plan whatever came to nothing again at every bar, entries too."""

    def again(self: Trader, order: Order) -> None:
        for runtime in self._runtimes:
            if runtime.config.id == order.strategy and order.instrument in runtime.config.universe:
                runtime.again.add(runtime.config.universe.index(order.instrument))

    patch.setattr(Trader, "_try_again", again)


def _order_by_time(patch: Patch) -> None:
    """Read the journal in the order of its events' times."""
    chain = "SELECT * FROM journal WHERE seq > :after ORDER BY ts_event, seq"
    patch.setitem(statements.SQL, "chain", chain)


def _float_money(patch: Patch) -> None:
    """Count cash in binary fractions."""

    def trade(self: Book, fill: Any, multiplier: Decimal) -> None:
        cash = float(self.cash) - float(fill.price) * fill.side.sign * fill.quantity * float(multiplier)
        trading(self, fill, multiplier)
        self.cash = Decimal(cash)

    trading = Book.trade
    patch.setattr(Book, "trade", trade)


def _members_move_alone(patch: Patch) -> None:
    """Set every order of a family in motion by itself."""
    patch.setattr("robotrader.engine.write_ahead.any", lambda _: False, raising=False)


def _join_what_is_spent(patch: Patch) -> None:
    """Put orders into a group that had a fill."""
    patch.setattr(WorkingOrders, "is_spent", lambda *_: False)


def _exit_stays_alone(patch: Patch) -> None:
    """Let an exit and the stop sell the same position."""

    def family(self: Protection, order: Order, *, held: int) -> Any:
        found = making(self, order, held=held)
        return found if found is None or len(found) > 1 else (order,)

    making = Protection.family
    patch.setattr(Protection, "family", family)


def _broker_sizes_are_not_ours(patch: Patch) -> None:
    """Ask for a size that the broker is about to give by itself."""
    patch.setattr(Protection, "_sized_by_broker", lambda *_: False)


def _change_before_its_record(patch: Patch) -> None:
    """Write a change to the socket first, and down afterwards."""

    async def replace(self: WriteAhead, changes: Sequence[Order]) -> None:
        late: list[Any] = []

        async def later(events: Sequence[Any]) -> list[Any]:
            late.extend(events)
            return []

        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(self, "record", later)
            await replacing(self, changes)
        await self.record(late)

    replacing = WriteAhead._replace
    patch.setattr(WriteAhead, "_replace", replace)


def _scenario(stem: str) -> str:
    return f"tests/scenarios/test_scenarios.py::test_the_scenario_holds[{stem}]"


MUTANTS = (
    Mutant(name="commit after send", plant=_commit_after_send, tests=(
        _ENGINE + "test_write_ahead.py::"
        "test_an_order_goes_over_the_wire_only_after_its_decision_and_its_sending_are_committed",
    )),
    Mutant(name="resend on timeout", plant=incidents.resend_unacknowledged, tests=(
        _ENGINE + "test_recovery.py::test_an_order_that_two_snapshots_do_not_know_is_given_up_and_never_sent_again",
        _scenario("S13-restart-duplicates"),
    )),
    Mutant(name="open-orders-only recovery", plant=_open_orders_only, tests=(
        _ENGINE + "test_recovery.py::test_what_filled_meanwhile_is_booked_before_positions_are_compared",
    )),
    Mutant(name="key by orderId", plant=_key_by_order_id, tests=(
        "tests/unit/adapters/ibkr/test_interpreter.py::test_identity_is_order_ref_then_perm_id_then_the_own_order_id",
    )),
    Mutant(name="skip End-marker", plant=_skip_end_marker, tests=(
        _IBKR + "test_snapshot.py::test_rows_without_their_end_are_not_an_answer",
    )),
    Mutant(name="treat empty as flat", plant=_empty_is_flat, tests=(
        _ENGINE + "test_recovery.py::test_a_position_that_the_fills_do_not_explain_halts",
    )),
    Mutant(name="no execId dedupe", plant=_no_exec_id_dedupe, tests=(
        _ENGINE + "test_trader_halts.py::test_an_execution_reported_twice_counts_once",
        "tests/unit/portfolio/test_ledger.py::test_an_execution_counts_once_however_often_it_is_reported",
    )),
    Mutant(name="correction as new fill", plant=incidents.a_correction_is_a_new_fill, tests=(
        "tests/unit/adapters/ibkr/test_interpreter.py::test_a_correction_is_the_same_execution_in_a_higher_revision",
    )),
    Mutant(name="drop raw-before-interpret", plant=_interpret_before_raw, tests=(
        _ENGINE + "test_write_ahead.py::test_a_message_is_in_the_record_before_what_it_means",
        _ENGINE + "test_write_ahead.py::test_a_message_that_nobody_understands_stays_in_the_record_and_halts",
    )),
    Mutant(name="synchronous=OFF", plant=_synchronous_off, tests=(
        _FILE + "test_every_commit_is_durable_by_configuration",
    )),
    Mutant(name="halt held in memory only", plant=_halt_in_memory_only, tests=(
        _ENGINE + "test_recovery.py::test_an_unsent_order_is_not_sent_when_the_journal_ends_in_a_halt",
    )),
    Mutant(name="latch or epoch not re-read in T2", plant=_no_second_look, tests=(
        _ENGINE + "test_write_ahead.py::test_a_halt_between_decision_and_sending_voids_the_order",
        _ENGINE + "test_write_ahead_changes.py::"
        "test_a_halt_between_decision_and_wire_refuses_the_change_and_the_terms_stand",
    )),
    Mutant(name="stale epoch can send", plant=incidents.an_old_epoch_goes_on, tests=(
        "tests/integration/sql/test_file.py::test_conformance[an_old_epoch_cannot_write]",
    )),
    Mutant(name="id mark not persisted", plant=incidents.trust_next_valid_id, tests=(
        _ENGINE + "test_recovery.py::test_order_ids_go_on_from_the_highest_ever_used",
    )),
    Mutant(name="cancel blocked by DB failure", plant=_cancel_needs_the_journal, tests=(
        "tests/mutants/test_cancel.py::test_a_cancel_leaves_although_the_journal_cannot_be_written",
    )),
    Mutant(name="retry loop without cap", plant=_retry_without_cap, tests=(
        _ENGINE + "test_trader_halts.py::test_a_refused_entry_is_not_tried_again",
    )),
    Mutant(name="timestamp ordering instead of seq", plant=_order_by_time, tests=(
        _scenario("S13-restart-duplicates"),
    )),
    Mutant(name="a stop stays as it was made", plant=incidents.a_stop_stays_as_it_was_made, tests=(
        _PROTECTION + "test_a_position_that_grows_has_each_order_changed_once",
        _PROTECTION + "test_a_position_that_turns_round_has_new_orders_for_the_other_side",
        "tests/property/test_protection.py::test_at_rest_the_stops_are_for_what_is_held",
    )),
    Mutant(name="a family's orders move alone", plant=_members_move_alone, tests=(
        _PROTECTION + "test_an_entry_takes_its_protection_along_and_only_the_last_of_them_sets_all_in_motion",
    )),
    Mutant(name="a spent group is joined", plant=_join_what_is_spent, tests=(
        _PROTECTION + "test_protection_of_a_group_that_had_a_fill_makes_way_for_the_exit",
        _PROTECTION + "test_a_stop_that_was_lost_from_a_group_that_had_a_fill_is_made_anew_in_another",
    )),
    Mutant(name="an exit joins no group", plant=_exit_stays_alone, tests=(
        _PROTECTION + "test_an_exit_joins_the_group_so_that_only_one_of_them_ends_the_position",
        _PROTECTION + "test_a_stop_that_fills_takes_the_exit_of_its_group_along",
    )),
    Mutant(name="sizes that are the broker's are asked for", plant=_broker_sizes_are_not_ours, tests=(
        _PROTECTION + "test_while_the_entry_fills_the_broker_sizes_its_protection_and_nothing_is_asked_of_it",
    )),
    Mutant(name="a change leaves before its record", plant=_change_before_its_record, tests=(
        _ENGINE + "test_write_ahead_changes.py::"
        "test_a_change_goes_over_the_wire_only_after_it_was_decided_and_recorded",
    )),
    Mutant(name="float money", plant=_float_money, tests=(
        "tests/property/test_ledger.py::test_cash_is_capital_less_what_was_bought_plus_what_was_sold_less_costs",
    )),
)  # fmt: skip
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
