"""Where the tasks of a sweep run: in this process, in processes of this machine, or on a Dask cluster.

One seam, `concurrent.futures.Executor`. A task is a pure function of values, so where it runs cannot change what it
finds, and a task whose worker died is simply run again.
"""

import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from concurrent.futures.process import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, TypeVar

from robotrader.model import ConfigError, RoboTraderError

Task = TypeVar("Task")
Result = TypeVar("Result")
Losses = tuple[type[BaseException], ...]
Place = AbstractContextManager[tuple[Executor, Losses]]

_LOST_IN_A_ROW = 3  # then it is the task's fault, not the machine's
_START_S = 30


class WorkerLost(RoboTraderError):
    """Workers died again and again: look at the machine's memory, or at the strategy's code."""


class Workers:
    """Runs tasks; a context manager that ends what it started, at once where an exception (Ctrl-C) passes.

    Parameters
    ----------
    kind : str
        `inline`, `local` (processes) or `dask`.
    count : int
        Processes, where they are ours to start.
    scheduler : str, optional
        Address of a running Dask scheduler, `tcp://` or `tls://`; without one, Dask workers are started on loopback.
        Tasks and answers are pickled: connect to no scheduler that is not yours.
    """

    def __init__(self, kind: str, *, count: int = 1, scheduler: str | None = None) -> None:
        places: dict[str, Callable[[], Place]] = {
            "inline": _inline, "local": lambda: _processes(count), "dask": lambda: _dask(count, scheduler),
        }  # fmt: skip
        if kind not in places:
            raise ConfigError(f"executor must be one of {', '.join(places)}; found {kind!r}")
        self._open, self._ahead = places[kind], 1 if kind == "inline" else 4 * count

    def __enter__(self) -> "Workers":
        """Start the workers."""
        self._place = self._open()
        self._executor, self._losses = self._place.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        """End the workers."""
        self._place.__exit__(*raised)

    def run(
        self, function: Callable[[Task], Result], tasks: Sequence[Task],
        finished: Callable[[int, Result], None] = lambda _n, _result: None,
    ) -> list[Result]:  # fmt: skip
        """Return what a function of a module makes of each task, in order; `finished` hears of each as it is done.

        Raises
        ------
        WorkerLost
            Workers died three times in a row.
        Exception
            What the function raised: then no further task is begun.
        """
        found: dict[int, Result] = {}
        losses = 0
        while len(found) < len(tasks):
            before = len(found)
            try:
                for n, result in self._answers(function, tasks, [n for n in range(len(tasks)) if n not in found]):
                    found[n] = result
                    finished(n, result)
            except self._losses as error:
                losses = 1 if len(found) > before else losses + 1
                if losses == _LOST_IN_A_ROW:
                    raise WorkerLost(
                        f"workers died {losses} times in a row, {len(tasks) - len(found)} tasks are left: look at the "
                        "memory of the machine and at the strategy's code, or take --executor inline"
                    ) from error
                self.__exit__(type(error), error, None)
                self.__enter__()
        return [found[n] for n in range(len(tasks))]

    def _answers(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], left: Sequence[int]
    ) -> Iterator[tuple[int, Result]]:
        queue = iter(left)
        pending: dict[Future[Result], int] = {}
        while True:
            for n in islice(queue, self._ahead - len(pending)):
                pending[self._executor.submit(function, tasks[n])] = n
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait, and never reach threads and processes begun inside the block: ending them is the parent's."""
    multiprocessing.resource_tracker.ensure_running()  # as it starts it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Inline(Executor):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future raises it
            future.set_exception(error)
        return future


@contextmanager
def _inline() -> Iterator[tuple[Executor, Losses]]:
    yield _Inline(), (BrokenExecutor,)


class _Pool(ProcessPoolExecutor):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _no_interrupts():  # this may begin a worker
            return super().submit(function, *args, **kwargs)


@contextmanager
def _processes(count: int) -> Iterator[tuple[Executor, Losses]]:
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of our threads
    pool = _Pool(count, mp_context=spawn, initializer=_begin_worker)
    try:
        yield pool, (BrokenExecutor,)
    except BaseException:
        for child in multiprocessing.active_children():
            if child not in others:
                child.kill()  # a strategy's code could hold up a gentler signal
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _begin_worker() -> None:
    """End with the parent, however it ends."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _dask(count: int, scheduler: str | None) -> Iterator[tuple[Executor, Losses]]:
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - an extra
        from distributed.scheduler import KilledWorker  # noqa: PLC0415
    except ImportError:
        raise ConfigError("--executor dask needs the extra cluster: pip install robotrader[cluster]") from None
    with tempfile.TemporaryDirectory(prefix="robotrader-dask-", ignore_cleanup_errors=True) as folder:
        local: Any = LocalCluster
        with _no_interrupts():
            cluster = None if scheduler else local(
                n_workers=count, threads_per_worker=1, host="127.0.0.1", local_directory=folder,
                silence_logs="CRITICAL", scheduler_kwargs={"dashboard": False},
                dashboard_address="127.0.0.1:0",  # any port: on None it asks for one on which sweeps would collide
            )  # fmt: skip
        try:
            connect: Any = Client
            with connect(cluster or scheduler, timeout=_START_S, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=_START_S)
                yield client.get_executor(pure=False), (BrokenExecutor, CancelledError, KilledWorker)
        except (OSError, TimeoutError) as error:
            raise ConfigError(f"no Dask worker answers at {scheduler or 'loopback'}: {error}") from error
        finally:
            if cluster is not None:
                cluster.close()
