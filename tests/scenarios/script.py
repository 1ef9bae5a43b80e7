"""What a scenario file says: a market, a trader, faults on the way, and what must hold at the end."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from robotrader.model import Action, BarSpec
from robotrader.simulation.gateway.faults import Fault, from_yaml

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts: an unknown key is an error."""


class ClockStep(_Part, frozen=True, kw_only=True):
    """At `at` seconds the host's clock jumps by `by` seconds."""

    at: float
    by: float


class Probe(_Part, frozen=True, kw_only=True):
    """What `robotrader status` must say at `at` seconds: the link's state, codes among the alerts, open orders."""

    at: float
    broker: str
    alerts: tuple[str, ...] = ()
    open_orders: int | None = None


class Kill(_Part, frozen=True, kw_only=True):
    """The trader dies when it has journaled the `nth` `record` of that life (a type of event or command).

    `after` its commit, before anything else is done, or after the next write of an order to the socket; it is started
    again `away` seconds later.
    """

    record: str
    nth: int = 1
    after: Literal["commit", "write"] = "commit"
    away: float = 5.0


class Request(_Part, frozen=True, kw_only=True):
    """At `at` seconds an operator asks for something; `about` is the instrument of a ticket to resolve.

    `change` is that of a limit, `approver` who approved it.
    """

    at: float
    action: Action
    about: str = ""
    change: str = ""
    approver: str | None = None
    reason: str = "scenario"


class Restore(_Part, frozen=True, kw_only=True):
    """The journal is backed up at `copied` seconds; at `at` the trader is killed, and starts on that backup."""

    copied: float
    at: float


class Lock(_Part, frozen=True, kw_only=True):
    """Another program holds the journal's write lock for so long.

    Waiting for a lock takes no virtual time, so the trader does not wait here: as if its timeout had passed.
    """

    at: float
    seconds: float


class HostStep(_Part, frozen=True, kw_only=True):
    """From `at` seconds on so much of the disk is free, or one batch took the journal so long.

    `full`: from then on the journal finds no more room, until the trader is started again.
    """

    at: float
    disk_free: float | None = None
    commit_s: float = 0.0
    full: bool = False


class Rival(_Part, frozen=True, kw_only=True):
    """A second trader is started on the same state folder; `locked`: false where the folder's lock does not hold."""

    at: float
    client_id: int
    locked: bool = True


class Split(_Part, frozen=True, kw_only=True):
    """On `ex_date` prices fall to `old` / `new`; if `known`, the trader's corporate actions say so beforehand."""

    symbol: str
    last_cum_day: str
    ex_date: str
    new: int
    old: int = 1
    known: bool = True


class Crash(_Part, frozen=True, kw_only=True):
    """On `day` trading goes down to `low` times the lowest price of its bar, and comes back before the close."""

    symbol: str
    day: str
    low: float


class Move(_Part, frozen=True, kw_only=True):
    """From `since` until `until`, exchange time, everything trades at `factor` times its price, with gaps between.

    Either of one `symbol`, or of all where it is empty.
    """

    since: str
    until: str
    factor: float
    symbol: str = ""


class Print(_Part, frozen=True, kw_only=True):
    """What the gateway says of the bar of `day`, where it is not what was traded: nan, inf, -37.63, 0..."""

    symbol: str
    day: str
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None


