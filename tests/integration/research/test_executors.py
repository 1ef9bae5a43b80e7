"""Tasks in this process, in others and on a Dask cluster: workers that die, exceptions, and nobody left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from robotrader.model import ConfigError
from robotrader.research.executors import WorkerLost, Workers
from tests.integration.research import stuck_strategy

KINDS = ["inline", "local", "dask"]
STUCK = f"{stuck_strategy.__file__}:Stuck"


def square(n: int) -> tuple[int, int]:
    return n * n, os.getpid()


def refuse(n: int) -> int:
    if n == 3:
        raise ConfigError("three is refused")
    return n


def die_once(task: tuple[int, str]) -> int:
    n, marker = task
    if n == 3 and not Path(marker).exists():
        Path(marker).touch()
        os._exit(9)
    return n


def die(_n: int) -> int:
    os._exit(9)


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("kind", KINDS)
def test_answers_come_in_the_order_of_the_tasks_from_as_many_processes_as_asked(kind: str) -> None:
    told: list[int] = []
    with Workers(kind, count=2) as workers:
        found = workers.run(square, range(20), lambda n, _answer: told.append(n))
    assert [answer for answer, _ in found] == [n * n for n in range(20)]
    assert sorted(told) == list(range(20))
    processes = {process for _, process in found}
    assert processes == {os.getpid()} if kind == "inline" else os.getpid() not in processes


@pytest.mark.parametrize("kind", ["local", "dask"])
def test_the_task_of_a_worker_that_died_is_run_again(kind: str, tmp_path: Path) -> None:
    with Workers(kind, count=2) as workers:
        tasks = [(n, str(tmp_path / "died")) for n in range(8)]
        assert workers.run(die_once, tasks) == list(range(8))
    assert (tmp_path / "died").exists()


def test_a_task_that_kills_every_worker_is_named_and_not_tried_for_ever() -> None:
    with pytest.raises(WorkerLost, match="3 times in a row, 2 tasks are left"), Workers("local", count=1) as workers:
        workers.run(die, [1, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_task_raises_is_raised(kind: str) -> None:
    with pytest.raises(ConfigError, match="three is refused"), Workers(kind, count=2) as workers:
        workers.run(refuse, range(50))


def test_an_interrupt_while_workers_are_busy_ends_them() -> None:
    def interrupt(_n: int, _answer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers("local", count=2) as workers:
        workers.run(square, range(1000), interrupt)


def test_an_executor_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="inline, local, dask"):
        Workers("cloud")


def processes_of(session: int) -> list[str]:
    """Return the command lines of a session's processes that still run; one that is ending has none any more."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text("utf-8").rpartition(")")[2].split()[3]) == session:
                found.append((status.parent / "cmdline").read_text("utf-8"))
        except OSError:
            continue
    return [command for command in found if command]


@pytest.mark.parametrize("kind", ["local", "dask"])
def test_control_c_in_a_sweep_ends_every_process_even_one_that_never_would(kind: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "robotrader", "sweep", STUCK, "--data", "sample:AAPL", "-p", "n=1:4", "--workers",
               "2", "--executor", kind, "--state", str(tmp_path / "state")]  # fmt: skip
    with subprocess.Popen(
        command, start_new_session=True, env={**os.environ, "STUCK_PIPE": str(pipe)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        try:
            with pipe.open():  # until a set is being played
                os.killpg(running.pid, signal.SIGINT)
                said, _ = running.communicate(timeout=30)
            assert running.returncode == 130, said
            assert "interrupted" in said
            assert "Traceback" not in said
            assert processes_of(running.pid) == []
        finally:
            if processes_of(running.pid):
                os.killpg(running.pid, signal.SIGKILL)
