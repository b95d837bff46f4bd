"""Does prompt lookup make an answer that quotes its prompt faster, and what does it cost elsewhere?

    python bench/speculation.py MODEL [--text FILE] [--threads N] [--rounds 3] [--cost]

The baseline is plain decoding by the same process; both take turns in every round. The tasks: a
text to repeat and to correct and a program to change, which the answer quotes, and two questions
whose answers quote nothing. `--text` replaces the text. The tokens of both ways must be equal, or
the script ends with an error; their hash is printed. Speeds are of decoding, without the prompt.

`--cost` measures passes of 1 to 32 tokens instead: what a guessed token adds to a pass.
"""

import argparse
import hashlib
import json
import statistics
import time
from pathlib import Path

import numpy as np
from engines import record

import aboard

TEXT = """\
The harbour office opens at seven. Ships that arrive before that wait outside the mole, where the \
water is deep enough for all but the largest. The pilot boards them there, and brings them in one \
after the other, in the order in which they came. A ship that carries fruit goes first, for it \
can't wait. The pilot's boat is painted red, so that it is seen from far, and carries a white lamp \
at night. Each ship pays a fee, which depends on its length and on the days it stays. The fee is \
due before the ship leaves. Who doesn't pay is kept until the debt is settled.
"""
PROGRAM = '''\
class Counter:
    """Counts how often each name was seen."""

    def __init__(self):
        self.counts = {}

    def add(self, name):
        if name not in self.counts:
            self.counts[name] = 0
        self.counts[name] += 1

    def total(self):
        return sum(self.counts.values())

    def most_common(self):
        best = None
        for name, count in self.counts.items():
            if best is None or count > self.counts[best]:
                best = name
        return best
'''
PASSES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32)


def tasks(text: str) -> dict[str, str]:
    """What is asked, by name."""
    return {
        "repeat a text": f"Repeat this text word for word:\n\n{text}",
        "correct a text": f"Correct the spelling of this text and repeat it in full:\n\n{text}",
        "change a program": "Add type hints to this program and print it in full:\n\n"
        f"```python\n{PROGRAM}```",
        "tell a story": "Write a short story about a lighthouse keeper.",
        "explain": "Explain how a steam engine works.",
    }


def answer(
    model: aboard.Model, tokens: list[int], n_tokens: int, speculate: str | None
) -> tuple[str, dict[str, float]]:
    """The hash of the answer's tokens, and its figures."""
    with model.session() as session:
        steps = session.generate(tokens, max_tokens=n_tokens, logprobs=False, speculate=speculate)
        ids = np.array([step.token for step in steps], "<i4")
        timing = session.timing
    return hashlib.sha256(ids.tobytes()).hexdigest(), {
        "tokens_per_s": timing.decode_tokens_per_s or 0.0,
        "tokens": timing.generated_tokens,
        "drafted": timing.drafted_tokens,
        "accepted": timing.accepted_tokens,
    }


def compare(model: aboard.Model, text: str, n_tokens: int, rounds: int) -> dict[str, object]:
    """Every task both ways, in turns; prints a line for each."""
    figures: dict[str, object] = {}
    for name, question in tasks(text).items():
        tokens = model.chat_tokens([{"role": "user", "content": question}])
        ratios, speeds = [], []
        for _ in range(rounds):
            plain_hash, plain = answer(model, tokens, n_tokens, None)
            guessed_hash, guessed = answer(model, tokens, n_tokens, "prompt")
            if plain_hash != guessed_hash:
                raise SystemExit(f"bench: {name}: the tokens differ")
            ratios.append(guessed["tokens_per_s"] / plain["tokens_per_s"])
            speeds.append(guessed["tokens_per_s"])
        print(
            f"{name:17} {statistics.median(ratios):5.2f} x ({min(ratios):.2f} to "
            f"{max(ratios):.2f})  {statistics.median(speeds):7.1f} tokens/s  "
            f"{guessed['accepted']:3} of {guessed['drafted']:3} guesses right, "
            f"{guessed['tokens']:3} tokens, equal: {plain_hash[:16]}"
        )
        figures[name] = {
            "ratio": statistics.median(ratios),
            "range": [min(ratios), max(ratios)],
            "tokens_sha256": plain_hash,
            **guessed,
        }
    return figures


def pass_costs(model: aboard.Model, context: int, rounds: int) -> dict[int, float]:
    """Passes of several tokens, all logits wanted, as multiples of a pass of one; printed."""
    random = np.random.default_rng(0)
    seconds: dict[int, list[float]] = {n: [] for n in PASSES}
    with model.session() as session:
        session.prefill(random.integers(0, model.config.n_vocabulary, context))
        for _ in range(rounds + 1):
            for n in PASSES:
                ids = random.integers(0, model.config.n_vocabulary, n).tolist()
                began = time.perf_counter()
                session.decode(ids[0], draft=ids[1:])
                seconds[n].append(time.perf_counter() - began)
                session.rewind(context)
    alone = statistics.median(seconds[1][1:])
    costs = {n: statistics.median(each[1:]) / alone for n, each in seconds.items()}
    print(f"a pass of one token takes {alone * 1000:.2f} ms")
    for n, cost in costs.items():
        added = f", {(cost - 1) / (n - 1):.2f} for each token more" if n > 1 else ""
        print(f"{n:3} tokens {cost:6.2f} x{added}")
    return costs


def main() -> None:
    """Measures, prints and records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", type=Path, help="instead of the script's own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=200, help="of an answer, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--context", type=int, default=256, help="tokens before, for --cost")
    parser.add_argument("--cost", action="store_true", help="measure passes of several tokens")
    options = parser.parse_args()
    model = aboard.load(options.model, threads=options.threads)
    if options.cost:
        figures: object = pass_costs(model, options.context, options.rounds)
    else:
        text = TEXT if options.text is None else options.text.read_text("utf-8")
        figures = compare(model, text, options.tokens, options.rounds)
    record(
        "speculation_cost" if options.cost else "speculation",
        model=options.model.name,
        threads=options.threads,
        rounds=options.rounds,
        **json.loads(json.dumps({"figures": figures})),
    )


if __name__ == "__main__":
    main()
