"""A model that nobody asks anything costs no CPU time: its threads sleep, and none wakes up."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aboard.engine.device import usable_cores
from tiny import tiny_llama

THREADS = 4
IDLE_S = 10.0
# Computes a token with a team of threads, then waits for a line that doesn't come.
PROGRAM = """
import sys, aboard
model = aboard.load(sys.argv[1], threads=int(sys.argv[2]))
model.logits([1, 2, 3])
print("ready", flush=True)
sys.stdin.readline()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def threads_of(process: subprocess.Popen[str]) -> list[Path]:
    return sorted(Path(f"/proc/{process.pid}/task").iterdir())


def asleep(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"


def switches(task: Path) -> int:
    """How often the thread began to run."""
    lines = (task / "status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def cpu_ticks(task: Path) -> int:
    fields = (task / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture
def idle_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has computed a token and whose threads have all gone to sleep."""
    model = tiny_llama(tmp_path / "tiny.gguf")
    command = [sys.executable, "-c", PROGRAM, str(model), str(THREADS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not all(asleep(task) for task in threads_of(process)):
            assert process.poll() is None
        yield process
        process.kill()


def test_ten_idle_seconds_wake_no_thread(idle_process: subprocess.Popen[str]) -> None:
    tasks = threads_of(idle_process)
    before = [(switches(task), cpu_ticks(task)) for task in tasks]

    # The time is what is tested: nothing else happens in it that could come too early or too late.
    with pytest.raises(subprocess.TimeoutExpired):
        idle_process.wait(IDLE_S)

    assert len(tasks) >= min(THREADS, usable_cores())
    assert [(switches(task), cpu_ticks(task)) for task in tasks] == before
