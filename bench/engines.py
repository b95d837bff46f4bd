"""The engines that benchmarks set beside ours, and what every benchmark records."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from aboard.engine.benchmark.machine import processor
from aboard.engine.benchmark.peer import PeerSpec, llama_cpp, python_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.jsonl"


def openvino(environment: str | Path) -> PeerSpec:
    """OpenVINO GenAI in a virtual environment that has `openvino-genai`."""
    worker = Path(__file__).with_name("openvino_worker.py")
    return PeerSpec("OpenVINO GenAI", python_of(environment), worker)


def peers(names: list[str], llama: str | Path, openvino_home: str | Path | None) -> list[PeerSpec]:
    """The engines called "llama.cpp", "llama.cpp+hugepages" and "openvino"."""
    found = []
    for name in names:
        if name == "openvino":
            if openvino_home is not None:
                found.append(openvino(openvino_home))
        else:
            found.append(llama_cpp(llama, huge_pages=name.endswith("+hugepages")))
    return found


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


def recorded(bench: str) -> list[dict[str, Any]]:
    """The lines of one benchmark, the oldest first."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return [line for line in lines if line["bench"] == bench]


def machine() -> str:
    """The processor's name, its family and model, and how many cores there are."""
    return f"{processor()}, {os.cpu_count()} cores"


def _commit() -> str:
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
