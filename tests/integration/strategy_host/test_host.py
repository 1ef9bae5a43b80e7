"""StrategyHost: the same strengths as in process, and nothing that a strategy does harms but itself."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from robotrader import bootstrap
from robotrader.adapters.strategy_host.frames import Fault, HostLimits
from robotrader.adapters.strategy_host.host import StrategyHost, ask_all
from robotrader.data.panel import Panel
from robotrader.model import BarsClosed, ConfigError, SignalsComputed, StrategyConfig, StrategyId
from robotrader.strategy.loading import trailing_source
from tests import builders as make
from tests.integration.strategy_host import strategies

FILE = Path(strategies.__file__)
LIMITS = HostLimits(bar_s=20.0)
TIGHT = HostLimits(bar_s=0.3, memory_bytes=256 << 20, file_bytes=4 << 20)


def config(source: str, panel: Panel, **parameters: int) -> StrategyConfig:
    return StrategyConfig(id=StrategyId("mine"), source=source, universe=panel.ids, parameters=dict(parameters))


def events(panel: Panel) -> list[BarsClosed]:
    return [BarsClosed(ts_event=ts, ts_init=ts, bars=bars) for _, ts, bars in panel.cross_sections()]


def network(who: int | str | None) -> str:
    return str(Path(f"/proc/{who}/ns/net").readlink())


def secrets(pid: int | None) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def play(host: StrategyHost, told: Sequence[BarsClosed]) -> list[SignalsComputed]:
    host.start()
    try:
        return [host.ask(event) for event in told]
    finally:
        host.close()


def hosted(
    name: str, *, limits: HostLimits = LIMITS, bars: int = 5, told: Sequence[BarsClosed] | None = None
) -> list[SignalsComputed]:
    panel = make.daily_panel([[100.0 + k, 50.0 - k] for k in range(bars)])
    host = StrategyHost(config(f"{FILE}:{name}", panel), panel.instruments, limits)
    return play(host, told or events(panel))


@pytest.mark.parametrize("source", [f"{FILE}:Mean", "mean_reversion"])
def test_it_says_bit_for_bit_what_it_says_in_process_on_real_bars_over_a_split(source: str, tmp_path: Path) -> None:
    panel = bootstrap.load_data("sample:all", state=tmp_path).panel.rows(0, 300)
    mine = config(source, panel)
    _, inside = trailing_source(mine, panel.instruments)
    told = events(panel)

    def both() -> list[tuple[list[float], list[float]]]:
        found, host = [], StrategyHost(mine, panel.instruments, LIMITS)
        manifest = host.start()
        assert manifest == trailing_source(mine, panel.instruments)[0]
        for k, event in enumerate(told):
            if k == 250:
                inside.on_split(panel.ids[0], 2.0, told[k - 1].ts_event)
                host.split(panel.ids[0], 2.0, told[k - 1].ts_event)
            said = host.ask(event)
            assert said.fault == "", said.fault
            found.append(([np.nan if s is None else s for s in said.strengths], list(inside.on_bars(event))))
        host.close()
        return found

    theirs, ours = (np.array(rows) for rows in zip(*both(), strict=True))
    assert np.count_nonzero(~np.isnan(ours)) > 100
    assert theirs.tobytes() == ours.tobytes()


@pytest.mark.parametrize(
    ("name", "fault", "detail"),
    [
        ("Raises", Fault.RAISED, "KeyError: 'no such thing'"),
        ("Exits", Fault.CRASHED, "with code 7"),
        ("Aborts", Fault.CRASHED, "by SIGSEGV"),
        ("TooSure", Fault.CONTRACT, "strengths must lie in [-1, 1], found 1.5"),
        ("WrongShape", Fault.CONTRACT, "must return shape (3, 2), found (3, 3)"),
        ("TellsNonsense", Fault.MALFORMED, "cannot be read"),
        ("AnnouncesTooMuch", Fault.MALFORMED, "a reply of 4294967295 bytes"),
        ("ForgesStrengths", Fault.CONTRACT, "strengths must lie in [-1, 1], found 9.0"),
        ("Connects", Fault.RAISED, "a strategy may not do this: socket."),
        ("StartsAProgram", Fault.RAISED, "a strategy may not do this: subprocess.Popen"),
        ("Forks", Fault.RAISED, "a strategy may not do this: os.fork"),
        ("CallsC", Fault.RAISED, "a strategy may not do this: ctypes.dlopen"),
        ("WritesElsewhere", Fault.RAISED, "a strategy may not write "),
        ("ReadsTheParent", Fault.RAISED, "a strategy may not read /proc/"),
        ("ImportsABroker", Fault.RAISED, "a strategy may not import ib_async"),
        ("ImportsTheRest", Fault.RAISED, "a strategy may not import robotrader.bootstrap"),
        ("LiftsItsLimits", Fault.RAISED, "a strategy may not do this: resource.setrlimit"),
        ("TellsWhatItHas", Fault.RAISED, "ValueError: {} allowed 1"),
    ],
)
def test_each_way_to_misbehave_is_named_and_ends_that_strategy(name: str, fault: Fault, detail: str) -> None:
    said = hosted(name)
    assert [s.fault.partition(":")[0] for s in said] == ["", "", fault, fault, fault]
    assert [s.strengths for s in said] == [(0.0, 0.0)] * 2 + [(None, None)] * 3
    assert detail in said[2].fault


@pytest.mark.parametrize(
    ("name", "limits", "fault", "detail"),
    [
        ("LoopsForEver", TIGHT, Fault.SLOW, "no answer within 0.3 s"),
        ("EatsMemory", HostLimits(bar_s=60.0, memory_bytes=TIGHT.memory_bytes), Fault.RAISED, "MemoryError"),
        ("FillsTheDisk", HostLimits(bar_s=60.0, file_bytes=TIGHT.file_bytes), Fault.RAISED, "File too large"),
    ],
)
def test_what_it_may_use_ends(name: str, limits: HostLimits, fault: Fault, detail: str) -> None:
    said = hosted(name, limits=limits)
    assert (said[1].fault, said[2].fault.partition(":")[0]) == ("", fault)
    assert detail in said[2].fault


def test_a_quarantined_process_is_gone_with_its_folder_while_another_goes_on() -> None:
    panel = make.daily_panel([[100.0 + k, 50.0 - k] for k in range(5)])

    def side_by_side() -> None:
        bad, good = (StrategyHost(config(f"{FILE}:{name}", panel), panel.instruments, limits)
                     for name, limits in (("LoopsForEver", TIGHT), ("Mean", LIMITS)))  # fmt: skip
        bad.start()
        good.start()
        pid, scratch = bad.pid, bad.scratch
        assert secrets(pid) == b"", "what a process was given stays there, whatever it deletes"
        assert pid is not None
        assert scratch is not None
        assert scratch.is_dir()
        said = [ask_all([bad, good], event) for event in events(panel)]
        assert [other.fault for _, other in said] == [""] * 5
        assert said[-1][0].fault.startswith(Fault.SLOW)
        assert bad.pid is None
        assert not scratch.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        good.close()

    side_by_side()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine: pass", "is no strategy"),
        ("def (", "cannot be loaded: invalid syntax"),
        ("raise ValueError('at once')", "ValueError: at once"),
        ("import ib_async", "a strategy may not import ib_async"),
        ("import os; os._exit(3)", "ended with code 3"),
        ("while True: pass", "no answer within 5 s"),
    ],
)
def test_what_cannot_be_loaded_is_refused_at_the_start(tmp_path: Path, text: str, message: str) -> None:
    mine, panel = tmp_path / "mine.py", make.daily_panel([[100.0]])
    mine.write_text(text, encoding="utf-8")
    host = StrategyHost(config(f"{mine}:Mine", panel), panel.instruments, HostLimits(start_s=5.0))
    with pytest.raises(ConfigError, match="mine cannot be loaded in a process of its own") as refused:
        host.start()
    assert message in refused.value.message
    assert host.pid is None


def test_it_has_a_network_of_its_own_or_the_log_says_that_it_has_not(caplog: pytest.LogCaptureFixture) -> None:
    panel = make.daily_panel([[100.0]])

    def networks() -> set[str]:
        host = StrategyHost(config(f"{FILE}:Mean", panel), panel.instruments, LIMITS)
        host.start()
        found = network(host.pid), network("self")
        host.close()
        return set(found)

    alone = len(networks()) == 2
    assert alone is ("no network namespace" not in caplog.text)


def test_a_relative_path_means_the_folder_of_the_trader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(FILE.read_text("utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    panel = make.daily_panel([[100.0, 50.0]])
    host = StrategyHost(config("mine.py:Mean", panel), panel.instruments, LIMITS)
    assert [said.fault for said in play(host, events(panel))] == [""]
