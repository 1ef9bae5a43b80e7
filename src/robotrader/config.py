"""Settings: one TOML file, overridden by the environment; unknown keys are errors, every value knows its origin."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import available_timezones

import msgspec
import platformdirs
from msgspec import Meta, Struct, field, structs

from robotrader.adapters.sql.location import checked_url
from robotrader.data.instruments import instrument_of
from robotrader.data.retention import RetentionPolicy
from robotrader.execution.protection import policy_of
from robotrader.model import (
    BarSpec,
    ConfigError,
    Instrument,
    InstrumentId,
    LifecycleRules,
    RiskLimit,
    SpecialDay,
    StrategyConfig,
)
from robotrader.monitoring.redact import clean
from robotrader.portfolio.allocation import allocate
from robotrader.portfolio.sizing import check_sizing, parse_sizer
from robotrader.risk.host import HostLimits
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

    `backfill_client_id` is that of `data backfill`, which may run beside the trader.

    `restart_at`, `restart_zone`: when the gateway restarts itself each day, as its settings say; from two minutes
    before, nothing new is begun. `logins_per_hour` bounds the logins, over restarts of the trader too.
    `preview_timeout_s`: how long an answer to a margin what-if is awaited. `borrow_rate`: what shorts are estimated to
    pay a year, charged in our books over each night; the broker's own charge comes later, in its cash.
    `lock_step`: time stands until the broker sends it (gateway simulator only).
    """

    host: str = "127.0.0.1"
    port: Port = 4002
    client_id: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 1
    backfill_client_id: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 2
    account: str = ""
    account_prefix: str = "DU"
    restart_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "23:45"
    restart_zone: str = "America/New_York"
    logins_per_hour: Annotated[int, Meta(ge=1)] = 20
    preview_timeout_s: Annotated[float, Meta(gt=0)] = 5.0
    borrow_rate: Annotated[float, Meta(ge=0, le=10)] = 0.0
    lock_step: bool = False


class InstrumentSettings(Section, frozen=True, kw_only=True):
    """An instrument that differs from a plain US stock; `tick` and `multiplier` in currency units."""

    id: InstrumentId
    tick: Decimal = Decimal("0.01")
    lot: Annotated[int, Meta(ge=1)] = 1
    multiplier: Decimal = Decimal(1)


class DataSettings(Section, frozen=True, kw_only=True):
    """What is watched: instrument ids (`AAPL.NASDAQ`) or tables, and the bars' length.

    `special_days`: closures and hours that the calendar does not know yet.
    """

    universe: tuple[str | InstrumentSettings, ...] = ()
    bar_spec: BarSpec = BarSpec.DAY
    special_days: tuple[SpecialDay, ...] = ()


