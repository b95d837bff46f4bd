"""How fast does decoding stay while other programs load the machine?

    python bench/busy.py MODEL --llama ENV [--threads 2] [--loops 2] [--rounds 5]

Baseline: llama.cpp under the same load. In every round both engines decode with all threads on a
quiet machine, then beside processes that do nothing but loop. Adds a line to results.jsonl.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engines import record

import aboard
from aboard.engine.benchmark import OwnEngine, Peer, Spread, Work, llama_cpp
from aboard.engine.benchmark.peer import Variant
from aboard.engine.device import usable_cores

N_TOKENS = 16  # an engine that collapses needs seconds for each
# Ends by itself if this program is killed.
LOOP = f"import os\nprint('started', flush=True)\nwhile os.getppid() == {os.getpid()}: pass"


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many foreign processes that loop."""
    command = [sys.executable, "-c", LOOP]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()  # it loops from here on
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.communicate()


def main() -> None:
    """Measures, prints and records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--loops", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    work = Work(kind="decode", threads=options.threads, context=0, n_tokens=N_TOKENS)
    seconds: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as held:
        own = held.enter_context(OwnEngine(aboard.load(options.model, threads=options.threads)))
        spec = llama_cpp(options.llama)
        peer = held.enter_context(Peer(spec, options.model, context=N_TOKENS))
        engines: dict[str, OwnEngine | Variant] = {"aboard": own}
        engines |= {f"llama.cpp, {each}": Variant(peer, each) for each in peer.variants}
        for turn in range(options.rounds + 1):
            for loops in (0, options.loops):
                with busy_loops(loops):
                    for name in sorted(engines, reverse=turn % 2 == 1):
                        time.sleep(0.05)
                        took = engines[name].seconds(work)
                        if turn:
                            seconds.setdefault((name, loops), []).append(took)
    rates = {key: [N_TOKENS / each for each in values] for key, values in seconds.items()}
    found: dict[str, object] = {}
    for name in engines:
        quiet, busy = rates[name, 0], rates[name, options.loops]
        kept = Spread.of([slow / fast for slow, fast in zip(busy, quiet, strict=True)])
        found[name] = {
            "quiet_tokens_per_s": dataclasses.asdict(Spread.of(quiet)),
            "busy_tokens_per_s": dataclasses.asdict(Spread.of(busy)),
            "kept": dataclasses.asdict(kept),
        }
        print(
            f"{name:10} {Spread.of(quiet).median:.1f} tokens/s alone, "
            f"{Spread.of(busy).median:.1f} beside {options.loops} busy loops: "
            f"{kept.median:.0%} ({kept.lowest:.0%} to {kept.highest:.0%})"
        )
    facts = {"model": options.model.name, "threads": options.threads, "loops": options.loops}
    record("busy", baseline="llama.cpp", rounds=options.rounds, **facts, **found)


if __name__ == "__main__":
    main()
