"""Settings: where they come from, what is refused, and what is shown of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from robotrader.config import (
    BrokerSettings,
    Settings,
    load_settings,
    schema,
    show,
    starter_config,
    user_file,
    validate,
)
from robotrader.model import BarSpec, ConfigError, Resize
from robotrader.risk.limits import profile

SHIPPED = Path(__file__).parents[2] / "config"

STRATEGY = """
[data]
universe = ["IBM.NYSE"]
[[strategy]]
id = "s"
source = "sma_crossover"
universe = ["IBM.NYSE"]
capital = "1000"
"""


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write the text that the test is parametrized with."""
    path = tmp_path / "settings.toml"
    path.write_text(request.param, encoding="utf-8")
    return path


def test_without_anything_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings, origins = load_settings(environ={})
    assert settings == Settings()
    assert origins == {}
    assert settings.state_dir.name == "robotrader"
    assert settings.limits == profile("paper")


@pytest.mark.parametrize("name", ["demo", "paper", "live"])
def test_every_shipped_file_loads(name: str) -> None:
    settings, origins = load_settings(SHIPPED / f"{name}.toml", environ={})
    assert settings.strategies
    assert settings.instruments
    assert origins["mode"] == f"file {SHIPPED / name}.toml"
    reasons = validate(settings)
    assert reasons == () if name != "live" else 'only "paper" can be traded' in reasons[0]


def test_the_starter_is_the_shipped_paper_file() -> None:
    assert starter_config() == (SHIPPED / "paper.toml").read_text(encoding="utf-8")


def test_live_and_paper_belong_to_different_accounts() -> None:
    paper, live = (load_settings(SHIPPED / f"{name}.toml", environ={})[0].broker for name in ("paper", "live"))
    assert paper.account.startswith("DU")
    assert not live.account.startswith("DU")
    assert paper.port != live.port


