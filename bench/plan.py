"""How far are the predictions of `aboard plan` from what is measured?

    python bench/plan.py formats [FORMAT ...]       what planning/efficiency.py goes by
    python bench/plan.py check MODEL [MODEL ...] [--context 512]

formats: for each block format, the speed of a small model of it alone, as a fraction of bandwidth
and integer peak that are measured in the same rounds. check: baseline is the plan itself; a fresh
process loads the model, fills the context and decodes, for its peak memory (VmHWM) and its speed,
which stands beside what was predicted from a device file made just before. Both add lines to
results.jsonl.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from engines import ROOT, record
from model_files import FOLDER

from aboard.engine.benchmark import Plan as Bench
from aboard.engine.benchmark import benchmark
from aboard.engine.device import usable_cores

sys.path.insert(0, str(ROOT / "tests"))
from tiny import FORMATS, Llama, tiny_llama

SHAPE = Llama(
    layers=6, width=1536, heads=12, kv_heads=4, head_dim=128, ffn=4096, vocabulary=4096, tied=True
)
N_DECODED = 24


def format_file(form: str) -> Path:
    """The model whose matrices all are of this format; made if it is missing."""
    path = FOLDER / "formats" / f"{form}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        tiny_llama(path.with_suffix(".part"), SHAPE, fmt=form).rename(path)
    return path


def measure_formats(names: list[str], rounds: int) -> None:
    """A line for each format: fractions of the bounds, by kind of work and number of threads."""
    counts = tuple(sorted({1, usable_cores()}))
    for name in names:
        plan = Bench(threads=counts, prompt=128, tokens=N_DECODED, rounds=rounds)
        report = benchmark(format_file(name), plan)
        fractions = {
            f"{speed.kind} {speed.threads}": dataclasses.asdict(speed.bound_fraction)
            for speed in report.speeds
        }
        record("plan_formats", format=name, isa=report.isa, rounds=rounds, fractions=fractions)
        told = {key: f"{each['median']:.2f}" for key, each in fractions.items()}
        print(name, told, flush=True)


def check(model: str, context: int, users: int) -> None:
    """One line: peak memory and speeds, predicted and measured in a process of its own."""
    child = [sys.executable, str(Path(__file__).with_name("plan_child.py")), model]
    command = [*child, str(context), str(users)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(run.stdout)
    predicted, measured = found["predicted"], found["measured"]
    ratios = {key: predicted[key] / measured[key] for key in measured if predicted[key]}
    record("plan", model=Path(model).name, context=context, users=users, **found, ratios=ratios)
    print(Path(model).name, {key: f"{ratio:.3f}" for key, ratio in ratios.items()}, flush=True)


def main() -> None:
    """Does what the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    formats = kinds.add_parser("formats")
    formats.add_argument("names", nargs="*", metavar="FORMAT", choices=[*FORMATS, []])
    formats.add_argument("--rounds", type=int, default=3)
    checked = kinds.add_parser("check")
    checked.add_argument("models", nargs="+", metavar="MODEL")
    checked.add_argument("--context", type=int, default=512)
    checked.add_argument("--users", type=int, default=1)
    options = parser.parse_args()
    if options.kind == "formats":
        measure_formats(options.names or list(FORMATS), options.rounds)
    else:
        for model in options.models:
            check(model, options.context, options.users)


if __name__ == "__main__":
    main()
