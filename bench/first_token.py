"""How long until the first byte of an answer, from the start of the process? How much memory?

    python bench/first_token.py MODEL [--command .venv/bin/aboard] [--runs 11] [--context 4096]

The file is read once before, so that the cache is warm. Prints the median time of
`aboard run MODEL PROMPT --max-tokens 1` to the first byte on stdout; of `import aboard` beyond
an empty Python; and the peak memory of a run of 64 tokens against 1.15 times the weights, the KV
cache of the context and 60 MiB.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from engines import record

PROMPT = "In one sentence, why is the sky blue?"
MIB = 1 << 20


def first_byte_s(command: list[str]) -> float:
    """Seconds from the start of the process to its first byte on stdout."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        elapsed = time.perf_counter() - start
        process.stdout.read()
    if not first or process.returncode:
        raise SystemExit(f"bench: {' '.join(command)} ended with {process.returncode}")
    return elapsed


def wall_s(command: list[str]) -> float:
    """Seconds that a process takes from start to end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak_rss_bytes(command: list[str]) -> int:
    """The peak resident memory of a process. This parent stays small: a child inherits its peak."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(
            f"bench: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}"
        )
    return usage.ru_maxrss * 1024


def memory_needs(python: str, model: Path) -> tuple[int, int]:
    """Bytes of the weights, and of the KV cache for one token; asked of the package."""
    code = (
        "import sys; from aboard.engine.info import describe; d = describe(sys.argv[1]);"
        "print(d.weights_bytes, d.kv_bytes_per_token)"
    )
    command = [python, "-c", code, str(model)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(found[0]), int(found[1])


def main() -> None:
    """Measures, prints and records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    default = Path(sys.executable).with_name("aboard")
    parser.add_argument("--command", type=Path, default=default, help="the program `aboard`")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=4096)
    options = parser.parse_args()
    python = str(options.command.with_name("python"))
    run = [str(options.command), "run", str(options.model), PROMPT]
    run += ["--threads", str(options.threads), "--context", str(options.context)]
    run += ["--temperature", "0"]

    with options.model.open("rb") as file:
        while file.read(MIB):
            pass
    first = [first_byte_s([*run, "--max-tokens", "1"]) for _ in range(options.runs)]
    imports, empty = [], []
    for _ in range(options.runs):
        imports.append(wall_s([python, "-c", "import aboard"]))
        empty.append(wall_s([python, "-c", "pass"]))
    import_s = statistics.median(imports) - statistics.median(empty)
    peak = peak_rss_bytes([*run, "--max-tokens", "64"])
    weights, kv = memory_needs(python, options.model)
    limit = round(1.15 * weights) + kv * options.context + 60 * MIB

    print(f"first byte   {statistics.median(first):.3f} s ({min(first):.3f} to {max(first):.3f})")
    print(f"import       {import_s * 1000:.0f} ms beyond an empty Python")
    print(f"peak memory  {peak / MIB:.0f} MiB, limit {limit / MIB:.0f} MiB")
    print(f"             of which {kv * options.context / MIB:.0f} MiB for the KV cache")
    record(
        "first_token",
        model=options.model.name,
        threads=options.threads,
        context=options.context,
        runs=options.runs,
        first_byte_s=statistics.median(first),
        first_byte_range_s=[min(first), max(first)],
        import_s=import_s,
        peak_rss_bytes=peak,
        peak_rss_limit_bytes=limit,
        kv_bytes=kv * options.context,
    )


if __name__ == "__main__":
    main()
