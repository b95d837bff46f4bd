"""How many tokens a second against llama.cpp on the same file?

    python bench/speed.py MODEL --llama ENV [--aboard ENV] [--threads 1 2] [--rounds 7]

ENV: a virtual environment; llama.cpp's has llama-cpp-python, built for this machine. Each engine
is a warm process; in every round each of them computes once, in an order that turns, and the
ratios are taken within a round. llama.cpp runs with and without flash attention and the faster
of the two, by its median, is the baseline. A prompt is 512 tokens, logits for the last;
decoding is 128 given tokens after a prompt of 8. The bound of decoding is the weights and the KV
cache that a token needs over the bandwidth that bandwidth.c measures before and after.
"""

import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from engines import Engine, python_of, record

N_PROMPT, N_DECODE, N_BEFORE = 512, 128, 8
QUANTITIES = ("prompt", "decode")


def bandwidth(threads: int) -> float:
    """Bytes a second that this many threads read from memory."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bandwidth"
        source = Path(__file__).with_name("bandwidth.c")
        compiler = [os.environ.get("CC", "cc"), "-O3", "-march=native", "-pthread"]
        subprocess.run([*compiler, str(source), "-o", str(program)], check=True)
        command = [str(program), str(threads)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def bytes_per_token(model: Path) -> float:
    """Bytes that decoding one token must read, at the mean depth of the measurement."""
    from aboard.checkpoint.gguf import open_gguf
    from aboard.engine.info import describe

    with open_gguf(model) as file:
        weights = sum(tensor.size_bytes for tensor in file.tensors.values())
        if "output.weight" in file.tensors:  # else the embedding is the head, and read whole
            weights -= file.tensors["token_embd.weight"].size_bytes
    return weights + (N_BEFORE + N_DECODE / 2) * (describe(model).kv_bytes_per_token or 0)


def measure(engine: Engine, quantity: str, tokens: list[int]) -> float:
    """Tokens a second, once."""
    time.sleep(0.05)  # the other engine's threads may still be spinning
    if quantity == "prompt":
        return N_PROMPT / engine.ask("prompt", tokens=tokens)["seconds"]
    request = {"prompt": tokens[:N_BEFORE], "tokens": tokens[-N_DECODE:]}
    return N_DECODE / engine.ask("decode", **request)["seconds"]


def interleave(engines: dict[str, Engine], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Tokens a second by quantity and engine, one figure a round after one to warm up."""
    generator = random.Random(0)
    tokens = [generator.randrange(100, 20_000) for _ in range(N_PROMPT)]
    found = {quantity: {name: [] for name in engines} for quantity in QUANTITIES}
    names = list(engines)
    for turn in range(rounds + 1):
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for quantity in QUANTITIES:
            for name in order:
                speed = measure(engines[name], quantity, tokens)
                if turn > 0:
                    found[quantity][name].append(speed)
    return found


def summary(speeds: dict[str, list[float]]) -> dict[str, object]:
    """Medians of each engine; ratio of ours to the faster llama.cpp, paired by round."""
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    baseline = max((name for name in medians if name != "aboard"), key=medians.__getitem__)
    facts: dict[str, object] = {"tokens_per_s": medians, "baseline": baseline}
    if "aboard" in speeds:
        pairs = zip(speeds["aboard"], speeds[baseline], strict=True)
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        facts["ratio"] = statistics.median(ratios)
        facts["ratio_range"] = [ratios[0], ratios[-1]]
    return facts


def compare(options: argparse.Namespace, threads: int) -> dict[str, object]:
    """All figures for one number of threads."""
    shape = {"threads": threads, "context": 1024}
    llama, ours = python_of(options.llama), python_of(options.aboard)
    before = bandwidth(threads)
    with ExitStack() as stack:
        engines = {
            f"llama.cpp, flash {flash}": stack.enter_context(
                Engine(llama, "llama", options.model, flash=flash, **shape)
            )
            for flash in ("on", "off")
        }
        if not options.only_llama:
            engines["aboard"] = stack.enter_context(Engine(ours, "aboard", options.model, **shape))
        versions = {name: engine.about["version"] for name, engine in engines.items()}
        found = interleave(engines, options.rounds)
    bytes_per_s = max(before, bandwidth(threads))
    facts: dict[str, object] = {"threads": threads, "rounds": options.rounds, "versions": versions}
    facts["memory_bytes_per_s"] = bytes_per_s
    for quantity, speeds in found.items():
        facts[quantity] = summary(speeds)
    bound = bytes_per_s / bytes_per_token(options.model)
    decode = {name: statistics.median(values) for name, values in found["decode"].items()}
    facts["decode_bound_tokens_per_s"] = bound
    facts["decode_bound_fraction"] = {name: speed / bound for name, speed in decode.items()}
    return facts


def show(facts: dict[str, object]) -> None:
    """One table for one number of threads."""
    print(f"{facts['threads']} threads, {facts['memory_bytes_per_s'] / 1e9:.1f} GB/s of memory")
    for quantity in QUANTITIES:
        figures = facts[quantity]
        for name, speed in figures["tokens_per_s"].items():
            print(f"  {quantity:7} {name:22} {speed:9.1f} tokens/s", end="")
            share = facts["decode_bound_fraction"][name]
            print(f"  {share:.0%} of the bound" if quantity == "decode" else "")
        if "ratio" in figures:
            low, high = figures["ratio_range"]
            print(f"  {quantity:7} ratio {figures['ratio']:.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    """Measures, prints and records one line for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--aboard", help="environment of aboard (this one)")
    parser.add_argument("--only-llama", action="store_true", help="leave aboard out")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    load_before = os.getloadavg()[0]  # a busy machine shows here
    for threads in options.threads:
        facts = compare(options, threads)
        show(facts)
        record("speed", model=options.model.name, load_before=load_before, **facts)


if __name__ == "__main__":
    main()
