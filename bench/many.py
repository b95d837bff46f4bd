"""What do many answers at once gain, and how long do they wait while a long prompt comes in?

    python bench/many.py MODEL [--threads 2] [--rounds 3] [--together 2 4 8 16 32]
                               [--slices 16 32 64 128] [--record]

Together: tokens a second of N sequences in one scheduler, against one session alone; both decode
64 tokens after a prompt of 8, in turns, and the ratios are taken within a round. Waiting: 8
sequences decode while a prompt of 2,048 tokens is submitted; the longest gap between two tokens of
one of them, the time until the prompt's first token, for each size of slice. The prefix cache is
off.
"""

import argparse
import itertools
import os
import statistics
import time
from pathlib import Path

from engines import record

import aboard
from aboard.engine import Model, Sampling

N_BEFORE, N_DECODE, N_LONG, N_WAITING = 8, 64, 2048, 8


def prompt(model: Model, n_tokens: int, what: int) -> list[int]:
    """Tokens spread over the vocabulary; the speed doesn't depend on which."""
    return [(i * 7919 + what * 104_729 + 1) % model.config.n_vocabulary for i in range(n_tokens)]


def endless(model: Model) -> Sampling:
    """Greedy, but the model can't end its answer."""
    return Sampling(logit_bias={token: float("-inf") for token in model.tokenizer.stop_ids})


def alone(model: Model) -> float:
    """Tokens a second of one session."""
    options = {"sampling": endless(model), "max_tokens": N_DECODE, "logprobs": False}
    with model.session() as session:
        for _ in session.generate(prompt(model, N_BEFORE, 0), **options):
            pass
        return session.timing.decode_tokens_per_s or 0.0


def together(model: Model, n_sequences: int) -> float:
    """Tokens a second of all sequences, while all of them decode."""
    options = {"sampling": endless(model), "max_tokens": N_DECODE}
    with model.batch() as batch:
        requests = [batch.submit(prompt(model, N_BEFORE, i), **options) for i in range(n_sequences)]
        for request in requests:
            for _ in request:
                pass
    return sum(request.timing.decode_tokens_per_s or 0.0 for request in requests)


def waiting(model: Model, prompt_slice: int) -> dict[str, float]:
    """Gaps between two tokens of an answer, seconds, before and while a long prompt comes in."""
    options = {"sampling": endless(model)}
    with model.batch(prompt_slice=prompt_slice) as batch:
        others = [batch.submit(prompt(model, N_BEFORE, i), **options) for i in range(N_WAITING)]
        watched = others[-1]
        for _ in range(8):
            next(watched)
        before = gaps(watched, 16)
        long = batch.submit(prompt(model, N_LONG, 99), max_tokens=1, sampling=endless(model))
        began = last = time.perf_counter()
        during = []
        while long.finish_reason is None:
            next(watched)
            now = time.perf_counter()
            during.append(now - last)
            last = now
        return {
            "slice": prompt_slice,
            "gap_before_s": statistics.median(before),
            "longest_gap_s": max(during),
            "median_gap_s": statistics.median(during),
            "long_prompt_s": last - began,
        }


def gaps(request: aboard.engine.Request, n_tokens: int) -> list[float]:
    """Seconds between tokens."""
    times = [time.perf_counter()]
    for _ in range(n_tokens):
        next(request)
        times.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(times)]


def main() -> None:
    """Measures and prints; records one line if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--together", type=int, nargs="*", default=[2, 4, 8, 16, 32])
    parser.add_argument("--slices", type=int, nargs="*", default=[16, 32, 64, 128])
    parser.add_argument("--record", action="store_true", help="add a line to results.jsonl")
    options = parser.parse_args()
    model = aboard.load(options.model, threads=options.threads, prefix_cache_bytes=0)
    together(model, 2)  # to warm up
    found: dict[int, list[tuple[float, float]]] = {n: [] for n in options.together}
    for _ in range(options.rounds):
        for n, pairs in found.items():
            pairs.append((alone(model), together(model, n)))
    facts = []
    for n, pairs in found.items():
        ratios = sorted(many / one for one, many in pairs)
        speed = statistics.median(many for _, many in pairs)
        facts.append(
            {
                "sequences": n,
                "tokens_per_s": speed,
                "ratio": statistics.median(ratios),
                "ratio_range": [ratios[0], ratios[-1]],
            }
        )
        print(f"{n:3} together {speed:8.1f} tokens/s, {statistics.median(ratios):5.2f} x one alone")
    waits = [waiting(model, size) for size in options.slices]
    for each in waits:
        print(
            f"slice {each['slice']:4}: gap {each['gap_before_s'] * 1e3:6.1f} ms before, longest "
            f"{each['longest_gap_s'] * 1e3:6.1f} ms, the prompt took {each['long_prompt_s']:.2f} s"
        )
    if options.record:
        one = statistics.median(one for pairs in found.values() for one, _ in pairs)
        record(
            "many",
            model=options.model.name,
            threads=model.threads,
            rounds=options.rounds,
            alone_tokens_per_s=one,
            together=facts,
            waiting=waits,
        )


if __name__ == "__main__":
    main()
