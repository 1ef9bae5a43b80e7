"""One client's connection: what it subscribed to, and what it was told last."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.line import Line
from robotrader.simulation.gateway.pacing import Pacer
from robotrader.simulation.gateway.requests import Refused


class MarketDataRules(Struct, frozen=True, kw_only=True):
    """What the account may see of the market, and how often it may ask.

    Attributes
    ----------
    delayed : bool
        The account has no live data: who asks for delayed data gets it 15 minutes late, others get 354.
    lines : int
        Level 1 subscriptions that one client may hold.
    pacing : bool
        Refuse historical requests beyond IBKR's pacing limits.
    """

    delayed: bool = False
    lines: int = 100
    pacing: bool = False


Sent = Mapping[object, bytes]
Frames = Iterable[tuple[object, bytes]]
State = Callable[[Sent], Frames]
"""What there is to tell, as frames by key; it may look at what was sent last."""


class Stream:
    """A subscription: of `state`, the frames that changed are news.

    `moment` must be cheap: nothing is new while its value stays the same.
    """

    def __init__(self, moment: Callable[[], object], state: State) -> None:
        self._moment = moment
        self._state = state
        self._seen: object = self
        self._sent: dict[object, bytes] = {}

    def news(self) -> list[bytes]:
        """Return the frames that tell what changed since the last call; at first all."""
        moment, seen = self._moment(), self._seen
        if moment == seen:
            return []
        self._seen = moment
        found = []
        for key, data in self._state(self._sent):
            if self._sent.get(key) != data:
                self._sent[key] = data
                found.append(data)
        return found


class Connection:
    """Speak to one client."""

    def __init__(self, line: Line, rules: MarketDataRules) -> None:
        self.line = line
        self.speaker: messages.Speaker
        self.rules = rules
        self.client_id = -1
        self.pulled_time = False
        self.data_type = 1
        self._streams: dict[tuple[str, int], Stream] = {}
        self._pacer = Pacer()

    def send(self, *frames: bytes) -> None:
        """Send frames, unless the client has gone."""
        if frames:
            self.line.send(b"".join(frames))

    def error(self, notice: tuple[int, int, str], now: int) -> None:
        """Send an error or notice: request id, code and text; `now` in ns UTC."""
        self.send(messages.error(self.speaker.version, *notice, now=now))

    def close(self) -> None:
        """Close once everything has been sent."""
        self.line.close()

    def subscribe(self, kind: str, req_id: int, stream: Stream, *opening: bytes) -> None:
        """Send the opening frames and the state, then whatever changes; refuse (322) an id that is in use."""
        if (kind, req_id) in self._streams:
            raise Refused(322, f"Error processing request.-'{req_id}' : cause - Duplicate ticker id")
        self._streams[kind, req_id] = stream
        self.send(*opening, *stream.news())

    def unsubscribe(self, kind: str, req_id: int = -1) -> bool:
        """End a subscription; False when there is none."""
        return self._streams.pop((kind, req_id), None) is not None

    def count(self, *kinds: str) -> int:
        """Return how many subscriptions of these kinds there are."""
        return len(self.ids(*kinds))

    def ids(self, *kinds: str) -> list[int]:
        """Return the ids of the subscriptions of these kinds."""
        return [req_id for kind, req_id in self._streams if kind in kinds]

    def refresh(self) -> None:
        """Tell what changed of everything that the client subscribed to."""
        self.send(*(data for stream in self._streams.values() for data in stream.news()))

    def pace(self, question: tuple[object, ...], series: tuple[object, ...], weight: int = 1) -> None:
        """Refuse (162) a historical request that comes too soon, if the rules say so; the clock is the event loop's."""
        if not self.rules.pacing:
            return
        open_now = self.count("history", "real-time bars")
        if not self._pacer.take(asyncio.get_running_loop().time(), question, series, open_now=open_now, weight=weight):
            text = "Historical Market Data Service error message:Historical data request pacing violation"
            raise Refused(162, text)
