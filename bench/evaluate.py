"""How fast is `aboard eval` beside llama.cpp, and what do scores of rows cost, natively and not?

    python bench/evaluate.py MODEL TEXT --llama ENV [--windows 4] [--rounds 7] [--threads 2]

ENV: a virtual environment with llama-cpp-python. llama.cpp computes the logits of all tokens of the
same windows (512 tokens, batches of 512), and nothing is made of them, which is less than its
llama-perplexity does; ours are scored. Rounds alternate; the ratio is that of a round's times.
Perplexity is computed from llama.cpp's logits, too, by NumPy, and must agree.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from engines import record

import aboard
from aboard.engine.benchmark import Peer, llama_cpp
from aboard.engine.row_scores import pair_scores, row_scores
from aboard.evaluate.scorers import Scorer
from aboard.evaluate.text_windows import FileText, Window, windows

WINDOW = 512
ROWS = 64


def ours(scorer: Scorer, chosen: list[Window]) -> tuple[float, float]:
    """Seconds, and the mean loss."""
    began = time.perf_counter()
    losses = np.concatenate([scorer.window(each)[0].losses for each in chosen])
    return time.perf_counter() - began, float(losses.mean())


def loss_of_peer(peer: Peer, chosen: list[Window], threads: int) -> float:
    """The mean loss by llama.cpp's logits."""
    losses = []
    for each in chosen:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "logits"
            about = peer.ask("logits", tokens=list(each.ids), threads=threads, out=str(out))
            rows = np.fromfile(out, np.float32).reshape(-1, about["n_vocabulary"])[:-1]
        following = np.array(each.ids[1:])
        losses.append(-log_softmax(rows)[np.arange(following.size), following])
    return float(np.concatenate(losses).mean())


def log_softmax(rows: np.ndarray) -> np.ndarray:
    """(T, V) float64."""
    wide = rows.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def divergence(reference: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """KL divergences by NumPy in float64."""
    p, q = log_softmax(reference), log_softmax(rows)
    return (np.exp(p) * (p - q)).sum(axis=1)


def row_costs(n_vocabulary: int, threads: int, rounds: int) -> dict[str, float]:
    """Microseconds a row: losses and divergences, natively and by NumPy."""
    random = np.random.default_rng(0)
    pair = [(random.standard_normal((ROWS, n_vocabulary)) * 3).astype(np.float32) for _ in "pq"]
    following = random.integers(0, n_vocabulary, ROWS).astype(np.int32)
    with ThreadPoolExecutor(threads) as pool:
        ways = {
            "loss_native": lambda: row_scores(pair[0], following, pool, threads),
            "loss_numpy": lambda: log_softmax(pair[0]),
            "kl_native": lambda: pair_scores(*pair, following, pool, threads),
            "kl_numpy": lambda: divergence(*pair),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                taken[name].append((time.perf_counter() - began) / ROWS * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measures, prints and records a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    model = aboard.load(options.model, threads=options.threads, context=WINDOW)
    every = windows(FileText([options.text]), model.tokenizer, WINDOW)
    chosen = list(islice(every, options.windows))
    n_tokens = sum(len(each.ids) for each in chosen)
    rates: dict[str, list[float]] = {"aboard": [], "llama": []}
    with (
        Peer(llama_cpp(options.llama), options.model, context=WINDOW) as peer,
        Scorer([model]) as own,
    ):
        asked = {"windows": [list(each.ids) for each in chosen], "threads": options.threads}
        their_loss = loss_of_peer(peer, chosen, options.threads)
        for turn in range(options.rounds + 1):
            seconds, loss = ours(own, chosen)
            theirs = peer.ask("windows", **asked)["seconds"]
            if turn:
                rates["aboard"].append(n_tokens / seconds)
                rates["llama"].append(n_tokens / theirs)
        version = peer.version
    ratios = [a / b for a, b in zip(rates["aboard"], rates["llama"], strict=True)]
    costs = row_costs(model.config.n_vocabulary, options.threads, options.rounds)
    agreement = float(np.exp(loss - their_loss))
    for name, each in rates.items():
        print(f"{name:7} {statistics.median(each):7.1f} tokens/s")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"perplexity {np.exp(loss):.4f}, over that of llama.cpp {agreement:.5f}")
    print("  ".join(f"{name} {cost:.0f} us/row" for name, cost in costs.items()))
    record(
        "evaluate",
        baseline=f"llama.cpp {version}",
        model=options.model.name,
        text=options.text.name,
        threads=options.threads,
        n_tokens=n_tokens,
        rounds=options.rounds,
        tokens_per_s={name: statistics.median(each) for name, each in rates.items()},
        ratio=statistics.median(ratios),
        ratio_range=[min(ratios), max(ratios)],
        perplexity_ratio=agreement,
        us_per_row=costs,
    )


if __name__ == "__main__":
    main()
