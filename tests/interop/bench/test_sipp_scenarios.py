import asyncio
import re
import shutil
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[3] / "bench" / "sipp"
SERVER, CLIENT = "127.77.1.2", "127.77.1.1"
CALLS = 200

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed"),
]


async def sipp(folder: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        *("-p", "5060", "-m", str(CALLS), "-nostdin", "-timeout", "40s", "-timeout_error"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def test_the_scenarios_fit_each_other_at_a_hundred_calls_a_second(tmp_path: Path) -> None:
    called = asyncio.create_task(sipp(tmp_path, "-sf", str(SCENARIOS / "uas.xml"), "-i", SERVER))
    await asyncio.sleep(0.5)
    status, output = await sipp(
        tmp_path,
        *(f"{SERVER}:5060", "-sf", str(SCENARIOS / "uac.xml"), "-i", CLIENT),
        *("-s", "+12125550123", "-key", "from", "+14155550100"),
        *("-key", "domain", "alpha.example", "-key", "to_domain", "beta.example"),
        *("-r", "100", "-d", "300"),
    )
    assert status == 0, output[-2000:]
    assert re.search(rf"Successful call\s*\|\s*\d+\s*\|\s*{CALLS}\b", output)
    assert (await called)[0] == 0
