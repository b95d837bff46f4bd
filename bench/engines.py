"""The asking side of worker.py, and what every benchmark records."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.jsonl"


class Engine:
    """A warm process that holds one engine; it computes only while `ask` waits for it."""

    def __init__(
        self,
        python: str,
        kind: str,
        model: Path,
        *,
        threads: int,
        context: int,
        flash: str = "on",
        kv: str = "f16",
    ) -> None:
        self.kind = kind
        command = [python, str(ROOT / "bench" / "worker.py"), kind, str(model)]
        command += ["--threads", str(threads), "--context", str(context), "--flash", flash]
        command += ["--kv", kv]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            self.about = self._read()
        except BaseException:
            self.close()
            raise

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """The worker's reply."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: the {self.kind} worker ended with {self._process.wait()}")
        return json.loads(line)


def python_of(folder: str | None) -> str:
    """The interpreter of a virtual environment, or the one that runs this script."""
    return sys.executable if folder is None else str(Path(folder) / "bin" / "python")


def record(bench: str, **figures: object) -> None:
    """Adds one line to results.jsonl: what, when, on which commit and machine."""
    line = {
        "bench": bench,
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": machine(),
        **figures,
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")


def machine() -> str:
    """The processor's name, its family and model, and how many cores there are."""
    found = {}
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name", platform.processor() or platform.machine())
    kind = f" (family {found['cpu family']}, model {found['model']})" if "model" in found else ""
    return f"{name}{kind}, {os.cpu_count()} cores"


def _commit() -> str:
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