class Expect(_Part, frozen=True, kw_only=True):
    """What must hold at the end.

    `orders` and `fills` as the gateway's own record has them; `positions` in units, flat ones left out; `link` the
    states of the link in order, repetitions left out; `ready_by` seconds at which the link must be READY again for
    good; `quiet` spans of seconds in which not one order may be sent; `logins` the sessions begun, at most, and
    `logins_an_hour` in any hour; `max_loss` in account currency; `unknown` orders whose outcome is still not known.
    `books` what our own books hold by symbol, all strategies together: the broker's positions unless it is given.
    `reason` and `ended` are parts of why trading stands and why the trader's last life ended; `rivals` of how each
    rival ended. `clients` are the ids whose orders were taken, `denied` how many orders risk refused, at least, and
    `a_second` how many were sent within a second, at most. `changes` were made of working orders, and `stops` rest at
    the gateway, in the units they sell less those they buy. `recorded` types of events and commands must be in the
    journal so often. `max_gain` is the most that our own books may ever be worth beyond what they began with. `waiting`
    arrivals may wait for the trader at once, at most. `flattened` says what each flatten left at the broker.
    """

    orders: int
    fills: int
    positions: dict[str, int] = {}
    trading_state: str = "ACTIVE"
    link: tuple[str, ...] | None = None
    ready_by: float | None = None
    quiet: tuple[tuple[float, float], ...] = ()
    logins: int | None = None
    logins_an_hour: int = 20
    max_loss: float = 1_000.0
    unknown: int = 0
    books: dict[str, int] | None = None
    reason: str = ""
    ended: str = ""
    rivals: tuple[str, ...] = ()
    clients: tuple[int, ...] | None = None
    denied: int = 0
    refused: int = 0
    a_second: int = 40
    recorded: dict[str, int] = {}
    changes: int = 0
    stops: dict[str, int] = {}
    max_gain: float | None = None
    waiting: int | None = None
    flattened: tuple[dict[str, int], ...] = ()


class Scenario(_Part, frozen=True, kw_only=True):
    """One incident.

    `start` is exchange time, `lasts` seconds; `faults` is the gateway's fault script, its times in seconds since the
    start; `restarts` are the times at which the trader is killed and started again; `tick` is how often, in seconds,
    trader and market look at the clock; `restart_at` is the gateway's daily restart as the trader is configured to know
    it; `participation` the share of a bar's volume that fills at most. `copies` of the strategy trade side by side,
    each one unit more than the one before; `strategy` is a class of flip.py, with this `stop_loss`, `take_profit` and
    `sizer` (None: a fixed number of units); `risk` has limits in place of the paper profile's.
    `bars` is their length: the market's, and that of the strategy's decisions.
    `retired` are the copies whose stage is RETIRED, by their numbers. `risk_later` is what the configuration says of
    risk after the first restart, `strategy_later` the class that stands under the strategy's name then, which
    `accept_code` starts in spite of that. At each of
    `flattens` the trader is ended, as the kill path does, and `robotrader flatten` takes its place, then it is started.
    `breach` is the second in which it goes wrong, where there is one: from then on is measured how fast it is stopped.
    `mutant` names the planted bug under which the scenario must fail.
    """

    id: str
    title: str
    mutant: str
    start: str
    lasts: float
    expect: Expect
    story: str = ""
    breach: float | None = None
    seed: int = 1
    symbols: tuple[str, ...] = ("AAA",)
    tick: float = 20.0
    faults: tuple[Fault, ...] = ()
    restart_at: str = "23:45"
    clock: tuple[ClockStep, ...] = ()
    restarts: tuple[float, ...] = ()
    participation: float | None = None
    copies: int = 1
    strategy: str = "Flip"
    stop_loss: str | None = None
    take_profit: str | None = None
    sizer: str | None = None
    risk: dict[str, str] = {}
    kills: tuple[Kill, ...] = ()
    requests: tuple[Request, ...] = ()
    restores: tuple[Restore, ...] = ()
    locks: tuple[Lock, ...] = ()
    host: tuple[HostStep, ...] = ()
    rivals: tuple[Rival, ...] = ()
    probes: tuple[Probe, ...] = ()
    splits: tuple[Split, ...] = ()
    crashes: tuple[Crash, ...] = ()
    prints: tuple[Print, ...] = ()
    moves: tuple[Move, ...] = ()
    bars: BarSpec = BarSpec.DAY
    retired: tuple[int, ...] = ()
    risk_later: dict[str, str] = {}
    strategy_later: str = ""
    accept_code: bool = False
    flattens: tuple[float, ...] = ()


def read(path: Path) -> Scenario:
    """Read one scenario file."""
    return from_yaml(path.read_text(encoding="utf-8"), Scenario, source=path.name)


def all_files() -> list[Path]:
    """Return the scenario files, in order of their names."""
    return sorted(FOLDER.glob("S*.yaml"))
