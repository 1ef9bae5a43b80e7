"""What follows from an event, in the running trader and in replay alike; holds the one broad `except`."""

from collections.abc import Sequence

from msgspec import Struct

from robotrader.engine.trader import Trader
from robotrader.model import AnyCommand, AnyEvent, BarsClosed


class Response(Struct, frozen=True):
    """The commands to journal, or why the core failed (then there are none)."""

    commands: Sequence[AnyCommand] = ()
    failure: Exception | None = None


def respond(trader: Trader, event: AnyEvent) -> Response:
    """Hand an event to the core; after a cross-section of bars, also mark the books.

    A failure is a bug or a broken invariant: the runner journals a halt next, and replay, which fails in
    the same way, finds that halt in the journal.
    """
    try:
        commands = trader.handle(event)
        if isinstance(event, BarsClosed) and not event.warmup:
            commands = (*commands, trader.mark(event.ts_event))
    except Exception as failure:  # noqa: BLE001 - the one place; whatever it is, the trader must halt and go on
        return Response(failure=failure)
    return Response(commands)
