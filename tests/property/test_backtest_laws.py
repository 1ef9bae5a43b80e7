"""Laws that no backtest may break, whatever it trades: scaling, time, order, costs, and no money from nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from robotrader.data.panel import VALUES, Panel
from robotrader.model import BarSpec, Instrument, Manifest, OrderType, StrategyConfig, StrategyId, stock
from robotrader.research.backtest import BacktestResult, _Run, _run_started, run_backtest
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.impact import Impact
from robotrader.simulation.venue import Venue
from robotrader.strategy.contract import SignalSource, TrailingWindow
from robotrader.strategy.loading import load_strategy
from tests import builders as make
from tests.property.test_backtest import panels

D = Decimal
DRAWN = f"{Path(__file__).parents[1] / 'differential' / 'drawn_strategy.py'}:Drawn"


def run(panel: Panel, config: StrategyConfig, *, costs: str = "none", bps: str = "0", impact: str = "0",
        borrow: str = "0", participation: float | None = None, skip_quiet: bool = True) -> BacktestResult:  # fmt: skip
    moved = Impact(panel, D(impact)) if D(impact) else None
    venue = Venue({i.id: i for i in panel.instruments}, cost_model(costs), half_spread_bps=D(bps), impact=moved,
                  participation=participation)  # fmt: skip
    return run_backtest([config], panel, venue, limits=RESEARCH, borrow_rate=D(borrow), skip_quiet=skip_quiet)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Panel, StrategyConfig]:
    """Draw a market, and a strategy of a fixed size, with or without protection."""
    panel = draw(panels())
    return panel, StrategyConfig(
        id=StrategyId("drawn"), source=DRAWN, universe=panel.ids, capital=D(100_000), sizer="fixed:100",
        parameters={"seed": draw(st.integers(0, 2**32)), "density": draw(st.sampled_from([1.0, 0.3])),
                    "short": draw(st.integers(0, 1))},
        stop_loss=draw(st.sampled_from([None, "percent:0.02", "percent:0.1", "trailing_percent:0.02"])),
        take_profit=draw(st.sampled_from([None, "percent:0.03"])),
    )  # fmt: skip


def trades(result: BacktestResult, *, units: int = 1, money: int = 1, sign: int = 1) -> list[tuple[object, ...]]:
    """Return the fills, with sizes, prices and sides brought to a common measure."""
    return [(f.instrument, f.ts_event, f.side.sign * sign, f.quantity / units, f.price / money) for f in result.fills]


def profit(result: BacktestResult, capital: int = 100_000) -> Decimal:
    return result.final.equity - capital


def scaled(panel: Panel, factor: float) -> Panel:
    """Return the panel with prices and ticks times a power of two; volumes the other way."""
    prices = {name: getattr(panel, name) * factor for name in VALUES[:4]}
    ticks = tuple(structs.replace(i, tick=i.tick * D(str(factor))) for i in panel.instruments)
    return replace(panel, instruments=ticks, volume=panel.volume / factor, **prices)


@given(cases(), st.sampled_from([2, 4]), st.sampled_from(["0", "8"]))
def test_a_share_cut_in_pieces_earns_the_same(case: tuple[Panel, StrategyConfig], pieces: int, bps: str) -> None:
    panel, config = case
    whole = run(panel, config, costs="bps:5", bps=bps)
    cut = run(scaled(panel, 1 / pieces), structs.replace(config, sizer=f"fixed:{100 * pieces}"), costs="bps:5", bps=bps)
    event("trades" if whole.fills else "no trades")
    assert trades(cut, units=pieces) == trades(_in_pieces(whole, pieces))
    assert profit(cut) == profit(whole)


def _in_pieces(result: BacktestResult, pieces: int) -> BacktestResult:
    return structs.replace(result, fills=tuple(structs.replace(f, price=f.price / pieces) for f in result.fills))


@given(cases())
def test_another_unit_of_money_changes_the_unit_only(case: tuple[Panel, StrategyConfig]) -> None:
    panel, config = case
    one = run(panel, config, costs="bps:5", bps="8")
    other = run(scaled(panel, 2), structs.replace(config, capital=D(200_000)), costs="bps:5", bps="8")
    assert trades(other, money=2) == trades(one)
    assert profit(other, 200_000) == 2 * profit(one)


@given(cases())
def test_twice_the_money_earns_twice_as_much(case: tuple[Panel, StrategyConfig]) -> None:
    panel, config = case
    one = run(panel, config, costs="bps:5", bps="8")
    other = run(panel, structs.replace(config, capital=D(200_000), sizer="fixed:200"), costs="bps:5", bps="8")
    assert trades(other, units=2) == trades(one)
    assert profit(other, 200_000) == 2 * profit(one)


@given(cases(), st.randoms(use_true_random=False))
def test_other_columns_in_any_order_change_nothing(case: tuple[Panel, StrategyConfig], random: Any) -> None:
    panel, config = case
    cells: dict[str, Any] = {name: np.hstack([getattr(panel, name), np.full((len(panel), 1), 7.0)]) for name in VALUES}
    more = replace(panel, instruments=(*panel.instruments, stock("OTHER")), **cells)
    order = list(more.ids)
    random.shuffle(order)
    friction: dict[str, Any] = {"costs": "ibkr_fixed", "bps": "8", "impact": "1", "borrow": "0.01"}
    first, second = run(panel, config, **friction), run(more.columns(tuple(order)), config, **friction)
    assert sorted(map(str, trades(first))) == sorted(map(str, trades(second)))
    assert first.final.equity == second.final.equity


@given(cases())
def test_the_opposite_strategy_earns_the_opposite_where_trading_is_free(case: tuple[Panel, StrategyConfig]) -> None:
    panel, config = case
    plain = structs.replace(config, stop_loss=None, take_profit=None)
    one = run(panel, plain)
    other = run(panel, structs.replace(plain, parameters={**plain.parameters, "sign": -1}))
    assert trades(other, sign=-1) == trades(one)
    assert profit(other) == -profit(one)


@given(cases(), st.integers(0, 60))
def test_what_comes_later_changes_nothing_that_was(case: tuple[Panel, StrategyConfig], rows: int) -> None:
    panel, config = case
    rows = min(rows, len(panel) - 1)
    config = structs.replace(config, source="sma_crossover", parameters={"fast": 1, "slow": 2})  # it looks back only
    friction: dict[str, Any] = {"costs": "ibkr_fixed", "bps": "8", "impact": "1", "borrow": "0.01",
                                "participation": 0.001}  # fmt: skip
    past, all_of_it = run(panel.rows(0, rows), config, **friction), run(panel, config, **friction)
    until = int(panel.ts[rows - 1]) if rows else 0
    assert past.fills == tuple(f for f in all_of_it.fills if f.ts_event <= until)
    assert past.equity.tolist() == all_of_it.equity[:rows].tolist()


class BarByBar(_Run):
    """A run whose strategies are given one bar after the other, and compute their strengths from their windows."""

    def _source(
        self, config: StrategyConfig, instruments: tuple[Instrument, ...]
    ) -> tuple[Manifest, SignalSource]:  # fmt: skip
        strategy = load_strategy(config.source, config.parameters)
        return strategy.manifest, TrailingWindow(strategy, instruments)


@given(cases(), st.sampled_from([("sma_crossover", {"fast": 2, "slow": 5}), ("momentum", {"lookback": 3, "top": 1})]))
def test_a_run_in_chunks_of_one_bar_is_the_run(case: tuple[Panel, StrategyConfig], of: tuple[str, Any]) -> None:
    panel, config = case
    config = structs.replace(config, source=of[0], parameters=of[1])
    venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"))
    chunked = BarByBar(panel, venue, (), borrow_rate=D(0), keep_commands=False, revise=None)
    chunked.trader.handle(_run_started([config], panel, RESEARCH))
    chunked.every(always=False, progress=None)
    found, whole = chunked.result("research", 0.0), run(panel, config, costs="ibkr_fixed", bps="1")
    event(f"{min(len(whole.fills), 3)} fills or more")
    assert (found.orders, found.fills, found.final) == (whole.orders, whole.fills, whole.final)
    assert found.equity.tolist() == whole.equity.tolist()


@given(cases(), st.integers(0, 2**32))
def test_whoever_is_asked_first_gets_no_other_price(case: tuple[Panel, StrategyConfig], seed: int) -> None:
    panel, first = case
    second = structs.replace(first, id=StrategyId("second"), parameters={**first.parameters, "seed": seed})

    def trades_of(*order: StrategyConfig) -> dict[str, list[tuple[object, ...]]]:
        venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"), half_spread_bps=D(8))
        fills = run_backtest(order, panel, venue, limits=structs.replace(RESEARCH, duplicate_window_s=None)).fills
        found = defaultdict[str, list[tuple[object, ...]]](list)
        for f in fills:
            found[f.strategy].append((f.order_id, f.ts_event, f.side, f.quantity, f.price))
        return {strategy: sorted(each, key=repr) for strategy, each in found.items()}

    assert trades_of(first, second) == trades_of(second, first)


@given(cases())
def test_borrow_fees_are_the_same_over_skipped_bars(case: tuple[Panel, StrategyConfig]) -> None:
    panel, config = case
    one, other = (run(panel, config, borrow="0.2", skip_quiet=quiet) for quiet in (True, False))
    event("fees" if one.borrow_cost else "no fees")
    assert (one.final, one.borrow_cost, one.equity.tolist()) == (other.final, other.borrow_cost, other.equity.tolist())


@given(cases(), st.sampled_from([
    ({"costs": "bps:1"}, {"costs": "bps:3"}), ({"bps": "1"}, {"bps": "9"}), ({"impact": "0"}, {"impact": "2"}),
    ({"borrow": "0"}, {"borrow": "0.2"}), ({"costs": "none"}, {"costs": "ibkr_fixed"}),
]))  # fmt: skip
def test_higher_costs_earn_no_more(case: tuple[Panel, StrategyConfig], costs: tuple[Any, Any]) -> None:
    panel, config = case
    cheap, dear = (run(panel, config, **chosen) for chosen in costs)
    assert [(f.ts_event, f.side, f.quantity) for f in dear.fills] == [
        (f.ts_event, f.side, f.quantity) for f in cheap.fills
    ]
    assert profit(dear) <= profit(cheap)


@settings(max_examples=200)
@given(cases(), st.sampled_from([None, 0.5, 0.0005]), st.sampled_from(["0", "30"]))
def test_fills_keep_to_their_bar_and_positions_to_their_size(
    case: tuple[Panel, StrategyConfig], participation: float | None, bps: str
) -> None:
    """Each fill lies within its bar's range (plus half the spread) and volume; a stop never opens a position."""
    panel, config = case
    result = run(panel, config, bps=bps, participation=participation)
    types, slip = {o.id: o.type for o in result.orders}, D(bps) / 10_000
    filled: defaultdict[tuple[int, int], int] = defaultdict(int)
    held: defaultdict[str, int] = defaultdict(int)
    for fill in result.fills:
        row, column = int(panel.ts.searchsorted(fill.ts_event)), panel.ids.index(fill.instrument)
        low, high = (D(repr(float(getattr(panel, name)[row, column]))) for name in ("low", "high"))
        tick = panel.instruments[column].tick
        assert low * (1 - slip) - tick <= fill.price <= high * (1 + slip) + tick
        filled[row, column] += fill.quantity
        before, held[fill.instrument] = held[fill.instrument], held[fill.instrument] + fill.side.sign * fill.quantity
        if types[fill.order_id] is not OrderType.MARKET:
            event(f"{types[fill.order_id]} filled")
            assert abs(held[fill.instrument]) < abs(before), "protection only takes away"
        assert abs(held[fill.instrument]) <= 100
    for (row, column), units in filled.items():
        assert units <= panel.volume[row, column] * (participation or 1e9)


