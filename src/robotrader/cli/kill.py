"""The kill path: `cancel-all` and `flatten`. They work with the trader hung and the database locked."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from robotrader.cli.command import BROKER, OK, PARTIAL, Answer, Call, command
from robotrader.cli.control import Reason, Symbol, halt, operator
from robotrader.model import BrokerUnavailable, ConfigError, InstrumentId, TradingState

if TYPE_CHECKING:
    from robotrader.bootstrap import Takeover
    from robotrader.config import Settings

AllClients = Annotated[
    bool, typer.Option("--all-clients", help="Every order of the account, also by hand and of other programs.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "cancel-all")(cancel_all)
    command(app, "flatten")(flatten)
    command(app, "deadman")(deadman)


async def cancel_all(
    call: Call, *, reason: Reason = "operator", symbol: Symbol = None, all_clients: AllClients = False
) -> Answer:
    """Halt, stop the trader, and cancel our orders at the broker, also those that protect positions."""
    return await _kill(call, reason, symbol, flatten=False, all_clients=all_clients)


async def flatten(
    call: Call, *, reason: Reason = "operator", symbol: Symbol = None, all_clients: AllClients = False
) -> Answer:
    """Halt, stop the trader, cancel our orders at the broker and close the positions; 0 only when flat."""
    return await _kill(call, reason, symbol, flatten=True, all_clients=all_clients)


async def deadman(
    call: Call,
    *,
    after: Annotated[
        float, typer.Option(min=0.0, help="Seconds that the trader may be silent beyond its lease.")
    ] = 45.0,
    do: Annotated[Literal["halt", "cancel-all", "flatten"], typer.Option("--do", help="What to do then.")] = "halt",
) -> Answer:
    """Wait beside the trader, and act for it when it hangs, is frozen or dies; then end, with that command's answer."""
    from robotrader import bootstrap
    from robotrader.web.formatting import utc

    since = await bootstrap.lease_lost(call.state, after_s=after)
    reason = f"the trader gave no sign of life since {utc(since):%Y-%m-%d %H:%M:%S} UTC"
    call.note(reason)
    if do == "halt":
        return halt(call, reason)
    return await _kill(call, reason, None, flatten=do == "flatten", all_clients=False)


async def _kill(call: Call, reason: str, symbol: str | None, *, flatten: bool, all_clients: bool) -> Answer:
    """Refuse a wrong symbol before anything is done, a wrong configuration when the trader is stopped."""
    from robotrader import bootstrap

    if symbol and all_clients:
        raise typer.BadParameter("all orders of the account cannot be those of one symbol", param_hint="--symbol")
    asked = _asked(call, symbol)
    async with bootstrap.instead_of_trader(call.state, reason, operator()) as taken:
        if isinstance(asked, ConfigError):
            raise asked
        payload: dict[str, Any] = {"trading_state": TradingState.HALTED, "orders_canceled": None, "flat": None}
        payload |= {"fenced": taken.fenced, "stopped": taken.stopped}
        try:
            found = await bootstrap.kill(asked[0], flatten=flatten, only=asked[1], all_clients=all_clients)
        except BrokerUnavailable as error:
            text = f"{_course(taken)}\nbut the broker is out of reach, and orders may be open there: {error}"
            return Answer({**payload, "error": str(error)}, text, BROKER)
    left = [{"order_ref": o.ref, "client_id": o.client_id, "instrument": o.instrument} for o in found.left]
    payload |= {"orders_canceled": found.canceled, "flat": not found.held, "orders_left": left,
                "positions": found.held, "skipped": found.skipped}  # fmt: skip
    held = [f"{i} {n:g}{' (it has no price)' * (i in found.skipped)}" for i, n in found.held.items()]
    text = f"{_course(taken)}\norders canceled: {found.canceled}\n{'held: ' + ', '.join(held) if held else 'flat'}"
    text += "".join(f"\nstill open: {o.ref} {o.instrument} of client {o.client_id}" for o in found.left)
    done = not found.left and not (flatten and found.held)
    return Answer(payload, text, OK if done else PARTIAL)


def _asked(call: Call, symbol: str | None) -> "tuple[Settings, InstrumentId | None] | ConfigError":
    """Return the settings and what to restrict to, or what is wrong with the settings."""
    from robotrader.config import load_settings

    try:
        settings, _ = load_settings(call.config)
    except ConfigError as error:
        return error
    found = [i.id for i in settings.instruments if symbol in {i.id, i.symbol}]
    if symbol is not None and not found:
        raise typer.BadParameter(f"{symbol} is not configured", param_hint="--symbol")
    return settings, found[0] if found else None


def _course(taken: "Takeover") -> str:
    trader = "no trader ran" if taken.stopped is None else f"the trader (pid {taken.stopped}) was stopped"
    fence = "" if taken.fenced else "; the journal did not take a fence, the flag file and the client id hold"
    return f"trading is HALTED; {trader}{fence}"
