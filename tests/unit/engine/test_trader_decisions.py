"""From bars to orders and back: the trader decides, sizes, plans, checks and keeps the books."""

from msgspec import structs

from robotrader.model import (
    Commission,
    CommissionReported,
    Deny,
    Hold,
    OrderExpired,
    OrderState,
    Resize,
    RiskCheck,
    Side,
    Submit,
    encode,
)
from tests import builders as make
from tests.fakes import ScriptedSource
from tests.unit.engine.stage import (
    NAN,
    NO_LIMITS,
    SECOND_STRATEGY,
    D,
    buy_and_fill,
    config,
    denied,
    fill,
    orders,
    send,
    started,
    the_order,
    trader,
)


def test_a_story_from_the_first_bar_to_the_exit() -> None:
    script = {0: (0.0, NAN), 1: (1.0, NAN), 2: (1.0, NAN), 3: (0.0, NAN)}
    one = trader(script)

    (hold,) = one.handle(make.bars_closed(0, 99.0, 50.0))
    assert isinstance(hold, Hold), "flat is where it already is"

    (submit,) = one.handle(make.bars_closed(1, 100.0, 50.0))
    assert isinstance(submit, Submit)
    entry = submit.order
    assert (entry.side, entry.quantity, entry.instrument) == (Side.BUY, 100, make.SPY.id)
    assert submit.decision is not None
    assert (submit.decision.signal.strength, submit.decision.target.quantity) == (1.0, 100)
    assert submit.decision.inputs == {"close": "100.00", "strength_before": "0.0"}
    assert submit.reserved == 100
    assert one.orders.get(entry.id) == make.working(entry, OrderState.AUTHORIZED)

    send(one, entry)
    assert one.orders.net(make.TREND, make.SPY.id) == 100
    fill(one, entry, "100.10", quantity=60, exec_id="a")
    state = one.orders.get(entry.id)
    assert state is not None
    assert (state.state, state.filled, state.leaves) == (OrderState.PARTIALLY_FILLED, 60, 40)
    fill(one, entry, "100.20", quantity=40, exec_id="b")
    cost = Commission(exec_id="b", revision=1, amount=D("1.00"))
    one.handle(CommissionReported(ts_event=make.T0, ts_init=make.T0, commission=cost))
    assert one.orders.net(make.TREND, make.SPY.id) == 0
    assert one.ledger.quantity(make.SPY.id) == 100

    assert one.handle(make.bars_closed(2, 105.0, 50.0)) == (), "the same strength asks for nothing"

    exit_order = the_order(one.handle(make.bars_closed(3, 110.0, 50.0)))
    assert (exit_order.side, exit_order.quantity) == (Side.SELL, 100)
    send(one, exit_order, 2)
    fill(one, exit_order, "111.00")
    mark = one.mark(make.T0 + 4 * make.DAY)
    # 60 x 10.90 + 40 x 10.80 = 1,086, less one dollar
    assert (mark.realized_pnl, mark.commission, mark.cash) == (D(1_086), D(1), D("101085.00"))
    assert (mark.equity, mark.gross, mark.unrealized_pnl) == (mark.cash, D(0), D(0))


def test_no_view_keeps_the_last_target() -> None:
    one = trader({0: (1.0, NAN), 2: (1.0, NAN), 3: (0.5, NAN)})
    buy_and_fill(one)
    assert one.handle(make.bars_closed(1)) == (), "no view"
    assert one.handle(make.bars_closed(2)) == (), "the strength is as before the silence"
    assert the_order(one.handle(make.bars_closed(3))).quantity == 50


def test_a_target_is_sized_anew_only_when_the_strength_changes() -> None:
    script = dict.fromkeys(range(4), (1.0, NAN))
    one = trader(script, config(sizer="all_in"))
    bought = the_order(one.handle(make.bars_closed(0, 100.0, 50.0)))
    assert bought.quantity == 1_000
    send(one, bought)
    fill(one, bought, "100.00")
    assert one.handle(make.bars_closed(1, 200.0, 50.0)) == ()