@pytest.mark.parametrize("file", ["[broker]\nport = 1\nhost = 'a'\n[log]\nlevel = 'ERROR'\n"], indirect=True)
def test_the_command_line_beats_the_environment_beats_the_file(file: Path) -> None:
    environ = {"ROBOTRADER__BROKER__PORT": "2", "ROBOTRADER__STATE": "from-env", "OTHER": "x", "ROBOTRADER_STATE": "x"}
    settings, origins = load_settings(file, environ=environ, overrides={"state": "here"})
    assert (settings.broker.port, settings.broker.host, settings.state) == (2, "a", "here")
    assert settings.state_dir == Path("here")
    assert origins == {
        "broker.port": "environment ROBOTRADER__BROKER__PORT",
        "broker.host": f"file {file}",
        "log.level": f"file {file}",
        "state": "command line",
    }


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Put a different port into every place where a file may be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    found = {"asked": tmp_path / "a.toml", "named": tmp_path / "n.toml", "local": tmp_path / "robotrader.toml"}
    found["user"] = user_file()
    for port, path in enumerate(found.values(), 1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[broker]\nport = {port}\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    return found


def test_the_first_file_there_is_counts(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"ROBOTRADER_CONFIG": str(places["named"])}
    assert load_settings(places["asked"], environ=environ)[0].broker.port == 1
    assert load_settings(environ=environ)[0].broker.port == 2
    assert load_settings(environ={})[0].broker.port == 3
    monkeypatch.chdir("empty")
    assert load_settings(environ={})[0].broker.port == 4


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_settings(Path("nowhere.toml"), environ={})
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_settings(environ={"ROBOTRADER_CONFIG": "nowhere.toml"})


WRONG = {
    "[brokr]\nport = 1": "unknown key brokr; did you mean broker?",
    "[broker]\nprot = 1": "unknown key broker.prot; did you mean broker.port?",
    "[broker]\nzzz = 1": "unknown key broker.zzz; expected one of host, port",
    "[broker]\nport = 'x'": "broker.port: expected `int`, got `str`",
    "[broker]\nport = 99999": "broker.port: expected `int` <= 65535",
    "mode = 'papr'": "mode: invalid enum value 'papr'; `robotrader config schema` lists what fits",
    "broker = 5": "broker: expected `object`, got `int`",
    "[data]\nbar_spec = '2m'": "data.bar_spec: invalid enum value '2m'",
    "[data]\nuniverse = ['A', 'A.SMART']": "each instrument once",
    "[data]\nuniverse = [{id = 'A', tik = 1}]": "unknown key data.universe[0].tik; did you mean data.universe[0].tick?",
    "[data]\nuniverse = [{id = 'A', tick = '0'}]": "A.SMART needs a symbol, a tick",
    "[risk]\nprofile = 'papr'": "risk.profile: invalid enum value 'papr'",
    "[risk]\nmax_order_quantiy = 1": "unknown key risk.max_order_quantiy; did you mean risk.max_order_quantity?",
    "[risk]\nmax_order_quantity = -1": "risk.max_order_quantity: expected a number >= 0, found -1",
    "[[strategy]]\nid = 's'": "strategy[0]: object missing required field `source`",
    f"{STRATEGY}paramters = {{}}": "unknown key strategy[0].paramters; did you mean strategy[0].parameters?",
    f"{STRATEGY}sizer = 'lots'": "strategy[0].sizer: ",
    f"{STRATEGY}turnover_buffer = 1": "strategy[0]: turnover_buffer must lie in [0, 1); found 1.0",
    f"{STRATEGY}drawdown_throttle = '0.05'": "strategy[0]: drawdown throttle must be like 0.05:0.5,0.10:0",
    f"{STRATEGY}cluster_correlation = 0.7": "strategy[0]: cluster_correlation must lie in (0, 1), with a sizer equal",
    f"{STRATEGY}parameters = {{ fast = 'x' }}": "strategy[0].parameters",
    STRATEGY.replace("1000", "-5"): "strategy[0].capital: expected an amount above zero, found -5",
    STRATEGY.replace('["IBM.NYSE"]\ncap', '["IBM"]\ncap'): "instruments of data.universe (IBM.NYSE), found IBM",
    STRATEGY + STRATEGY.partition("[[strategy]]")[1] + STRATEGY.partition("[[strategy]]")[2]: "an id of its own",
    "x = ": "is not valid TOML",
}


@pytest.mark.parametrize(("file", "message"), list(WRONG.items()), indirect=["file"], ids=range(len(WRONG)))
def test_what_does_not_fit_is_named_with_what_would(file: Path, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ={})
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BROKER__PORT", "x", "environment ROBOTRADER__BROKER__PORT: broker.port: expected `int`"),
        ("BROKER__PROT", "1", "ROBOTRADER__BROKER__PROT: unknown key broker.prot; did you mean broker.port?"),
        ("BROKER", "1", "environment ROBOTRADER__BROKER: broker: expected `object`"),
        ("STRATEGY", "1", "environment ROBOTRADER__STRATEGY: strategy[0]: expected `object`"),
        ("MODE__X", "1", "mode has no keys below it"),
        ("MODE", "papr", "environment ROBOTRADER__MODE: mode: invalid enum value 'papr'"),
    ],
)
def test_the_environment_is_held_to_the_same_rules(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(SHIPPED / "demo.toml", environ={f"ROBOTRADER__{name}": text})
    assert message in caught.value.message


def test_the_environment_is_read_by_the_type_of_its_key() -> None:
    environ = {
        "ROBOTRADER__BROKER__ACCOUNT": "12345",
        "ROBOTRADER__BROKER__LOCK_STEP": "true",
        "ROBOTRADER__DATA__UNIVERSE": "IBM.NYSE, BRK.B",
        "ROBOTRADER__DATA__BAR_SPEC": "1m",
        "ROBOTRADER__RISK__MAX_ORDER_NOTIONAL": "12.50",
        "ROBOTRADER__RISK__ALLOW_LIST": "IBM.NYSE",
    }
    settings, _ = load_settings(SHIPPED / "paper.toml", environ=environ | {"ROBOTRADER__DATA__UNIVERSE": UNIVERSE})
    assert settings.broker == structs.replace(settings.broker, account="12345", lock_step=True)
    assert settings.data.bar_spec is BarSpec.MINUTE
    assert [i.id for i in settings.instruments] == ["AAPL.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ", "BRK.B.SMART"]
    assert settings.limits.max_order_notional == Decimal("12.50")
    assert settings.limits.allow_list == ("IBM.NYSE",)


UNIVERSE = "AAPL.NASDAQ, IBM.NYSE,MSFT.NASDAQ, BRK.B"


@pytest.mark.parametrize(
    "file", [f"{STRATEGY}resize = 'every_bar'\n[risk]\nprofile = 'live'\nmax_order_quantity = 5\n"], indirect=True
)
def test_limits_are_the_profiles_with_ones_own(file: Path) -> None:
    settings, _ = load_settings(file, environ={})
    assert settings.limits == structs.replace(profile("live"), max_order_quantity=5, profile="live+overrides")
    assert settings.strategies[0].resize is Resize.EVERY_BAR
    assert settings.strategies[0].capital == Decimal(1_000)


@pytest.mark.parametrize(
    "file", ["[data]\nuniverse = [{ id = 'ES.SMART', tick = 0.25, multiplier = 50 }]"], indirect=True
)
def test_an_instrument_may_be_a_table(file: Path) -> None:
    (instrument,) = load_settings(file, environ={})[0].instruments
    assert (instrument.tick, instrument.multiplier, instrument.lot) == (Decimal("0.25"), Decimal(50), 1)


def test_what_a_trader_would_refuse_is_said() -> None:
    assert len(validate(Settings())) == 3
    wrong = structs.replace(Settings(), broker=BrokerSettings(account="U1234567"), mode="shadow")
    text = " ".join(validate(wrong))
    assert "begins with DU" in text
    assert "U1234567" not in text
    assert 'found "shadow"' in text


def test_what_is_shown_has_origins_and_no_account() -> None:
    settings, origins = load_settings(SHIPPED / "live.toml", environ={"ROBOTRADER__LOG__LEVEL": "ERROR"})
    rows = {row.key: row for row in show(settings, origins)}
    assert rows["broker.account"].value == "U***00"
    assert "U0000000" not in str(rows)
    assert (rows["log.level"].value, rows["log.level"].origin) == ("ERROR", "environment ROBOTRADER__LOG__LEVEL")
    assert rows["dashboard.port"].origin == "default"
    assert rows["risk.max_order_quantity"].origin.startswith("file ")
    assert rows["risk.messages_per_s"].origin == "profile live"
    assert rows["risk.messages_per_s"].value == profile("live").messages_per_s
    assert rows["strategy[0].sizer"].value == "percent:0.04"
    assert rows["strategy[0].sizer"].origin.startswith("file ")


def test_the_schema_names_every_section() -> None:
    sections = schema()["$defs"]["Settings"]["properties"]
    assert set(sections) == {
        "mode",
        "state",
        "broker",
        "data",
        "risk",
        "strategy",
        "dashboard",
        "capital",
        "host",
        "journal",
        "lifecycle",
        "log",
        "retention",
    }
    assert schema()["$defs"]["BrokerSettings"]["additionalProperties"] is False


def test_paper_mode_never_takes_a_live_account() -> None:
    broker = BrokerSettings(account="U1234567", account_prefix="U")
    assert any("a paper account begins with D" in reason for reason in validate(Settings(broker=broker)))


SHARED = STRATEGY.replace('capital = "1000"', 'budget = "0.25"')


@pytest.mark.parametrize("file", ['capital = "1000.01"\n' + SHARED], indirect=True)
def test_a_budget_is_a_part_of_the_shared_capital(file: Path) -> None:
    [strategy] = load_settings(file, environ={})[0].strategies
    assert (strategy.budget, strategy.capital) == (Decimal("0.25"), Decimal("250.0025"))


@pytest.mark.parametrize(("file", "said"), [
    (SHARED, "found no capital"), ('capital = "9"\n' + SHARED + 'capital = "5"', "found both for s"),
    ('capital = "9"\n' + SHARED.replace("0.25", "1.01"), "budgets must lie in"),
    ('capital = "0"\n' + SHARED, "expected an amount above zero")], indirect=["file"])  # fmt: skip
def test_a_budget_that_means_nothing_is_refused(file: Path, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(file, environ={})
