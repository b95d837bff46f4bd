"""Counts the instructions that a token takes, and compares them with the budgets of each format.

    python tools/budgets.py [--write]

Valgrind's callgrind counts what runs inside Decoder::Forward, on one thread, with the AVX2 code (it
knows no AVX-512): repeatable to the last digit for the same program and model. A count above its
budget by more than 2 % fails. Budgets belong to a compiler: with another one the tolerance is 15 %,
and a line says so. --write puts what was counted in tools/instruction_budgets.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from platforms import ROOT, Platform, build
from replay import write_flat

from tiny import FORMATS, tiny_llama

BUDGETS = ROOT / "tools" / "instruction_budgets.json"
ISA = "avx2"
TOLERANCE = 0.02
OTHER_COMPILER_TOLERANCE = 0.15
# What is counted: tokens, and how many of them go through the model at once.
KINDS = {"decode": (16, 1), "prompt": (64, 64)}

Counts = dict[str, dict[str, int]]


def compiler(folder: Path) -> str:
    """The first line that the compiler of the build in `folder` says of itself."""
    cache = (folder / "CMakeCache.txt").read_text()
    found = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache, re.MULTILINE)
    assert found is not None
    version = subprocess.run([found[1], "--version"], capture_output=True, text=True, check=True)
    return version.stdout.splitlines()[0]


def instructions(program: Path, flat: Path, folder: Path) -> int:
    """Those that a replay of `flat` runs inside Decoder::Forward."""
    command = [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / (flat.name + '.out')}",
        "--toggle-collect=aboard::Decoder::Forward*", str(program), str(flat), "1", ISA,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True)
    text = done.stderr.decode()
    found = re.search(r"Collected : (\d+)", text)
    if done.returncode or found is None or found[1] == "0":
        sys.exit(f"{' '.join(command)}\n{text}")
    return int(found[1])


def count(program: Path, folder: Path) -> Counts:
    """Instructions for one token of a tiny random model, by format and kind."""

    def of(fmt: str, kind: str) -> int:
        n_tokens, chunk = KINDS[kind]
        flat = folder / f"{fmt}-{kind}.flat"
        write_flat(models[fmt], [(7 * i + 1) % 259 for i in range(n_tokens)], chunk, flat)
        return round(instructions(program, flat, folder) / n_tokens)

    models = {
        fmt: tiny_llama(
            folder / f"{fmt}.gguf", fmt=fmt, width=256, heads=4, kv_heads=2, ffn=512, layers=2
        )
        for fmt in FORMATS
    }
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        found = {fmt: {kind: pool.submit(of, fmt, kind) for kind in KINDS} for fmt in FORMATS}
    return {fmt: {kind: n.result() for kind, n in kinds.items()} for fmt, kinds in found.items()}


def compare(counts: Counts, budgets: Counts, tolerance: float) -> bool:
    """Print what has changed; whether nothing is above its budget by more than `tolerance`."""
    within = True
    for fmt, kinds in counts.items():
        for kind, n in kinds.items():
            budget = budgets.get(fmt, {}).get(kind)
            if budget is None:
                print(f"{fmt}, {kind}: {n} instructions a token, no budget yet: `make budgets`")
                within = False
                continue
            change = n / budget - 1
            text = f"{fmt}, {kind}: {n} instructions a token, budget {budget} ({change:+.1%})"
            if change > tolerance:
                print(f"{text}: TOO MANY")
                within = False
            elif change < -TOLERANCE:
                print(f"{text}: lower the budget with `make budgets`")
    return within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make these counts the budgets")
    write = parser.parse_args().write
    program = build(Platform("budgets", []), ROOT / "build" / "budgets")
    name = compiler(program.parent)
    with tempfile.TemporaryDirectory(prefix="aboard-budgets-") as folder:
        counts = count(program, Path(folder))
    if write:
        content = {"compiler": name, "isa": ISA, "instructions_per_token": counts}
        BUDGETS.write_text(json.dumps(content, indent=1) + "\n")
        print(f"wrote {BUDGETS.relative_to(ROOT)}")
        return
    kept = json.loads(BUDGETS.read_text())
    tolerance = TOLERANCE
    if kept["compiler"] != name:
        tolerance = OTHER_COMPILER_TOLERANCE
        print(
            f"the budgets are those of {kept['compiler']}, this is {name}: +{tolerance:.0%} passes"
        )
    if not compare(counts, kept["instructions_per_token"], tolerance):
        sys.exit(
            "instruction budgets are exceeded; if that is the price of something: `make budgets`"
        )
    print(f"instruction budgets: {len(counts)} formats x {len(KINDS)}, none above +{tolerance:.0%}")


if __name__ == "__main__":
    main()