def test_every_bar_resizes_on_each_view() -> None:
    script = {0: (0.5, NAN), 1: (0.5, NAN), 3: (0.5, NAN)}
    one = trader(script, config(sizer="all_in"), resize=Resize.EVERY_BAR)
    first = the_order(one.handle(make.bars_closed(0, 100.0, 50.0)))
    assert first.quantity == 500
    send(one, first)
    fill(one, first, "100.00")
    # equity 50,000 + 500 x 200 = 150,000: half of it is 375 units at 200
    second = the_order(one.handle(make.bars_closed(1, 200.0, 50.0)))
    assert (second.side, second.quantity) == (Side.SELL, 125)
    send(one, second, 2)
    fill(one, second, "200.00")
    assert one.handle(make.bars_closed(2, 400.0, 50.0)) == (), "no view, nothing to size"
    assert len(orders(one.handle(make.bars_closed(3, 400.0, 50.0)))) == 1


def test_a_strategy_may_be_told_to_resize_whatever_it_declares() -> None:
    script = {0: (0.5, NAN), 1: (0.5, NAN)}
    told = structs.replace(config(sizer="all_in"), resize=Resize.EVERY_BAR)
    one = trader(script, told)
    one.handle(make.bars_closed(0, 100.0, 50.0))
    assert one.handle(make.bars_closed(1, 100.0, 50.0)) != ()


