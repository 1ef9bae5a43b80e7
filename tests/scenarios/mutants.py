"""Planted bugs, by name: each scenario must fail under its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from robotrader.adapters import process_files
from robotrader.adapters.ibkr import feed, history, interpreter, link, translate
from robotrader.adapters.ibkr.budget import LoginBudget
from robotrader.adapters.ibkr.errors import ErrorClass
from robotrader.adapters.ibkr.foreign import Foreign
from robotrader.adapters.ibkr.heartbeat import TimeRequests
from robotrader.adapters.ibkr.kill import KillDesk
from robotrader.adapters.ibkr.resets import ResetSchedule
from robotrader.adapters.ibkr.supervisor import Supervisor
from robotrader.adapters.ibkr.wrapper import Wrapper
from robotrader.adapters.sql import journal
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.bootstrap import data, trading
from robotrader.engine import corporate, settlement, write_ahead
from robotrader.engine.agenda import Agenda
from robotrader.engine.breaks import Breaks
from robotrader.engine.control import Control
from robotrader.engine.corporate import CorporateActions
from robotrader.engine.limits import LimitBook
from robotrader.engine.protection import Changes, Protection
from robotrader.engine.reconciliation import Reconciliation
from robotrader.engine.recovery import Unsettled, unsettled
from robotrader.engine.stages import Stages
from robotrader.engine.strategy_sizing import WHOLE
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import HostCondition, InvariantViolation, Order, OrderFilled, OrderState, RunStarted, SessionTable
from robotrader.ports import BrokerMessage, HostFacts
from robotrader.risk import checks, gate
from robotrader.risk import host as risk_host
from robotrader.risk.host import HostLimits
from robotrader.risk.triggers import Burst, LossWatch
from tests.fakes import MemoryStorage, MemoryTransaction
from tests.scenarios.play import EXCHANGE

Patch = pytest.MonkeyPatch
_SIX_AND_A_HALF_HOURS = 23_400 * 10**9


def trust_next_valid_id(patch: Patch) -> None:
    """Take whatever the gateway gives for the next order id, though it may have forgotten earlier ones."""

    def rolled_back(self: WriteAhead, orders: Sequence[Any]) -> Any:
        self.next_order_id = 1
        return sending(self, orders)

    sending = WriteAhead.send
    patch.setattr(WriteAhead, "send", rolled_back)


def resend_unacknowledged(patch: Patch) -> None:
    """Take what one look at the broker does not show for unsent, and send it."""

    async def once(self: settlement.Settlement) -> Any:
        first = await self.broker.snapshot()
        return first, first

    def unsent(trader: Any, *snapshots: Any) -> Unsettled:
        found = sorting(trader, *snapshots)
        return Unsettled(unsent=(*found.unsent, *found.absent), absent=(), lost=found.lost)

    sorting = unsettled
    patch.setattr(settlement.Settlement, "_stable_snapshots", once)
    patch.setattr(settlement, "unsettled", unsent)
    patch.setattr(settlement, "in_force", lambda *_: True)
    patch.setattr(write_ahead, "_is_authorized", lambda *_: True)


def accept_stale_prices(patch: Patch) -> None:
    """Decide on the last price that was seen, however old."""
    _without(patch, checks.price_collar)


def ignore_the_clock(patch: Patch) -> None:
    """Never compare the host's clock with the broker's."""
    patch.setattr(link, "skew", lambda *_: 0.0)


def ignore_1100(patch: Patch) -> None:
    """Take the loss of the gateway's own link for a notice."""
    _ignore(patch, ErrorClass.LINK_LOST)


def ignore_farms(patch: Patch) -> None:
    """Trade on whatever prices there are while a data farm is down."""
    _ignore(patch, ErrorClass.FARM_BROKEN)


def _ignore(patch: Patch, ignored: ErrorClass) -> None:
    def notice(self: Supervisor, kind: ErrorClass, text: str) -> None:
        if kind is not ignored:
            noticing(self, kind, text)

    noticing = Supervisor.notice
    patch.setattr(Supervisor, "notice", notice)


