"""The trial ledger, read."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from robotrader.cli.command import Answer, Call, command, iso, table

if TYPE_CHECKING:
    from robotrader.research.trials import Trial

_LATEST = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "trials")(trials)


def trials(
    call: Call, strategy: Annotated[str | None, typer.Option(help="Only those of this strategy's id.")] = None
) -> Answer:
    """Show the trial ledger: every backtest ever begun, and how many independent ones they are worth."""
    from robotrader import bootstrap

    found, worth = bootstrap.recorded_trials(call.state, strategy)
    counts = Counter(trial.spec.config.id for trial in found)
    families = [{"strategy": name, "trials": n, "effective_trials": worth[name]} for name, n in sorted(counts.items())]
    rows = [_row(trial) for trial in found]
    latest = table(
        ("trial", "time", "strategy", "parameters", "purpose", "Sharpe"),
        [
            (r["trial"], r["ts"], r["strategy"], " ".join(f"{k}={v}" for k, v in r["parameters"].items()), r["purpose"],
             "not ended" if not r["ended"] else "-" if r["sharpe"] is None else f"{r['sharpe']:.2f}")
            for r in rows[-_LATEST:]
        ],
        empty="no trials yet",
    )  # fmt: skip
    sums = [(name, n, f"{worth[name]:.1f}") for name, n in sorted(counts.items())]
    summed = table(("strategy", "trials", "worth"), sums, empty="")
    payload = {"trials": rows, "effective_trials": sum(worth.values()), "families": families}
    return Answer(payload, f"{latest}\n\n{summed}".rstrip())


def _row(trial: "Trial") -> dict[str, Any]:
    from robotrader.research.metrics import SESSIONS_PER_YEAR

    spec, found = trial.spec, trial.outcome.moments if trial.outcome else None
    return {
        "trial": trial.number, "ts": iso(trial.ts), "strategy": spec.config.id, "parameters": spec.config.parameters,
        "ended": trial.outcome is not None, "sharpe": found.sharpe * SESSIONS_PER_YEAR**0.5 if found else None,
        "parameters_hash": spec.parameters_hash, "returns_hash": trial.outcome.returns_hash if trial.outcome else None,
        **{name: value for name, value in structs.asdict(spec).items() if name != "config"},
        "universe": spec.config.universe, "first": iso(spec.first), "last": iso(spec.last),
    }  # fmt: skip
