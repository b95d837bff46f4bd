"""How many tokens a second, of how many that the machine allows, beside other engines?

    python bench/speed.py DEMO --llama ENV [--openvino ENV] [--run NAME ...] [--rounds 5]

Baseline: llama.cpp on the same file, the faster of its two attentions; beside it the same with its
memory on huge pages, and OpenVINO GenAI. ENV: the virtual environment that has the engine. All
engines do the same work in every round (src/aboard/engine/benchmark/); the files are made by
model_files.py. Each run has a process of its own and adds a line to results.jsonl; report.py turns
those into the tables and plots of docs/performance.md.
"""

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import peers, record
from model_files import FOLDER, make_models

from aboard.engine.benchmark import Plan, benchmark
from aboard.engine.device import usable_cores

LLAMA, HUGE_PAGES, OPENVINO = "llama.cpp", "llama.cpp+hugepages", "openvino"
CORES = usable_cores()
SHIPPED = "smollm2-135m"
"""The demo model as its package ships it: Q4_1, and Q8_0 for the embedding."""


@dataclass(frozen=True)
class Run:
    """A question: one file, what to measure on it, and beside whom."""

    model: str
    plan: Plan
    against: tuple[str, ...] = ()


def plan(threads: Sequence[int] = (), **fields: object) -> Plan:
    """A plan, by default for 1 thread and for all cores."""
    return Plan(threads=tuple(threads) or (1, CORES), **fields)


RUNS = {
    "shipped": Run(SHIPPED, plan(), (LLAMA, HUGE_PAGES)),
    "q4_0": Run(f"{SHIPPED}.Q4_0", plan(), (LLAMA, HUGE_PAGES, OPENVINO)),
    "q8_0": Run(f"{SHIPPED}.Q8_0", plan(), (LLAMA, HUGE_PAGES, OPENVINO)),
    "q4_k_m": Run(f"{SHIPPED}.Q4_K_M", plan(), (LLAMA, HUGE_PAGES)),
    "contexts": Run(
        f"{SHIPPED}.Q4_0", plan([CORES], contexts=(0, 512, 2048, 4096), tokens=64), (LLAMA,)
    ),
    "1b q4_0": Run("llama-1b.Q4_0", plan([CORES], prompt=128, tokens=32), (LLAMA, HUGE_PAGES)),
    "1b q4_k": Run("llama-1b.Q4_K", plan([CORES], prompt=128, tokens=32), (LLAMA, HUGE_PAGES)),
    # one peer only: each engine holds a copy of its own, and the file is in the page cache
    "8b q4_0": Run("llama-8b.Q4_0", plan([CORES], prompt=0, tokens=12), (LLAMA,)),
    "qwen2": Run("qwen2-0.5b.Q4_0", plan([CORES], prompt=256, tokens=64), (LLAMA, HUGE_PAGES)),
    "gemma3": Run("gemma3-270m.Q4_0", plan([CORES], prompt=256, tokens=64), (LLAMA, HUGE_PAGES)),
    "phi3": Run("phi-mini-8.Q4_0", plan([CORES], prompt=256, tokens=32), (LLAMA, HUGE_PAGES)),
    "together": Run(SHIPPED, plan([CORES], prompt=0, sequences=8)),
    "more threads": Run(SHIPPED, plan([CORES, 2 * CORES, 4 * CORES])),
}


def measure(name: str, options: argparse.Namespace) -> None:
    """One run, in this process."""
    run = RUNS[name]
    path = options.demo
    if run.model != SHIPPED:
        path = make_models(options.demo, options.llama, options.folder, [run.model])[run.model]
    report = benchmark(
        path,
        dataclasses.replace(run.plan, rounds=options.rounds),
        against=peers(list(run.against), options.llama, options.openvino),
        progress=lambda line: print(f"bench: {name}: {line}", file=sys.stderr),
    )
    record("speed", baseline=LLAMA, run=name, **dataclasses.asdict(report) | {"model": run.model})
    for speed in report.speeds:
        rate, share = speed.tokens_per_s, speed.bound_fraction
        print(
            f"{name}: {speed.kind:8} {speed.threads} threads, context {speed.context}: "
            f"{rate.median:,.1f} tokens/s, {share.median:.0%} of the bound"
        )
        for other in speed.against:
            ratio = other.ratio
            print(
                f"    {ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f}) of "
                f"{other.tokens_per_s.median:,.1f}, {other.name}, {other.baseline}"
            )


def main() -> None:
    """Measures; several runs each in a process of its own, so that memory is counted for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--openvino", help="environment of OpenVINO GenAI; without it, left out")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are made")
    parser.add_argument("--run", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if len(options.run) == 1:
        measure(options.run[0], options)
        return
    command = [sys.executable, __file__, str(options.demo), "--llama", options.llama]
    command += ["--folder", str(options.folder), "--rounds", str(options.rounds)]
    command += ["--openvino", options.openvino] if options.openvino else []
    failed = [
        name
        for name in options.run
        if subprocess.run([*command, "--run", name], check=False).returncode
    ]
    if failed:
        raise SystemExit(f"bench: these runs failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