def give_up_after_one_attempt(patch: Patch) -> None:
    """Do not try again when the first new session does not come up."""

    async def for_ever(self: Supervisor) -> None:
        if self._tries > 0:
            await asyncio.Event().wait()
        await backing_off(self)

    backing_off = Supervisor._back_off
    patch.setattr(Supervisor, "_back_off", for_ever)


def believe_the_stream(patch: Patch) -> None:
    """Ask the broker at the start only: go on with a new session, and with a silent one, as if nothing were missing."""

    async def blindly(self: Reconciliation, link: Any = None, *, replayed: int = 0) -> None:
        known = link or self._link
        if known is None or known.sync < 2:
            await settling(self, link, replayed=replayed)
        else:
            self._link = self._world.link.synced(known.sync)
            await self._record([self._link])

    settling = Reconciliation.settle
    patch.setattr(Reconciliation, "settle", blindly)
    patch.setattr(Reconciliation, "when_due", _nothing)


async def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def no_heartbeat(patch: Patch) -> None:
    """Believe that a socket which is open is a session that lives."""
    patch.setattr(TimeRequests, "start", lambda _: None)


def know_no_resets(patch: Patch) -> None:
    """Know nothing of resets beforehand."""
    patch.setattr(ResetSchedule, "window", lambda *_: None)


def never_ask_for_a_person(patch: Patch) -> None:
    """Go on trying where only a person can help, and tell nobody."""
    patch.setattr(ResetSchedule, "login_needed", lambda *_, **__: "")


def no_login_budget(patch: Patch) -> None:
    """Begin as many logins as the pauses between them allow."""
    patch.setattr(LoginBudget, "next_allowed", lambda _: 0)


def send_without_a_record(patch: Patch) -> None:
    """Take the record for a convenience: go on without it where it cannot be written."""

    @asynccontextmanager
    async def transaction(self: SqlJournal) -> AsyncIterator[Any]:
        try:
            async with writing(self) as tx:
                yield tx
        except InvariantViolation:
            yield MemoryTransaction(MemoryStorage())

    writing = SqlJournal.transaction
    patch.setattr(SqlJournal, "transaction", transaction)


def leave_every_stop_to_people(patch: Patch) -> None:
    """Note what is wrong with the books, and trade on until somebody halts."""
    patch.setattr(Control, "halt", lambda *_: ())


def no_folder_lock(patch: Patch) -> None:
    """Let anybody trade on a state folder."""

    @contextmanager
    def nobody_asks(state: Path) -> Iterator[None]:
        (state / process_files.FOLDER).mkdir(parents=True, exist_ok=True)
        yield

    patch.setattr(trading, "single_writer", nobody_asks)


def an_old_epoch_goes_on(patch: Patch) -> None:
    """Write behind whatever stands in the journal, and send, although another run has begun since."""

    def mine(self: SqlJournal, connection: Any) -> Any:
        self._head = journal._head(connection)[1]
        return self._run

    patch.setattr(SqlJournal, "_check_writer", mine)


def ignore_executions_of_others(patch: Patch) -> None:
    """Book only what our own orders did."""
    patch.setattr(Foreign, "fill", lambda *_: None)


def a_buy_in_is_a_trade_like_others(patch: Patch) -> None:
    """Book what the broker bought for us, and think no more of it."""
    patch.setattr(Breaks, "offsets", lambda *_: [])


def a_cancel_is_the_end(patch: Patch) -> None:
    """Take an order that we want canceled for one that cannot fill any more."""

    def take(self: WriteAhead, tx: Any, event: Any, out: Any) -> None:
        working = self._trader.orders.get(event.fill.order_id) if isinstance(event, OrderFilled) else None
        if working is None or working.state not in {OrderState.PENDING_CANCEL, OrderState.CANCELED}:
            taking(self, tx, event, out)

    taking = WriteAhead._take
    patch.setattr(WriteAhead, "_take", take)