# --------------------------------------------------------------------------------------------- no money from nothing
def martingale(seed: int, *, rows: int = 100, columns: int = 40) -> Panel:
    """Make bars of fair games: 30 steps of a cent or none a bar, and a fair jump over night."""
    random = np.random.default_rng(seed)
    steps = random.integers(-1, 2, size=(rows, 31, columns))
    steps[:, 0] = random.integers(-30, 31, size=(rows, columns))
    path = 10_000 + steps.reshape(-1, columns).cumsum(axis=0).reshape(rows, 31, columns)
    o, c, h, lo = path[:, 0], path[:, -1], path.max(axis=1), path.min(axis=1)
    ts = make.T0 + make.DAY * np.arange(rows)
    names: tuple[Instrument, ...] = tuple(stock(f"S{k}") for k in range(columns))
    return Panel(instruments=names, spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=o / 100, high=h / 100,
                 low=lo / 100, close=c / 100, volume=np.full(o.shape, 1e6))  # fmt: skip


def gains(source: str, stop_loss: str | None = None) -> tuple[Sequence[float], float]:
    """Return what each of 200 instruments earned, and the mean of what trading it cost."""
    earned, paid = [], 0.0
    for seed in range(5):
        panel = martingale(seed)
        config = StrategyConfig(
            id=StrategyId("drawn"), source=source, universe=panel.ids, capital=D(10_000_000), sizer="fixed:100",
            parameters={"seed": seed}, stop_loss=stop_loss,
        )  # fmt: skip
        result = run(panel, config, costs="bps:2", bps="3")
        cash = dict.fromkeys(panel.ids, 0.0)
        held = dict.fromkeys(panel.ids, 0)
        for fill, cost in zip(result.fills, result.commissions, strict=True):
            cash[fill.instrument] -= fill.side.sign * fill.quantity * float(fill.price) + float(cost.amount)
            held[fill.instrument] += fill.side.sign * fill.quantity
        earned += [cash[i] + held[i] * float(panel.close[-1, k]) for k, i in enumerate(panel.ids)]
        paid += float(result.final.commission + result.slippage_cost)
    return earned, paid / len(earned)


def t_value(samples: Sequence[float], mean: float) -> float:
    return float((np.mean(samples) - mean) / (np.std(samples, ddof=1) / np.sqrt(len(samples))))


def test_chance_on_a_fair_game_earns_minus_its_costs() -> None:
    earned, paid = gains(DRAWN)
    assert paid > 50
    assert abs(t_value(earned, -paid)) < 3
    assert t_value(earned, 0.0) < -3, "costs are felt"


def test_stops_make_no_money_on_a_fair_game_either() -> None:
    earned, paid = gains(DRAWN, "percent:0.003")
    assert abs(t_value(earned, -paid)) < 3


def test_the_test_of_chance_would_notice_who_knows_the_next_bar() -> None:
    earned, paid = gains(DRAWN.replace(":Drawn", ":Prophet"))
    assert t_value(earned, -paid) > 10
