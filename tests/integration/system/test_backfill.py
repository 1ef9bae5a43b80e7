"""`data backfill` as a stranger runs it: killed, run again, and the lake holds what the broker has."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from robotrader import bootstrap
from robotrader.model import BarSpec
from tests.integration.ibkr.test_backfill import Witness, panel, same


async def command(gateway_port: int, state: Path, *more: str) -> asyncio.subprocess.Process:
    arguments = ("data", "backfill", "AAA", "BBB", *more, "--spec", "1m", "--start", "2024-01-01", "--json")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "robotrader", *arguments, "--port", str(gateway_port), "--account", "DU1234567",
        "--state", str(state), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def finished(child: asyncio.subprocess.Process) -> tuple[int | None, dict[str, Any], str]:
    out, err = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, json.loads(out) if out else {}, err.decode()


def test_after_a_kill_only_what_was_not_answered_is_asked_for_again(tmp_path: Path) -> None:
    data = panel(BarSpec.MINUTE, 390 * 12, ("AAA", "BBB"))

    async def body() -> None:
        gateway = Witness(data, pacing=False)
        port = await gateway.serve()
        try:
            child = await command(port, tmp_path)
            gateway.hears = lambda count: child.kill() if count == 4 else None
            assert (await finished(child))[0] == -9
            code, answer, said = await finished(await command(port, tmp_path))
            assert (code, answer["requests"], answer["sessions_known"], answer["rows_written"]) == (0, 3, 12, 390 * 12)
            assert "3 requests, about 0.1 min" in said
            assert gateway.asked[3] == gateway.asked[4]
            assert len(gateway.asked) == 7
            assert len(set(gateway.asked)) == 6
            code, answer, _ = await finished(await command(port, tmp_path, "NONE"))
            assert (code, answer["requests"], list(answer["failed"])) == (7, 3, ["NONE.SMART"])
        finally:
            await gateway.close()

    asyncio.run(body())
    assert same(bootstrap.scan_bars(data.ids, BarSpec.MINUTE, state=tmp_path), data)


def test_without_a_gateway_it_ends_with_the_code_of_that(tmp_path: Path) -> None:
    async def body() -> None:
        code, answer, _ = await finished(await command(1, tmp_path))
        assert (code, answer["kind"]) == (6, "ConnectionLost")

    asyncio.run(body())
    assert not list(tmp_path.glob("lake/kind=*"))