def test_working_orders_count_towards_the_target() -> None:
    one = trader({0: (1.0, NAN), 1: (0.2, NAN), 2: (0.6, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    fill(one, entry, "100.00", quantity=30)
    less = the_order(one.handle(make.bars_closed(1)))
    assert (less.side, less.quantity) == (Side.SELL, 80)  # 20 - 30 held - 70 still being bought
    send(one, less, 2)
    more = the_order(one.handle(make.bars_closed(2)))
    assert (more.side, more.quantity) == (Side.BUY, 40)  # 60 - 30 - (70 - 80)


def test_warm_up_bars_decide_nothing_and_the_first_bar_after_them_does() -> None:
    script = dict.fromkeys(range(3), (1.0, NAN))
    made: list[ScriptedSource] = []
    one = trader(script, made=made)
    for day in range(2):
        assert one.handle(make.bars_closed(day, warmup=True)) == ()
    assert [e.ts_event for e in made[0].seen] == [make.T0, make.T0 + make.DAY], "but the window is fed"
    assert the_order(one.handle(make.bars_closed(2))).quantity == 100


def test_a_second_start_of_the_same_strategy_keeps_its_window_its_book_and_its_orders() -> None:
    made: list[ScriptedSource] = []
    one = trader({0: (1.0, NAN), 1: (1.0, NAN), 2: (0.0, NAN)}, made=made)
    buy_and_fill(one)
    one.handle(started(run_id="run-2"))
    assert len(made) == 1
    assert one.handle(make.bars_closed(1)) == (), "the last strength is remembered, too"
    assert the_order(one.handle(make.bars_closed(2))).quantity == 100


def test_a_start_with_another_configuration_makes_the_strategy_anew_and_keeps_its_book() -> None:
    made: list[ScriptedSource] = []
    one = trader({0: (1.0, NAN), 1: (1.0, NAN)}, made=made)
    buy_and_fill(one)
    one.handle(started(config(sizer="fixed:150", capital="120000"), run_id="run-2"))
    assert len(made) == 2
    assert the_order(one.handle(make.bars_closed(1))).quantity == 50
    assert one.mark(make.T0).cash == D(110_000)  # 100,000 - 10,000 + 20,000 deposited


def test_two_strategies_decide_apart_and_add_up() -> None:
    scripts = {make.TREND: {0: (1.0, NAN)}, SECOND_STRATEGY: {0: (0.5, 1.0)}}
    one = trader(scripts, config(), config(SECOND_STRATEGY, sizer="fixed:40"))
    sent = orders(one.handle(make.bars_closed(0)))
    assert [(o.strategy, o.instrument, o.side, o.quantity) for o in sent] == [
        (make.TREND, make.SPY.id, Side.BUY, 100),
        (SECOND_STRATEGY, make.SPY.id, Side.BUY, 20),
        (SECOND_STRATEGY, make.QQQ.id, Side.BUY, 40),
    ]
    for n, order in enumerate(sent):
        send(one, order, n)
        fill(one, order, "100.00")
    assert one.ledger.quantity(make.SPY.id) == 120
    mark = one.mark(make.T0)
    assert mark.equity == sum(b.equity for b in mark.books)
    assert mark.gross == 120 * 100 + 40 * 50


def test_every_decision_has_its_own_deterministic_order_id() -> None:
    script = {day: (1.0 if day % 2 else 0.5, 1.0 if day % 2 else 0.5) for day in range(6)}
    runs = []
    for _ in range(2):
        one = trader({make.TREND: script, SECOND_STRATEGY: script}, config(), config(SECOND_STRATEGY))
        runs.append([o.id for day in range(6) for o in orders(one.handle(make.bars_closed(day)))])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0]) == 24


def test_the_same_decision_twice_is_refused_as_a_duplicate() -> None:
    one = trader({0: (1.0, NAN)}, resize=Resize.EVERY_BAR)
    first = the_order(one.handle(make.bars_closed(0)))
    send(one, first)
    one.handle(OrderExpired(ts_event=make.T0, ts_init=make.T0, order_id=first.id))
    (again,) = denied(one.handle(make.bars_closed(0)))
    assert again.order.id == first.id
    assert again.verdict.reasons == (RiskCheck.DUPLICATE_INTENT,)
    kept = one.orders.get(first.id)
    assert kept is not None
    assert kept.state is OrderState.EXPIRED, "a refused duplicate does not overwrite the order"


def test_a_denied_order_is_kept_with_its_reasons_and_reserves_nothing() -> None:
    limits = structs.replace(NO_LIMITS, max_order_quantity=99, allow_list=())
    one = trader({0: (1.0, NAN)}, limits=limits)
    (deny,) = one.handle(make.bars_closed(0))
    assert isinstance(deny, Deny)
    kept = one.orders.get(deny.order.id)
    assert kept is not None
    assert (kept.state, kept.reason) == (OrderState.DENIED, "max_order_quantity, allow_list")
    assert one.orders.net(make.TREND, make.SPY.id) == 0


def test_limits_see_the_account_not_one_strategys_book() -> None:
    limits = structs.replace(NO_LIMITS, max_position_equity_ratio=D("0.1"))
    scripts = {make.TREND: {0: (1.0, NAN)}, SECOND_STRATEGY: {1: (1.0, NAN)}}
    one = trader(scripts, config(sizer="fixed:150"), config(SECOND_STRATEGY, sizer="fixed:51"), limits=limits)
    buy_and_fill(one)  # 150 x 100 of 200,000 equity; 51 more would make 20,100 of 20,000
    (deny,) = denied(one.handle(make.bars_closed(1)))
    assert deny.verdict.reasons == (RiskCheck.POSITION_LIMIT,)


def test_limits_count_orders_that_are_still_open() -> None:
    limits = structs.replace(NO_LIMITS, max_position_equity_ratio=D("0.1"))
    scripts = {make.TREND: {0: (1.0, NAN)}, SECOND_STRATEGY: {0: (1.0, NAN)}}
    one = trader(scripts, config(sizer="fixed:150"), config(SECOND_STRATEGY, sizer="fixed:51"), limits=limits)
    commands = one.handle(make.bars_closed(0))
    assert [o.strategy for o in orders(commands)] == [make.TREND]
    assert [d.order.strategy for d in denied(commands)] == [SECOND_STRATEGY]


def test_rates_count_on_the_runners_clock_and_a_batch_is_one_burst() -> None:
    script = {day: (0.2 * (day + 1), 0.2 * (day + 1)) for day in range(4)}
    one = trader(script, limits=structs.replace(NO_LIMITS, bursts_per_s_strategy=2))
    sent = [
        len(orders(one.handle(make.bars_closed(day, ts_init=make.T0 + after))))
        for day, after in enumerate((0, 500_000_000, 999_999_999, 1_500_000_000))
    ]
    assert sent == [2, 2, 0, 2], "the third burst within a second is refused, both orders of it; later it goes on"


def test_a_duplicate_window_longer_than_the_rates_memory_is_kept() -> None:
    script = {0: (1.0, NAN), 1: (1.0, 1.0), 2: (0.0, 1.0), 3: (1.0, 1.0)}
    one = trader(script, limits=structs.replace(NO_LIMITS, duplicate_window_s=60.0))
    second = 1_000_000_000
    one.handle(make.bars_closed(0, ts_init=make.T0))
    one.handle(make.bars_closed(1, ts_init=make.T0 + 15 * second))
    one.handle(make.bars_closed(2, ts_init=make.T0 + 30 * second))
    (deny,) = denied(one.handle(make.bars_closed(3, ts_init=make.T0 + 45 * second)))
    assert deny.verdict.reasons == (RiskCheck.DUPLICATE_INTENT,)


def test_two_traders_fed_alike_say_the_same_bytes_and_end_in_the_same_state() -> None:
    script = {0: (1.0, -1.0), 1: (0.25, -0.5), 3: (-1.0, 1.0), 4: (0.0, 0.0)}
    said, ends = [], []
    for _ in range(2):
        one = trader(script, config(sizer="percent:0.3"))
        bytes_ = []
        for day in range(5):
            commands = [*one.handle(make.bars_closed(day, 100.0 + day, 50.0 - day)), one.mark(make.T0 + day)]
            bytes_ += [encode(c) for c in commands]
            for n, order in enumerate(orders(commands)):
                send(one, order, 10 * day + n)
                fill(one, order, "100.00")
        said.append(bytes_)
        ends.append(make.digest(one))
    assert said[0] == said[1]
    assert len(said[0]) > 10
    assert ends[0] == ends[1]


def test_the_digest_changes_with_everything_that_counts() -> None:
    one = trader({0: (1.0, NAN)})
    seen = [make.digest(one)]

    def changed() -> bool:
        seen.append(make.digest(one))
        return seen[-1] not in seen[:-1]

    entry = the_order(one.handle(make.bars_closed(0)))
    assert changed(), "an order"
    send(one, entry)
    assert changed(), "its state"
    fill(one, entry, "100.00", quantity=10, exec_id="a")
    assert changed(), "a position"
    cost = Commission(exec_id="a", revision=1, amount=D("1.00"))
    one.handle(CommissionReported(ts_event=make.T0, ts_init=make.T0, commission=cost))
    assert changed(), "cash"
    one.handle(started(config(capital="100001"), run_id="run-2"))
    assert changed(), "a deposit"
    fill(one, entry, "100.00", quantity=10, exec_id="a")
    assert not changed(), "nothing happened"


def test_atr_and_volume_limits_read_the_bars() -> None:
    limits = structs.replace(NO_LIMITS, max_order_adv_ratio=0.0001)
    script = {day: ((1.0, NAN) if day in {10, 19} else (NAN, NAN)) for day in range(20)}
    one = trader(script, config(sizer="atr:0.002"), limits=limits, resize=Resize.EVERY_BAR)
    found = [one.handle(make.bars_closed(day, 100.0, 50.0)) for day in range(20)]
    assert isinstance(found[10][0], Hold), "no ATR before 15 bars: no size"
    # ATR 2, 100,000 x 0.002 / 2 = 100 units; 20 days of 1,000,000 give room for 100
    assert the_order(found[19]).quantity == 100
