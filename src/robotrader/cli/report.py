"""The tearsheet of any recorded run, backtest or live."""

from pathlib import Path
from typing import Annotated

import typer

from robotrader.cli.command import Answer, Call, command


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    command(app, "report")(report)


def report(
    call: Call,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, its id, `latest`, or `live`.")],
    *,
    html: Annotated[Path | None, typer.Option(help="Page to write; default: tearsheet.html beside the run.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Also print it, through Chromium.")] = None,
) -> Answer:
    """Write the tearsheet of a run; with `live`, of what the journal of the state folder tells."""
    from robotrader import bootstrap
    from robotrader.cli.read import sound
    from robotrader.research.tearsheet import as_json, tearsheet
    from robotrader.research.tearsheet_page import cell, page

    with sound(call.state):
        sheet = tearsheet(bootstrap.recorded_run(run, call.state))
    file, text = html or bootstrap.run_folder(run, call.state) / "tearsheet.html", page(sheet)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.with_suffix(".json").write_bytes(as_json(sheet))
    if pdf is not None:
        bootstrap.write_pdf(text, pdf)
    found = {row[0]: row[2] for row in sheet.headline.rows}
    payload = {"file": file, "pdf": pdf, "run_id": sheet.run_id, "cautions": sheet.cautions, "figures": found}
    lines = [f"{c.level.upper():5} {c.text}" for c in sheet.cautions]
    lines += [f"{row[0]:14} {cell(row[2], row[1])}" for row in sheet.headline.rows]
    return Answer(payload, "\n".join([*lines, f"tearsheet      {file}"]))
