"""Sweeps, walk-forward and Monte Carlo: many runs, and what they are worth together."""

import functools
import inspect
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from robotrader.cli import simulate
from robotrader.cli.command import Answer, Call, command, facts, iso, plain, table
from robotrader.cli.options import Data, Strategy, moment

if TYPE_CHECKING:
    from robotrader.bootstrap.explore import Explorer, Study
    from robotrader.research.montecarlo import Scenario
    from robotrader.research.study import Page
    from robotrader.research.sweep import Swept
    from robotrader.research.walkforward import Walked

Ranges = Annotated[list[str] | None, typer.Option("-p", metavar="NAME=A:B:STEP", help="Or NAME=A,B,C, or NAME=A.")]
Fixed = Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A parameter, of a strategy.")]
Metric = Annotated[str, typer.Option(help="sharpe, sortino, cagr, total_return or max_drawdown.")]
Executor = Annotated[str, typer.Option(help="auto, inline, local (processes) or dask.")]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDR", help="A running Dask scheduler; none: one is started.")]
Count = Annotated[int | None, typer.Option(help="Processes, or threads inline; default: one a processor.", min=1)]
Seed = Annotated[int, typer.Option(help="What chance there is, it decides.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for name, function in (("sweep", sweep), ("walkforward", walkforward), ("montecarlo", montecarlo)):
        command(app, name)(_with_study(function))


def _with_study(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `backtest`, and instead of them a function that makes a study of them."""
    own = list(inspect.signature(function).parameters.values())
    named = {p.name for p in own} | {"engine"}
    shared = [p for p in inspect.signature(simulate.backtest).parameters.values() if p.name not in named | {"strategy"}]

    @functools.wraps(function)
    def wrapper(call: Call, **given: Any) -> Any:
        options = {p.name: given.pop(p.name) for p in shared}
        return function(call, study=functools.partial(_study, call, options=options), **given)

    signature = inspect.Signature([p for p in own if p.name != "study"] + shared)
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    return wrapper


def _study(call: Call, strategy: str, *, data: str, options: Mapping[str, Any]) -> "Study":
    from robotrader.bootstrap.explore import Study
    from robotrader.bootstrap.tasks import Source, data_of
    from robotrader.model import StrategyConfig

    name = str(Path(data).absolute()) if Path(data).is_file() or os.sep in data else data  # workers may run elsewhere
    place = {field: options[field] for field in ("symbol", "start", "end", "adjust")}
    source = Source(name=name, state=str(call.state), as_of=moment(options["as_of"]), **place)
    loaded = data_of(source).loaded
    simulate.say_quarantined(call, loaded)
    sized = {field: options[field] for field in ("cash", "sizer", "resize")}
    config = simulate.configured_strategy(strategy, loaded, parameters=None, **sized)
    more = {field: value for field, value in options.items() if field in StrategyConfig.__struct_fields__}
    names = inspect.signature(simulate.costs_of).parameters
    return Study(source=source, config=structs.replace(config, **{**more, "resize": config.resize}),
                 costs=simulate.costs_of(**{n: options[n] for n in names}), limits=options["limits"])  # fmt: skip


@contextmanager
def _explorer(
    call: Call, study: "Study", purpose: str, *, executor: str, scheduler: str | None, workers: int | None, sets: int
) -> "Iterator[Explorer]":
    from robotrader import bootstrap
    from robotrader.bootstrap.explore import Explorer, place_of
    from robotrader.research.executors import Workers
    from robotrader.research.trials import Purpose

    kind, count = place_of(study, sets) if executor == "auto" else executor, workers or os.cpu_count() or 1
    with bootstrap.trial_ledger(call.state) as ledger, Workers(kind, count=count, scheduler=scheduler) as pool:
        threads = count if kind == "inline" else 1
        yield Explorer(
            study, ledger, pool, purpose=Purpose(purpose), threads=threads, progress=call.progress(sets, purpose)
        )


def sweep(
    call: Call, strategy: Strategy, *, data: Data, study: Any, p: Ranges = None, metric: Metric = "sharpe",
    search: Annotated[str, typer.Option(help="grid, random or tpe (Optuna).")] = "grid",
    trials: Annotated[int, typer.Option(help="Sets that random and tpe try.", min=1)] = 100, seed: Seed = 0,
    executor: Executor = "auto", scheduler: Scheduler = None, workers: Count = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file of the results; the page goes beside it.")] = None,
) -> Answer:  # fmt: skip
    """Try many sets of parameters, and say what the best is worth after so many trials."""
    from robotrader.bootstrap import explore
    from robotrader.research.search import parse_space
    from robotrader.research.study import row_of, sweep_page, write_page, write_rows

    made, space = study(strategy, data=data), parse_space(p)
    count = math.prod(map(len, space.values())) if search == "grid" else trials
    with _explorer(
        call, made, "sweep", executor=executor, scheduler=scheduler, workers=workers, sets=count
    ) as explorer:
        found = explore.sweep(explorer, space, metric=metric, method=search, trials=trials, seed=seed)
        file = out or call.state / "sweeps" / f"{explorer.id}.parquet"
    write_rows([row_of(tried) for tried in found.tried], file)
    page = file.with_suffix(".html")
    write_page(sweep_page(found, space, metric, f"Sweep of {strategy} on {data}"), page)
    return _swept(found, metric, file, page)


def _swept(found: "Swept", metric: str, file: Path, page: Path) -> Answer:
    from robotrader.research.study import row_of

    failed = sum(bool(t.error) for t in found.tried if t.trial is not None)
    best = row_of(found.best) if found.best else None
    counts = {"combinations": found.ran, "skipped": len(found.tried) - found.ran, "failed": failed}
    payload = {
        **counts, "seconds": round(found.seconds, 6), "combinations_per_second": round(found.ran / found.seconds, 1),
        "metric": metric, "best": {**best, "parameters": found.best.parameters} if best and found.best else None,
        "deflated_sharpe": found.deflated_sharpe, "pbo": found.pbo, "results_file": file, "page": page,
    }  # fmt: skip
    said: dict[str, object] = {"best": None, metric: None}
    if best and found.best:
        said = {"best": _pairs(found.best.parameters), metric: best[metric]}
    shown = {name: payload[name] for name in (*counts, "seconds", "combinations_per_second")}
    return Answer(payload, facts({**shown, **said, **{name: payload[name] for name in list(payload)[-4:]}}))


def walkforward(
    call: Call, strategy: Strategy, *, data: Data, study: Any, p: Ranges = None, metric: Metric = "sharpe",
    train: Annotated[int, typer.Option(help="Sessions to choose on.", min=2)] = 504,
    test: Annotated[int, typer.Option(help="Sessions to judge on, after them.", min=1)] = 126,
    anchored: Annotated[bool, typer.Option("--anchored", help="Training begins at the same session always.")] = False,
    purge: Annotated[int | None, typer.Option(help="Outcomes are known N sessions later; none: by position.", min=0)]
    = None,
    embargo: Annotated[int, typer.Option(help="Sessions more between training and test.", min=0)] = 0,
    cpcv: Annotated[str | None, typer.Option(metavar="N,K", help="Also every K of N blocks as the test.")] = None,
    executor: Executor = "auto", scheduler: Scheduler = None, workers: Count = None,
    out: Annotated[Path | None, typer.Option(help="Folder for walkforward.json and .html.")] = None,
) -> Answer:  # fmt: skip
    """Choose parameters on one stretch of time, judge them on the next, again and again."""
    from robotrader import bootstrap
    from robotrader.bootstrap.validate import Plan, walk_forward
    from robotrader.research.search import parse_space
    from robotrader.research.study import walk_page

    made, space = study(strategy, data=data), parse_space(p)
    plan = Plan(train=train, test=test, anchored=anchored, purge=purge, embargo=embargo, blocks=_blocks(cpcv))
    count = math.prod(map(len, space.values()))
    with _explorer(
        call, made, "walkforward", executor=executor, scheduler=scheduler, workers=workers, sets=count
    ) as explorer:
        found = walk_forward(explorer, space, plan, metric=metric)
        folder, data_hash = out or call.state / "walkforward" / explorer.id, explorer.data.loaded.data_hash
    payload = {"metric": metric, "sets": found.sets, "plan": plan, **_walked(found)}
    files = _write(folder, "walkforward", payload, walk_page(found, metric, f"Walk-forward of {strategy} on {data}"))
    names = ("is_sharpe", "oos_sharpe", "degradation", "parameter_stability")
    bootstrap.keep_evidence(
        call.state, "walkforward", made.config.id, (strategy, {}), data_hash=data_hash,
        found={name: plain(payload)[name] for name in ("metric", *names, "folds")},
    )  # fmt: skip
    rows = [(f["fold"], f["test_first"][:10], f["test_last"][:10], _pairs(f["parameters"] or {}), f["is"][metric],
             f["oos"][metric]) for f in payload["folds"]]  # fmt: skip
    shown = table(("fold", "test from", "to", "chosen", f"{metric} training", f"{metric} test"), rows, empty="no folds")
    return Answer({**payload, **files}, f"{shown}\n\n{facts({**{n: payload[n] for n in names}, **files})}")


def _blocks(text: str | None) -> tuple[int, int] | None:
    from robotrader.model import ConfigError

    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ConfigError(f"--cpcv must be N,K: every K of N blocks are a test once; found {text!r}")
    return int(parts[0]), int(parts[1])


def _walked(found: "Walked") -> dict[str, Any]:
    moments = ("train_first", "train_last", "test_first", "test_last")
    said = {name: getattr(found, name) for name in ("oos_sharpe", "is_sharpe", "degradation", "parameter_stability")}
    return {
        "folds": [{**f, **{name: iso(f[name]) for name in moments}} for f in found.folds], **said,
        "oos_equity": {"ts": [iso(t) for t in found.ts.tolist()], "growth": (1 + found.returns).cumprod().tolist()},
        "cpcv": None if found.paths is None else {"paths": len(found.paths), "sharpes": sorted(found.paths)},
    }  # fmt: skip


def montecarlo(
    call: Call, what: Annotated[str, typer.Argument(metavar="RUN|STRATEGY", help="Folder of a run, or a strategy.")], *,
    study: Any, data: Annotated[str | None, typer.Option("--data", help="As of backtest; a run needs none.")] = None,
    p: Fixed = None, draws: Annotated[int, typer.Option(help="Of each kind of chance.", min=10)] = 1000,
    jitters: Annotated[int, typer.Option(help="Sets of parameters near these.", min=1)] = 100, seed: Seed = 0,
    executor: Executor = "auto", scheduler: Scheduler = None, workers: Count = None,
    out: Annotated[Path | None, typer.Option(help="Folder for montecarlo.json and .html.")] = None,
) -> Answer:  # fmt: skip
    """Shake a result: order of trades and days, parameters, timing, costs, start."""
    from robotrader.bootstrap import validate
    from robotrader.cli.options import parse_parameters
    from robotrader.model import ConfigError
    from robotrader.research.run_folder import RUN, read_run
    from robotrader.research.study import montecarlo_page

    place = Path(what) if (Path(what) / RUN).exists() else None
    folder = out or place or call.state / "montecarlo" / Path(what).name.replace(":", "-")
    run, replayed = read_run(place) if place else None, list["Scenario"]()
    if data is not None:
        made = study(run.record.configs[0].source if run else what, data=data)
        config = structs.replace(made.config, parameters=parse_parameters(p))
        made = validate.study_of(run, made) if run else structs.replace(made, config=config)
        with _explorer(
            call, made, "montecarlo", executor=executor, scheduler=scheduler, workers=workers, sets=jitters + 2
        ) as explorer:
            run = run or validate.recorded(explorer)
            replayed = validate.replayed(explorer, seed=seed, jitters=jitters)
    if run is None:
        raise ConfigError(f"{what} is no folder of a run, and a strategy needs --data")
    scenarios, base = [*validate.resampled(run, seed=seed, draws=draws), *replayed], validate.figures_of(run)
    payload = {"seed": seed, "base": base, "scenarios": scenarios,
               "not_run": [] if replayed else ["parameters, delay, costs and starts need --data"]}  # fmt: skip
    files = _write(folder, "montecarlo", payload, montecarlo_page(scenarios, base, f"Monte Carlo of {what}"))
    rows = [(s.name, s.runs, *(_middle(s, m) for m in ("sharpe", "cagr", "max_drawdown")), s.note) for s in scenarios]
    shown = table(("scenario", "runs", "Sharpe 5/50/95 %", "CAGR", "drawdown", "change"), rows, empty="")
    return Answer({**payload, **files}, f"{shown}\n\n{facts(files)}")


def _middle(found: "Scenario", name: str) -> str:
    there = found.quantiles.get(name)
    return " / ".join(f"{value:.3g}" for value in there.values()) if there else "-"


def _pairs(parameters: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _write(folder: Path, name: str, payload: Mapping[str, Any], page: "Page") -> dict[str, Path]:
    """Write the answer and its page; return where they are."""
    from robotrader.research.study import write_page

    write_page(page, folder / f"{name}.html")
    (folder / f"{name}.json").write_text(json.dumps(plain(payload), indent=2) + "\n", encoding="utf-8")
    return {"file": folder / f"{name}.json", "page": folder / f"{name}.html"}