def a_correction_is_a_new_fill(patch: Patch) -> None:
    """Book every revision of an execution beside the one that it corrects."""
    patch.setattr(interpreter, "execution_id", lambda fields: (fields["execId"], 1))


def no_rate_limit(patch: Patch) -> None:
    """Let every order through that is well by itself, however many there are."""
    _without(patch, checks.message_rate)


def no_size_limits(patch: Patch) -> None:
    """Send what is wanted, however much it is."""
    _without(patch, checks.max_order_quantity, checks.max_order_notional, checks.position_limit, checks.exposure)


def no_loss_limits(patch: Patch) -> None:
    """Let losses run: they may come back."""
    patch.setattr(LossWatch, "trip", lambda *_: None)
    _without(patch, checks.loss_limit)


def trade_into_halts(patch: Patch) -> None:
    """Send orders while nobody trades: they will fill at whatever price comes after it."""
    _without(patch, checks.session)


def believe_any_price(patch: Patch) -> None:
    """Order at whatever is quoted, however far from the last close."""
    _without(patch, checks.fat_finger)


def retired_code_may_trade(patch: Patch) -> None:
    """Ask nobody whether a strategy is still meant to trade: neither where sizes are made nor at the gate."""
    size_what_may_not_trade(patch)
    _without(patch, checks.authority)


def size_what_may_not_trade(patch: Patch) -> None:
    """Give every strategy its whole size, whatever its stage."""
    patch.setattr(Stages, "mandate", lambda *_: WHOLE)


def _without(patch: Patch, *left_out: Any) -> None:
    patch.setattr(gate, "CHECKS", tuple(c for c in checks.CHECKS if c not in left_out))


def order_again_what_did_not_fill(patch: Patch) -> None:
    """Plan every order anew that came to nothing, entries too."""

    def again(self: Trader, order: Order) -> None:
        for runtime in self._runtimes:
            if runtime.config.id == order.strategy:
                runtime.try_again(order.instrument)

    patch.setattr(Trader, "_try_again", again)


def follow_the_file(patch: Patch) -> None:
    """Take whatever limits the configuration has by now."""

    def begin(self: LimitBook, event: RunStarted) -> list[Any]:
        self.limits = event.limits
        return []

    patch.setattr(LimitBook, "begin", begin)


def flatten_without_the_stop(patch: Patch) -> None:
    """Cancel what protects a position before anything has closed it."""
    patch.setattr(KillDesk, "_shares", lambda _self, _iid, units, _orders: {"": abs(units)} if units else {})


def winter_time_for_ever(patch: Patch) -> None:
    """Know nothing of daylight saving: sessions stay at the hours of UTC that they had in winter."""
    _sessions_by(patch, lambda table: structs.replace(
        table, opens=tuple(_in_winter(ts) for ts in table.opens), closes=tuple(_in_winter(ts) for ts in table.closes)
    ))  # fmt: skip


