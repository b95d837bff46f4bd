"""How much memory, and time, does quantising a checkpoint take?

    python bench/quantize_memory.py CHECKPOINT [options of `aboard quantize`]
    python bench/quantize_memory.py llama-8b [--layers N] [--folder DIR] [options ...]

CHECKPOINT: a GGUF file or a folder; or a shape of bench/model_files.py, of which a file in BF16
with random weights is written (16 GB of disk for the 8B one) and removed afterwards. With --layers
it has so many: they take the same memory, for one is held at a time. The rest of the line goes to
`aboard quantize`:

    python bench/quantize_memory.py llama-8b --format q4_k --method importance --tokens 2048
    python bench/quantize_memory.py llama-8b --layers 6 --bits 4.5 --tokens 4096

Figures: the peak of the process's resident memory, its wall clock and CPU time.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines import record

MIB = 1 << 20


def main() -> None:
    """Quantises, prints what it took and records a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a file, a folder, or a shape")
    parser.add_argument("--layers", type=int, help="of a shape; by default all that it has")
    parser.add_argument("--folder", type=Path, help="where files are written, and room is")
    options, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        checkpoint = checkpoint_of(options, Path(folder))
        facts = measured(checkpoint, Path(folder) / "out.gguf", given)
    name = Path(options.checkpoint).name
    print(
        f"{name} {' '.join(given)}: peak memory {facts['peak_rss_bytes'] / MIB:.0f} MiB, "
        f"{facts['wall_s']:.0f} s, {facts['cpu_s']:.0f} s of CPU"
    )
    record("quantize_memory", model=name, layers=options.layers, options=given, **facts)


def checkpoint_of(options: argparse.Namespace, folder: Path) -> Path:
    """The checkpoint that is named, or one of the shape, written to `folder`."""
    named = Path(options.checkpoint)
    if named.exists():
        return named
    path = folder / "checkpoint.gguf"
    arguments = (path, options.checkpoint, options.layers)
    # by a process of its own: a child's peak is its parent's at least
    writer = multiprocessing.get_context("spawn").Process(target=write, args=arguments)
    writer.start()
    writer.join()
    if writer.exitcode:
        raise SystemExit(f"bench: {named}: no such file, and no shape could be written")
    return path


def write(path: Path, name: str, layers: int | None) -> None:
    """A file of a shape in BF16."""
    from gguf import GGMLQuantizationType as Type
    from model_files import SHAPES, write_random

    shape = SHAPES[name]
    write_random(path, replace(shape, layers=layers or shape.layers), Type.BF16, name)


def measured(checkpoint: Path, out: Path, given: list[str]) -> dict[str, Any]:
    """What `aboard quantize` took, and what it made."""
    program = Path(sys.executable).with_name("aboard")
    command = [str(program), "quantize", str(checkpoint), "-o", str(out), "--json", *given]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: {' '.join(command)} ended with {process.returncode}")
    made = json.loads(output)
    told = ("size_bytes", "bits_per_weight", "predicted_kl", "measured_kl", "calibration_sources")
    return {
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "wall_s": time.monotonic() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    } | {name: made[name] for name in told}


if __name__ == "__main__":
    main()
