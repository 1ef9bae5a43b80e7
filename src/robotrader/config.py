"""Settings: one TOML file, overridden by the environment; unknown keys are errors, every value knows its origin."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import platformdirs
from msgspec import Meta, Struct, field, structs

from robotrader.data.instruments import instrument_of
from robotrader.model import BarSpec, ConfigError, Instrument, InstrumentId, RiskLimit, StrategyConfig, Venue
from robotrader.monitoring.redact import clean
from robotrader.portfolio.sizing import parse_sizer
from robotrader.risk.limits import profile

ENV_CONFIG = "ROBOTRADER_CONFIG"
ENV_PREFIX = "ROBOTRADER__"
LOCAL_FILE = "robotrader.toml"

Origins = dict[str, str]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections."""


class BrokerSettings(Section, frozen=True, kw_only=True):
    """Where IB Gateway or TWS listens. `account` must be what it reports, and begin with `account_prefix`.

    `lock_step`: time stands until the broker sends it (gateway simulator only).
    """

    host: str = "127.0.0.1"
    port: Port = 4002
    client_id: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 1
    account: str = ""
    account_prefix: str = "DU"
    lock_step: bool = False
    data_source: Literal["ibkr"] = "ibkr"


class InstrumentSettings(Section, frozen=True, kw_only=True):
    """An instrument that differs from a plain US stock; `tick` and `multiplier` in currency units."""

    id: InstrumentId
    tick: Decimal = Decimal("0.01")
    lot: Annotated[int, Meta(ge=1)] = 1
    multiplier: Decimal = Decimal(1)


class DataSettings(Section, frozen=True, kw_only=True):
    """What is watched: instrument ids (`AAPL.NASDAQ`) or tables, and the bars' length."""

    universe: tuple[str | InstrumentSettings, ...] = ()
    bar_spec: BarSpec = BarSpec.DAY


