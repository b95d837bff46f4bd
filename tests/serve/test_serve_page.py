"""The page docs/guide/serve.md does what it says, with the real model."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aboard.cli.reference import reference
from aboard.serve.app import ENDPOINTS
from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/serve.md")
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return shell(tmp_path, ABOARD_PORT="0")


@pytest.fixture
def address(environment: dict[str, str], demo_model: Path) -> Iterator[str]:
    """Where the page's first command listens."""
    command = GUIDE.blocks("console")[0].splitlines()[0].removeprefix("$ ")
    program = subprocess.Popen(
        ["bash", "-c", f"exec {command} --json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield json.loads(program.stdout.readline())["url"]
    program.terminate()
    assert program.wait() == 0
    program.stdout.close()


@pytest.mark.model
def test_every_block_of_the_page_runs(
    tmp_path: Path, environment: dict[str, str], address: str
) -> None:
    asked = GUIDE.blocks("console")[1].replace("$ ", "").replace(ADDRESS, address)

    printed = run_python(GUIDE.python.replace(ADDRESS, address), environment, tmp_path)
    told = run_commands(asked.replace("curl", "curl -sSf"), environment, tmp_path)

    assert printed.returncode == 0, printed.stderr
    assert told.returncode == 0, told.stderr
    lines = printed.stdout.splitlines()
    assert lines[-1] == "unsupported_parameter reasoning_effort"
    assert any(line.startswith("mood=") for line in lines)
    answers = [json.loads(each) for each in told.stdout.replace("}{", "}\n{").splitlines()]
    assert answers[0]["usage"]["completion_tokens"] == 8
    assert answers[1] == {"tokens": [19556]}
    assert answers[2] == {"status": "ok"}


def test_the_page_names_every_route_and_every_option_it_speaks_of() -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.path.replace(":path", "") in GUIDE.text
    named = set(re.findall(r"--[a-z-]+", GUIDE.text)) - {"--model", "--model_args", "--tasks"}
    assert named - {"--model_"} <= set(re.findall(r"--[a-z-]+", reference()))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_takes_the_unit_of_the_page(tmp_path: Path) -> None:
    unit = tmp_path / "aboard.service"
    program = "/opt/aboard/bin/aboard"
    assert program in GUIDE.blocks("ini")[0]
    unit.write_text(GUIDE.blocks("ini")[0].replace(program, "/bin/true"))  # it must be there

    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert (verified.returncode, verified.stderr) == (0, "")
