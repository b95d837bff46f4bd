"""What bench/plan.py starts as a process of its own, with its own peak of memory.

    plan_child.py MODEL CONTEXT USERS

Loads the model, fills the contexts of all users but for what it decodes, and decodes: that is its
peak. Then the machine is measured, for that takes a buffer, and the work done again and again, and
the machine measured once more; the better of the two is the device that is planned for.
"""

import json
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `aboard` does
import aboard
import aboard.cli.app
import aboard.cli.conversation
from aboard.engine.benchmark import OwnEngine, Work
from aboard.engine.benchmark.machine import peak_rss_bytes
from aboard.planning import Device, measure_device, plan

N_DECODED, N_PROMPT, ROUNDS = 16, 256, 3


@contextmanager
def measured_around() -> Iterator[list[Device]]:
    """The better of two measurements of this machine, before and after, once it is left."""
    found = [measure_device()]
    yield found
    found.append(measure_device())
    found.sort(key=lambda device: -device.ceilings[-1].bytes_per_s)


def main() -> None:
    """Measures, predicts, prints."""
    path, context, users = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    model = aboard.load(path, context=context)
    common = {"threads": model.threads, "sequences": users}
    kind = "together" if users > 1 else "decode"
    decoding = Work(kind=kind, context=context - N_DECODED, n_tokens=N_DECODED, **common)
    n_prompt = min(N_PROMPT, context)
    reading = Work(kind="prompt", threads=model.threads, context=0, n_tokens=n_prompt)
    with OwnEngine(model) as own:
        for work in (reading, decoding):
            own.seconds(work)
        peak_bytes = peak_rss_bytes()
        with measured_around() as devices:
            decoded = [users * N_DECODED / own.seconds(decoding) for _ in range(ROUNDS)]
            read = [n_prompt / own.seconds(reading) for _ in range(ROUNDS)]
    device = devices[0]
    found = plan(path, device, context=context, users=users, prompt=n_prompt).candidates[0]
    predicted = {
        "peak_bytes": found.peak_bytes,
        "decode_tokens_per_s": found.speeds.decode_tokens_per_s.value,
        "prompt_tokens_per_s": found.speeds.prompt_tokens_per_s.value,
    }
    measured = {
        "peak_bytes": peak_bytes,
        "decode_tokens_per_s": statistics.median(decoded),
        "prompt_tokens_per_s": statistics.median(read),
    }
    rounds = {"decode_tokens_per_s": decoded, "prompt_tokens_per_s": read}
    ceilings = {each.threads: each.bytes_per_s for each in device.ceilings}
    told = {"measured": measured, "predicted": predicted, "rounds": rounds}
    print(json.dumps({**told, "bytes_per_s": ceilings}))


if __name__ == "__main__":
    main()
