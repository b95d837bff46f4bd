"""How long until the first token, from the start of the process? How much memory?

    python bench/first_token.py MODEL [--llama ENV] [--command .venv/bin/aboard] [--runs 11]
        [--threads 2] [--context 256] [--vocabulary GGUF]

The file is read once before, so that the cache is warm. Whole processes take turns: `aboard run
--raw` with a prompt of 16 tokens and, with --llama, a script that loads the same file with
llama-cpp-python, evaluates the same tokens and picks the first; then one of Aboard that goes
through the phases one by one. Peak memory is held against weights + KV cache + 60 MiB.
--vocabulary: a file whose tokenizer alone is measured; without it a made one of 262,144 pieces.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from engines import python_of, record

PROMPT = "The sky is blue because the light of the sun is scattered by the air,"
N_TOKENS = 262_144
CHILD = str(Path(__file__).with_name("first_token_child.py"))
MIB = 1 << 20
# A package that is installed has its bytecode.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass
class Run:
    """One process: seconds to its first byte on stdout and to its end, its peak, its output."""

    first_s: float
    end_s: float
    peak_bytes: int
    output: str


def run(command: list[str]) -> Run:
    """Runs `command`. This parent stays small: a child inherits its peak."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, env=ENVIRONMENT
    )
    assert process.stdout is not None
    first = process.stdout.read(1)
    first_s = time.perf_counter() - start
    output = first + process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if not first or process.returncode:
        raise SystemExit(f"bench: {' '.join(command)} ended with {process.returncode}")
    return Run(first_s, time.perf_counter() - start, usage.ru_maxrss * 1024, output.decode())


def told(name: str, runs: list[Run]) -> dict[str, object]:
    """Prints the medians of `runs`; the figures to record."""
    first = [each.first_s for each in runs]
    end = statistics.median(each.end_s for each in runs)
    peak = round(statistics.median(each.peak_bytes for each in runs))
    print(
        f"{name:12} first token {statistics.median(first):.3f} s ({min(first):.3f} to "
        f"{max(first):.3f}), end {end:.3f} s, peak memory {peak / MIB:.0f} MiB"
    )
    return {
        "first_s": statistics.median(first),
        "first_range_s": [min(first), max(first)],
        "end_s": end,
        "peak_rss_bytes": peak,
    }


def memory_needs(python: str, model: Path) -> tuple[int, int]:
    """Bytes of the weights, and of the KV cache for one token; asked of the package."""
    code = (
        "import sys; from aboard.engine.info import describe; d = describe(sys.argv[1]);"
        "print(d.weights_bytes, d.kv_bytes_per_token)"
    )
    weights, kv = run([python, "-c", code, str(model)]).output.split()
    return int(weights), int(kv)


def main() -> None:
    """Measures, prints and records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    default = Path(sys.executable).with_name("aboard")
    parser.add_argument("--command", type=Path, default=default, help="the program `aboard`")
    parser.add_argument("--llama", help="a virtual environment with llama-cpp-python")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--vocabulary", type=Path)
    options = parser.parse_args()
    python = str(options.command.with_name("python"))
    common = [str(options.model), PROMPT, str(options.threads), str(options.context)]
    aboard = [str(options.command), "run", *common[:2], "--raw", "--max-tokens", "1"]
    aboard += ["--threads", common[2], "--context", common[3], "--temperature", "0"]

    with tempfile.TemporaryDirectory() as folder:
        vocabulary = options.vocabulary or Path(folder) / "vocabulary.gguf"
        if options.vocabulary is None:
            command = [python, CHILD, "write-vocabulary", str(vocabulary), str(N_TOKENS)]
            subprocess.run(command, check=True)
        commands = {
            "aboard": aboard,
            "phases": [python, CHILD, "phases", *common],
            "vocabulary": [python, CHILD, "vocabulary", str(vocabulary), PROMPT],
            "numpy": [python, "-c", "import numpy; print()"],
        }
        if options.llama:
            commands["llama.cpp"] = [python_of(options.llama), CHILD, "llama", *common]
        for command in commands.values():  # warms the cache
            run(command)
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                runs[name].append(run(command))

    figures = {name: told(name, found) for name, found in runs.items()}
    each = [json.loads(found.output) for found in runs["phases"]]
    phases = {name: statistics.median(one[name] for one in each) for name in each[0]}
    print("phases, one by one: " + ", ".join(f"{k} {v * 1000:.0f} ms" for k, v in phases.items()))
    weights, kv = memory_needs(python, options.model)
    peak = statistics.median(found.peak_bytes for found in runs["aboard"])
    beyond = (peak - weights - kv * options.context) / MIB
    print(f"peak memory of aboard: {beyond:.0f} MiB beyond weights and KV cache, 60 allowed")
    record(
        "first_token",
        model=options.model.name,
        vocabulary=options.vocabulary.name if options.vocabulary else f"made, {N_TOKENS}",
        threads=options.threads,
        context=options.context,
        runs=options.runs,
        prompt_tokens=16,
        phases_s=phases,
        beyond_weights_and_kv_bytes=round(beyond * MIB),
        figures=figures,
    )


if __name__ == "__main__":
    main()