class RiskSettings(RiskLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit profile, and single limits that replace the profile's."""

    profile: Literal["research", "paper", "live"] = "paper"


class DashboardSettings(Section, frozen=True, kw_only=True):
    """Where the web process listens."""

    host: str = "127.0.0.1"
    port: Port = 8787


class LogSettings(Section, frozen=True, kw_only=True):
    """How much is logged and in which form; `auto` is console on a terminal, else JSON."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be set; `state` is the state folder, None the user's data folder."""

    mode: Literal["paper", "shadow", "live"] = "paper"
    state: str | None = None
    broker: BrokerSettings = BrokerSettings()
    data: DataSettings = DataSettings()
    risk: RiskSettings = RiskSettings()
    strategies: tuple[StrategyConfig, ...] = field(name="strategy", default=())
    dashboard: DashboardSettings = DashboardSettings()
    log: LogSettings = LogSettings()

    @property
    def state_dir(self) -> Path:
        """Return the state folder."""
        return Path(self.state).expanduser() if self.state else platformdirs.user_data_path("robotrader")

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Return the universe."""
        return tuple(
            instrument_of(item)
            if isinstance(item, str)
            else structs.replace(instrument_of(item.id), tick=item.tick, lot=item.lot, multiplier=item.multiplier)
            for item in self.data.universe
        )

    @property
    def limits(self) -> RiskLimit:
        """Return the effective limits; a profile with replaced limits says so in its name."""
        base = profile(self.risk.profile)
        own = {name: value for name in _limit_names() if (value := getattr(self.risk, name)) is not None}
        return structs.replace(base, **own, profile=f"{base.profile}+overrides") if own else base


class SettingRow(Struct, frozen=True, kw_only=True):
    """One effective value and where it comes from."""

    key: str
    value: object
    origin: str


def load_settings(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> tuple[Settings, Origins]:
    """Assemble the settings from the first file there is, the environment and the command line.

    Parameters
    ----------
    file : Path, optional
        The file to read (`--config`); else ROBOTRADER_CONFIG, ./robotrader.toml, the user's file, or none at all.
    environ : mapping, optional
        Environment, default the process's. `ROBOTRADER__SECTION__KEY` overrides `section.key`; lists are
        separated by commas.
    overrides : mapping, optional
        Values of the command line by key, such as `{"state": "..."}`; they win.

    Returns
    -------
    (Settings, dict)
        And for each key that is not a default where it comes from.

    Raises
    ------
    ConfigError
        A file is missing or unreadable, a key is unknown, or a value does not fit.
    """
    environment = os.environ if environ is None else environ
    found = file or _find(environment)
    document = _read(found) if found else {}
    origins: Origins = {}
    if found:
        _refuse_unknown(Settings, document, "", str(found))
        origins |= dict.fromkeys(_leaves(document), f"file {found}")
    texts = [
        (name.removeprefix(ENV_PREFIX).lower().replace("__", "."), text, f"environment {name}")
        for name, text in sorted(environment.items())
        if name.startswith(ENV_PREFIX)
    ]
    texts += [(key, text, "command line") for key, text in (overrides or {}).items()]
    for key, text, origin in texts:
        _put(document, key, _from_text(key, text, origin))
        origins[key] = origin
    settings = _convert(document, origins)
    _check(settings)
    return settings, origins


def validate(settings: Settings) -> tuple[str, ...]:
    """Say why a trader would not start with these settings; empty when it would."""
    broker, reasons = settings.broker, []
    if settings.mode != "paper":
        reasons.append(f'mode: only "paper" can be traded with this version, found "{settings.mode}"')
    if not settings.data.universe:
        reasons.append("data.universe: expected at least one instrument, found none")
    if not settings.strategies:
        reasons.append("strategy: expected at least one [[strategy]], found none")
    if not broker.account:
        reasons.append("broker.account: expected the account's id, found none")
    elif not broker.account.startswith(broker.account_prefix):
        reasons.append(f"broker.account: expected an id that begins with {broker.account_prefix}")
    return tuple(reasons)


def show(settings: Settings, origins: Origins) -> list[SettingRow]:
    """List the effective values with their origins; secrets and accounts masked."""
    plain = msgspec.to_builtins(settings)
    limits = msgspec.to_builtins(settings.limits)
    inherited = {name for name, value in plain["risk"].items() if value is None}
    plain["risk"] |= {name: limits[name] for name in inherited}
    rows = []
    for key, value in _flatten(plain, ""):
        section, _, name = key.partition(".")
        from_profile = section == "risk" and name in inherited
        default = f"profile {settings.risk.profile}" if from_profile else "default"
        origin = origins.get(re.sub(r"\[.*", "", key), default)
        rows.append(SettingRow(key=key, value=clean(value, key.rpartition(".")[2]), origin=origin))
    return rows


def schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration file."""
    return msgspec.json.schema(Settings)


def user_file() -> Path:
    """Return the place of the user's configuration file."""
    return platformdirs.user_config_path("robotrader") / LOCAL_FILE


def starter_config() -> str:
    """Return a commented configuration to begin with: paper trading, one strategy."""
    return _STARTER


def _limit_names() -> list[str]:
    return [name for name in RiskLimit.__struct_fields__ if name != "profile"]


def _find(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(ENV_CONFIG):
        return Path(named).expanduser()
    return next((path for path in (Path(LOCAL_FILE), user_file()) if path.is_file()), None)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"configuration {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file} is not valid TOML: {error}") from error


def _types(struct: type[Struct]) -> dict[str, Any]:
    """Return the types of a section's keys by the names that a file uses."""
    return {f.encode_name: f.type for f in structs.fields(struct)}


def _struct_in(kind: Any) -> type[Struct] | None:
    """Return the section or table that a type consists of, None for plain values."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind
    return next((s for s in map(_struct_in, get_args(kind)) if s), None)


def _refuse_unknown(struct: type[Struct], table: Mapping[str, Any], path: str, origin: str) -> None:
    known = _types(struct)
    for key, value in table.items():
        if key not in known:
            raise _unknown(key, known, path, origin)
        below = _struct_in(known[key])
        for i, item in enumerate(value if isinstance(value, list) else [value]):
            if below is not None and isinstance(item, dict):
                place = f"{path}{key}[{i}]." if isinstance(value, list) else f"{path}{key}."
                _refuse_unknown(below, item, place, origin)


def _unknown(key: str, known: Mapping[str, Any], path: str, origin: str) -> ConfigError:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {path}{near[0]}?" if near else f"expected one of {', '.join(known)}"
    return ConfigError(f"{origin}: unknown key {path}{key}; {hint}", key=f"{path}{key}")


def _leaves(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        yield from (f"{key}.{name}" for name in value) if isinstance(value, dict) else (key,)


def _from_text(key: str, text: str, origin: str) -> object:
    """Turn text into the plain value that the key's type asks for."""
    struct: type[Struct] = Settings
    path, kind = "", None
    for part in key.split("."):
        if part not in _types(struct):
            raise _unknown(part, _types(struct), path, origin)
        kind, path = _types(struct)[part], f"{path}{part}."
        if isinstance(kind, type) and issubclass(kind, Struct):
            struct, kind = kind, None
        elif path.count(".") < key.count(".") + 1:
            raise ConfigError(f"{origin}: {path[:-1]} has no keys below it; set it in a file", key=key)
    if kind is None or kind == tuple[StrategyConfig, ...]:
        raise ConfigError(f"{origin}: {key} is a table: set its keys, or set it in a file", key=key)
    if any(get_origin(k) is tuple for k in (kind, *get_args(kind))):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        value: object = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {key}: {_expected(kind, str(error))}; found {clean(text, key)!r}") from error
    return value if isinstance(value, bool | int | float | Decimal) else text


def _put(document: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise ConfigError(f"{section}: expected a table, found {document!r}", key=section)
    document[name] = value


def _convert(document: dict[str, Any], origins: Origins) -> Settings:
    try:
        return msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        path = place.rstrip("`") or "(top)"
        kind, found = _follow(document, path)
        origin = next((o for k, o in origins.items() if re.match(rf"{re.escape(k)}\b", path)), "configuration")
        shown = f"; found {clean(found, path.rpartition('.')[2])!r}" if not isinstance(found, dict | list) else ""
        raise ConfigError(f"{origin}: {path}: {_expected(kind, text, found)}{shown}", key=path) from error


def _check(settings: Settings) -> None:
    """Refuse values that fit their types but not each other."""
    universe = [i.id for i in settings.instruments]
    for item, instrument in zip(settings.data.universe, settings.instruments, strict=True):
        _check_instrument(item if isinstance(item, str) else item.id, instrument)
    if len(set(universe)) < len(universe):
        raise ConfigError("data.universe: expected each instrument once, found one twice", key="data.universe")
    for name in _limit_names():
        value = getattr(settings.risk, name)
        if isinstance(value, int | float | Decimal) and value < 0:
            raise ConfigError(f"risk.{name}: expected a number >= 0, found {value}", key=f"risk.{name}")
    ids = [strategy.id for strategy in settings.strategies]
    for k, strategy in enumerate(settings.strategies):
        if not strategy.id or ids.count(strategy.id) > 1:
            raise ConfigError(f"strategy[{k}].id: expected an id of its own, found {strategy.id!r}")
        _check_strategy(strategy, f"strategy[{k}]", universe)


def _check_instrument(text: str, instrument: Instrument) -> None:
    suffix = text.rpartition(".")[2]
    near = difflib.get_close_matches(suffix, Venue.__members__, n=1)
    if suffix != text and near and suffix not in Venue.__members__:
        hint = f"{text.removesuffix(suffix)}{near[0]}"
        raise ConfigError(f"data.universe: {suffix} is no venue; did you mean {hint}?", key="data.universe")
    if not instrument.symbol or min(instrument.tick, instrument.multiplier) <= 0:
        raise ConfigError(f"data.universe: {text!r} needs a symbol, a tick and a multiplier > 0", key="data.universe")


def _check_strategy(strategy: StrategyConfig, key: str, universe: list[InstrumentId]) -> None:
    if not strategy.universe or not set(strategy.universe) <= set(universe):
        there, found = ", ".join(universe) or "nothing", ", ".join(strategy.universe) or "none"
        raise ConfigError(f"{key}.universe: expected instruments of data.universe ({there}), found {found}")
    if strategy.capital <= 0:
        raise ConfigError(f"{key}.capital: expected an amount above zero, found {strategy.capital}")
    try:
        parse_sizer(strategy.sizer)
    except ConfigError as error:
        raise ConfigError(f"{key}.sizer: {error.message}") from error


def _follow(document: Any, path: str) -> tuple[Any, Any]:
    """Return the type and the value at a path such as `strategy[0].sizer`."""
    kind: Any = Settings
    for name, index in re.findall(r"(\w+)|\[(\d+|\.\.\.)\]", path):
        if name:
            struct = _struct_in(kind)
            kind = _types(struct).get(name) if struct else None
            document = document.get(name) if isinstance(document, dict) else None
        elif index.isdigit() and isinstance(document, list):
            document = document[int(index)]
    return kind, document


def _expected(kind: Any, text: str, found: object = None) -> str:
    """Say what was expected: the choices where there are some, else msgspec's words."""
    choices = [str(c) for c in get_args(kind)] if get_origin(kind) is Literal else []
    if isinstance(kind, type) and issubclass(kind, BarSpec):
        choices = [str(c) for c in kind]
    if not choices or "enum" not in text:
        return text[:1].lower() + text[1:]
    near = difflib.get_close_matches(str(found), choices, n=1)
    return f"expected one of {', '.join(choices)}{f' (did you mean {near[0]}?)' if near else ''}"


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from _flatten(item, f"{path}[{i}]")
    else:
        yield path, value


_STARTER = """\
# RoboTrader: paper trading through IB Gateway or TWS.
#
#   robotrader config validate --config FILE     does it fit?
#   robotrader trade --config FILE               start the trader
#
# Every key has a default; a key that is not known here is an error. The environment overrides the file:
# ROBOTRADER__BROKER__PORT=7497 is [broker] port. No secrets belong in this file: IB Gateway holds the login.

mode = "paper"                      # the only mode that trades in this version
# state = "~/robotrader-state"      # journal, lake, logs; default: the user's data folder

[broker]
host = "127.0.0.1"
port = 4002                         # IB Gateway paper 4002, TWS paper 7497
client_id = 1
account = "DU0000000"               # your paper account, as IB Gateway shows it
account_prefix = "DU"               # refuse any account that does not begin so: paper accounts do

[data]
universe = ["AAPL.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ"]
bar_spec = "1d"                     # 5s, 1m, 1h or 1d

# An instrument that is no plain US stock (one-cent tick, lot of one) is a table instead of an id:
# universe = [{ id = "SPY.ARCA", tick = "0.01", lot = 1 }]

[risk]
profile = "paper"                   # research, paper or live; `robotrader risk limits` shows the numbers
# max_order_notional = "25000"      # any single limit may replace the profile's

[[strategy]]
id = "sma"                          # your name for it; it is part of every order's identity
source = "sma_crossover"            # a library strategy, or path/to/file.py:ClassName
universe = ["AAPL.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ"]
capital = "100000"                  # currency of the account
sizer = "fixed:100"                 # fixed:N, notional:X, percent:R, all_in or atr:R
parameters = { fast = 10, slow = 50 }

[dashboard]
host = "127.0.0.1"
port = 8787

[log]
level = "INFO"                      # DEBUG, INFO, WARNING or ERROR
format = "auto"                     # console on a terminal, else json
"""
