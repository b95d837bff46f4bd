"""What bench/plan.py starts as a process of its own, with its own peak of memory.

    plan_child.py MODEL CONTEXT USERS [DEVICE]

Loads the model, fills the contexts of all users but for what it decodes, decodes, and prints what
was measured. DEVICE: a file that `aboard device` wrote; without it the machine is measured after
that, for the buffer of that measurement is memory, too. Then prints what is predicted for it.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `aboard` does
import aboard
import aboard.cli.app
import aboard.cli.conversation
from aboard.engine.benchmark import OwnEngine, Work
from aboard.engine.benchmark.machine import peak_rss_bytes
from aboard.planning import measure_device, plan

N_DECODED, N_PROMPT, ROUNDS = 16, 256, 3


def main() -> None:
    """Measures, predicts, prints."""
    path, context, users = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = aboard.load(path, context=context)
    threads = model.threads
    n_prompt = min(N_PROMPT, context)
    before = measure = None
    kind = "together" if users > 1 else "decode"
    decoding = Work(
        kind=kind, threads=threads, context=context - N_DECODED, n_tokens=N_DECODED, sequences=users
    )
    reading = Work(kind="prompt", threads=threads, context=0, n_tokens=n_prompt)
    decoded, read = [], []
    with OwnEngine(model) as own:
        own.seconds(reading)
        own.seconds(decoding)
        peak = peak_rss_bytes()
        before = measure_device()
        for _ in range(ROUNDS):
            decoded.append(users * N_DECODED / own.seconds(decoding))
        for _ in range(ROUNDS if users == 1 else 0):
            began = time.perf_counter()
            read.append(n_prompt / own.seconds(reading))
            if time.perf_counter() - began > 10.0:
                break
        measure = measure_device()
    device = max(before, measure, key=lambda each: each.ceilings[-1].bytes_per_s)
    found = plan(Path(path), device, context=context, users=users, prompt=n_prompt)
    own_types = found.candidates[0]
    speeds = own_types.speeds
    measured = {"peak_bytes": peak, "decode_tokens_per_s": statistics.median(decoded)}
    predicted = {
        "peak_bytes": own_types.peak_bytes,
        "decode_tokens_per_s": speeds.decode_tokens_per_s.value,
    }
    if read:
        measured["prompt_tokens_per_s"] = statistics.median(read)
        predicted["prompt_tokens_per_s"] = speeds.prompt_tokens_per_s.value
    bounds = {each.threads: each.bytes_per_s for each in device.ceilings}
    rounds = {"decode": decoded, "prompt": read}
    found_all = {"measured": measured, "predicted": predicted, "bytes_per_s": bounds}
    print(json.dumps({**found_all, "rounds": rounds}))


if __name__ == "__main__":
    main()