class RiskSettings(RiskLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit profile, and single limits that replace the profile's."""

    profile: Literal["research", "paper", "live"] = "paper"


class DashboardSettings(Section, frozen=True, kw_only=True):
    """Where the web process listens."""

    host: str = "127.0.0.1"
    port: Port = 8787


class JournalSettings(Section, frozen=True, kw_only=True):
    """Where the journal is: `url` of a PostgreSQL database, without a password; empty for a file in the state folder.

    A state folder keeps the journal that it began with.
    """

    url: str = ""


class LogSettings(Section, frozen=True, kw_only=True):
    """How much is logged and in which form; `auto` is console on a terminal, else JSON."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be set; `state` is the state folder, None the user's data folder.

    `capital` is what the strategies with a budget share: a part of it each. With a `lifecycle`, strategies are promoted
    and taken back by its gates and guards; without one, only operators change stages.
    """

    mode: Literal["paper", "shadow", "live"] = "paper"
    state: str | None = None
    capital: Decimal | None = None
    broker: BrokerSettings = BrokerSettings()
    data: DataSettings = DataSettings()
    risk: RiskSettings = RiskSettings()
    strategies: tuple[StrategyConfig, ...] = field(name="strategy", default=())
    journal: JournalSettings = JournalSettings()
    host: HostLimits = HostLimits()
    dashboard: DashboardSettings = DashboardSettings()
    log: LogSettings = LogSettings()
    retention: RetentionPolicy = RetentionPolicy()
    lifecycle: LifecycleRules | None = None

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
    """Assemble the settings; return them with the origin of each key that is no default.

    `file` (`--config`) is read, else what ROBOTRADER_CONFIG names, ./robotrader.toml, the user's file, or none at
    all. In `environ`, default the process's, `ROBOTRADER__SECTION__KEY` overrides `section.key`; commas separate a
    list. `overrides` are values of the command line by key, such as `{"state": "..."}`; they win.

    Raises
    ------
    ConfigError
        A file is missing or unreadable, a key is unknown, or a value does not fit.
    """
    environment = os.environ if environ is None else environ
    found = file or _find(environment)
    document = _read(found) if found else {}
    origins = dict.fromkeys(_leaves(document), f"file {found}")
    texts = [
        (name.removeprefix(ENV_PREFIX).lower().replace("__", "."), text, f"environment {name}")
        for name, text in sorted(environment.items())
        if name.startswith(ENV_PREFIX)
    ]
    texts += [(key, text, "command line") for key, text in (overrides or {}).items()]
    for key, text, origin in texts:
        _put(document, key, text, origin)
        origins[key] = origin
    _refuse_unknown(Settings, document, "", origins)
    settings = _allocated(_convert(document, origins))
    _check(settings)
    return settings, origins


def validate(settings: Settings) -> tuple[str, ...]:
    """Say why a trader would not start with these settings; empty when it would."""
    broker, reasons = settings.broker, []
    if settings.mode != "paper":
        reasons.append(f'mode: only "paper" can be traded with this version, found "{settings.mode}"')
    if settings.mode == "paper" and not broker.account_prefix.startswith("D"):
        reasons.append(f'broker.account_prefix: a paper account begins with D, found "{broker.account_prefix}"')
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
    inherited = {name: limits[name] for name, value in plain["risk"].items() if value is None}
    plain["risk"] |= inherited
    origins = {f"risk.{name}": f"profile {settings.risk.profile}" for name in inherited} | origins
    return [
        SettingRow(key=key, value=clean(value, key.rpartition(".")[2]),
                   origin=origins.get(key.partition("[")[0], "default"))
        for key, value in _flatten(plain, "")
    ]  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration file."""
    return msgspec.json.schema(Settings)


def user_file() -> Path:
    """Return the place of the user's configuration file."""
    return platformdirs.user_config_path("robotrader") / LOCAL_FILE


def starter_config() -> str:
    """Return a commented configuration to begin with: paper trading, one strategy."""
    return Path(__file__).with_name("starter.toml").read_text(encoding="utf-8")


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


def _types(kind: Any) -> dict[str, Any]:
    """Return the types of the keys of the section or table that a type consists of; empty for plain values."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return {f.encode_name: f.type for f in structs.fields(kind)}
    return next((keys for keys in map(_types, get_args(kind)) if keys), {})


def _refuse_unknown(kind: Any, table: Mapping[str, Any], path: str, origins: Origins) -> None:
    known = _types(kind)
    for key, value in table.items():
        place = f"{path}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {path}{near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise ConfigError(f"{_origin(place, origins)}: unknown key {place}; {hint}", key=place)
        if isinstance(value, dict) and _types(known[key]):
            _refuse_unknown(known[key], value, f"{place}.", origins)
        for i, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                _refuse_unknown(known[key], item, f"{place}[{i}].", origins)


def _origin(place: str, origins: Origins) -> str:
    """Say where a value comes from; of a section, where its first key does."""
    key = place.partition("[")[0]
    inside = (origin for name, origin in origins.items() if name.startswith(f"{key}."))
    return origins.get(key) or next(inside, "configuration")


def _leaves(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        yield from (f"{key}.{name}" for name in value) if isinstance(value, dict) else (key,)


def _put(document: dict[str, Any], key: str, text: str, origin: str) -> None:
    """Set a key to a text, which becomes a value of the key's type later, or a list where it takes one."""
    *sections, name = key.split(".")
    kind: Any = Settings
    for section in sections:
        document, kind = document.setdefault(section, {}), _types(kind).get(section)
        if not isinstance(document, dict):
            raise ConfigError(f"{origin}: {section} has no keys below it", key=key)
    kind = _types(kind).get(name)
    listed = any(get_origin(k) is tuple for k in (kind, *get_args(kind)))
    document[name] = [item.strip() for item in text.split(",") if item.strip()] if listed else text


def _convert(document: dict[str, Any], origins: Origins) -> Settings:
    try:
        return msgspec.convert(document, Settings, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        path = place.rstrip("`")
        hint = "; `robotrader config schema` lists what fits" if "enum" in text else ""
        raise ConfigError(f"{_origin(path, origins)}: {path}: {text[:1].lower()}{text[1:]}{hint}", key=path) from error


def _allocated(settings: Settings) -> Settings:
    """Give each strategy with a budget its part of the capital."""
    budgets = {s.id: s.budget for s in settings.strategies if s.budget is not None}
    twice = [s.id for s in settings.strategies if s.budget is not None and s.capital]
    if twice or (budgets and settings.capital is None):
        text = f"found both for {', '.join(twice)}" if twice else "found no capital that the budgets are parts of"
        raise ConfigError(f"strategy.budget: expected it in place of strategy.capital, as a part of `capital`; {text}")
    parts = allocate(settings.capital or Decimal(0), budgets)
    dealt = tuple(structs.replace(s, capital=parts[s.id]) if s.id in parts else s for s in settings.strategies)
    return structs.replace(settings, strategies=dealt)


def _check(settings: Settings) -> None:
    """Refuse values that fit their types but not each other."""
    _check_universe(settings.instruments)
    if settings.journal.url:
        checked_url(settings.journal.url)
    if (zone := settings.broker.restart_zone) not in available_timezones():
        raise ConfigError(f"broker.restart_zone: expected a zone such as America/New_York, found {zone!r}")
    ids = [strategy.id for strategy in settings.strategies]
    for k, strategy in enumerate(settings.strategies):
        if not strategy.id or ids.count(strategy.id) > 1:
            raise ConfigError(f"strategy[{k}].id: expected an id of its own, found {strategy.id!r}")
        _check_strategy(strategy, f"strategy[{k}]", [i.id for i in settings.instruments])


def _check_universe(instruments: tuple[Instrument, ...]) -> None:
    if len({i.id for i in instruments}) < len(instruments):
        raise ConfigError("data.universe: expected each instrument once, found one twice", key="data.universe")
    for i in instruments:
        if not i.symbol or min(i.tick, i.multiplier) <= 0:
            raise ConfigError(f"data.universe: {i.id} needs a symbol, a tick and a multiplier > 0", key="data.universe")


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
    try:
        check_sizing(strategy)
        policy_of(strategy, version="")
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}") from error


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from _flatten(item, f"{path}[{i}]")
    else:
        yield path, value