def _in_winter(ts: int) -> int:
    summer = datetime.fromtimestamp(ts // 10**9, EXCHANGE).dst() or timedelta()
    return ts + round(summer.total_seconds()) * 10**9


def _sessions_by(patch: Patch, change: Callable[[SessionTable], SessionTable]) -> None:
    tabling = data.sessions
    patch.setattr(trading, "sessions", lambda *about, **options: change(tabling(*about, **options)))


def units_survive_a_split(patch: Patch) -> None:
    """Bring prices into new units, and leave what is held as it was."""
    patch.setattr(CorporateActions, "_convert", lambda *_: ())


def ask_for_no_hash(patch: Patch) -> None:
    """Take the code that is there for the code that was meant."""
    patch.setattr(trading, "_attest", lambda *_: None)


def every_tick_waits(patch: Patch) -> None:
    """Bring each tick to the trader, as if it were a message about an order."""

    def price_tick(self: Wrapper, fields: Sequence[str]) -> None:
        self._inbox.put(BrokerMessage(name="tickPrice", fields={"value": fields[4]}))
        telling(self, fields)

    telling = Wrapper.price_tick
    patch.setattr(Wrapper, "price_tick", price_tick)


def count_no_rejects(patch: Patch) -> None:
    """Take every refusal of the broker for the only one."""
    patch.setattr(Burst, "note", lambda *_: 1)


def take_every_bar(patch: Patch) -> None:
    """Believe every bar."""
    for module in (feed, history):
        patch.setattr(module, "accepted", lambda _: True)


def every_day_ends_at_four(patch: Patch) -> None:
    """Know nothing of early closes."""

    def regular(table: SessionTable) -> SessionTable:
        return structs.replace(table, closes=tuple(opened + _SIX_AND_A_HALF_HOURS for opened in table.opens))

    _sessions_by(patch, regular)


def forget_corporate_actions(patch: Patch) -> None:
    """Let splits and dividends pass by the books."""
    patch.setattr(Agenda, "due", lambda *_: [])


def trust_every_jump(patch: Patch) -> None:
    """Take every price for what it says."""
    patch.setattr(corporate, "near_split", lambda *_: None)


def the_entry_goes_alone(patch: Patch) -> None:
    """Protect a position when it is there: until then nothing of it is at the broker."""
    patch.setattr(Protection, "family", lambda _self, order, **_: (order,))


def groups_are_forgotten(patch: Patch) -> None:
    """Send an exit beside the stop, as if they had nothing to do with each other."""

    def place(order: Order, *about: Any, **options: Any) -> Any:
        return placing(structs.replace(order, oca_group=None), *about, **options)

    placing = translate.place
    patch.setattr(translate, "place", place)


def a_stop_stays_as_it_was_made(patch: Patch) -> None:
    """Believe that what protected a position yesterday protects it for ever."""
    patch.setattr(Protection, "follow", lambda *_, **__: Changes())


def a_full_disk_is_no_halt(patch: Patch) -> None:
    """End where nothing can be written, and think no more of it."""
    patch.setattr(trading, "_raise_latch", lambda *_: None)


def a_disk_has_room(patch: Patch) -> None:
    """Never look at the disk."""
    _overlook(patch, HostCondition.DISK)


def a_slow_journal_is_only_slow(patch: Patch) -> None:
    """Wait for the journal, however long it takes."""
    _overlook(patch, HostCondition.DATABASE)


def _overlook(patch: Patch, condition: HostCondition) -> None:
    def judge(facts: HostFacts, limits: HostLimits) -> Any:
        return (found for found in judging(facts, limits) if found[0] is not condition)

    judging = risk_host._judge
    patch.setattr(risk_host, "_judge", judge)


MUTANTS: dict[str, Callable[[Patch], None]] = {
    mutant.__name__: mutant
    for mutant in (
        trust_next_valid_id, resend_unacknowledged, accept_stale_prices, ignore_the_clock, ignore_1100, ignore_farms,
        give_up_after_one_attempt, believe_the_stream, no_heartbeat, know_no_resets, never_ask_for_a_person,
        no_login_budget, send_without_a_record, leave_every_stop_to_people, no_folder_lock, an_old_epoch_goes_on,
        ignore_executions_of_others, a_buy_in_is_a_trade_like_others, a_cancel_is_the_end, a_correction_is_a_new_fill,
        no_rate_limit, the_entry_goes_alone, groups_are_forgotten, a_stop_stays_as_it_was_made,
        forget_corporate_actions, trust_every_jump, no_size_limits, count_no_rejects, take_every_bar,
        every_day_ends_at_four, no_loss_limits, trade_into_halts, believe_any_price, retired_code_may_trade,
        order_again_what_did_not_fill, follow_the_file, flatten_without_the_stop, winter_time_for_ever,
        units_survive_a_split, ask_for_no_hash, every_tick_waits,
        a_full_disk_is_no_halt, a_disk_has_room, a_slow_journal_is_only_slow,
    )
}  # fmt: skip
