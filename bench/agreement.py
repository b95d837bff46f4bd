"""Does llama.cpp read the files that `aboard import` writes, and predict a text as we do?

    python bench/agreement.py --llama ENV [--only CASE ...] [--markdown]

ENV: a virtual environment with llama-cpp-python. Every tiny random checkpoint of tests/golden, of
every model_type that is imported, becomes an F32 file; both engines score the same English text in
windows of 240 tokens, ours with activations="float32". Exits with 1 where the perplexities differ
by more than 0.5 % or a logit by more than 0.5 % of the largest, tokens differ, or llama.cpp can't
load the file, unless EXPECTED says so. (A random model's perplexity alone hides a wrong rope.)
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from engines import ROOT, record
from quality import log_softmax, logits_of

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.engine.benchmark import Peer, llama_cpp
from aboard.errors import PeerError
from aboard.evaluate.texts import PROSE
from aboard.models import model_types

sys.path.insert(0, str(ROOT / "tests"))
from artifact.folders import write_folder
from tiny import byte_letters, llama_from_json, llama_weights
from tiny_families import random_weights, tiny_from_json

GOLDEN = ROOT / "tests" / "golden"
WINDOW, CONTEXT = 240, 256  # llama.cpp rounds contexts up to 256
ALLOWED = 5e-3
# What llama.cpp (of llama-cpp-python 0.3.36) does otherwise than transformers, by its sources; and
# the members of the config without which both are to agree.
NO_HEAD = "its gemma2 has no head but the embedding, and refuses the file"
NO_BIASES, NO_WINDOW = "it has no such biases, and refuses the file", "it leaves out the window"
NO_FACTOR = "it reads no attention_factor, and beta_fast and beta_slow in mistral3 and Grok alone"
EXPECTED = {"gemma2_hard_caps": NO_HEAD, "qwen3_biases": NO_BIASES, "smollm3_odd": NO_BIASES}
EXPECTED |= dict.fromkeys(("phi3", "mistral_window", "mistral3_odd"), NO_WINDOW)
EXPECTED |= dict.fromkeys(("llama_yarn", "olmo3"), NO_FACTOR)
LEFT_OUT = {
    NO_WINDOW: ("sliding_window",),
    NO_FACTOR: ("attention_factor", "beta_fast", "beta_slow"),
}


@dataclass
class Row:
    """Of one checkpoint: both perplexities, or why there is none, and how far logits differ."""

    name: str
    model_type: str
    ours: float
    theirs: float = float("nan")
    largest: float = float("nan")
    trouble: str = ""

    @property
    def change(self) -> float:
        """Their perplexity over ours, less 1."""
        return self.theirs / self.ours - 1

    @property
    def agrees(self) -> bool:
        """Whether both are the same within what is allowed."""
        return not self.trouble and max(abs(self.change), self.largest) <= ALLOWED

    @property
    def verdict(self) -> str:
        """What is to be said of it."""
        expected = EXPECTED.get(self.name)
        if self.agrees:
            return "agrees, unexpectedly" if expected else "agrees"
        return expected or self.trouble or "DIFFERS"


def main() -> int:
    """Prints the table and records it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--only", nargs="+", help="names of cases")
    parser.add_argument("--markdown", action="store_true", help="print a table for docs")
    options = parser.parse_args()
    rows = []
    for name, config, weights in checkpoints():
        if options.only is None or name in options.only:
            rows.append(compared(name, config, weights, options.llama))
            print(shown(rows[-1], options.markdown), flush=True)
            if left_out := LEFT_OUT.get(EXPECTED.get(name, "")):
                less = without(config, left_out)
                rows.append(compared(f"{name} without", less, weights, options.llama))
                print(shown(rows[-1], options.markdown), flush=True)
    wrong = [row.name for row in rows if row.agrees == (row.name in EXPECTED)]
    seen = sorted({row.model_type for row in rows if row.agrees})
    print(f"\nagree in {len(seen)} model types: {', '.join(seen)}")
    if wrong:
        print(f"otherwise than expected: {', '.join(wrong)}")
    changes = {row.name: None if row.trouble else row.change for row in rows}
    record("agreement", baseline="llama.cpp", model_types=seen, changes=changes)
    return 1 if wrong else 0


def checkpoints() -> Iterator[tuple[str, dict[str, object], dict[str, np.ndarray]]]:
    """Name, config and weights of each checkpoint whose model_type is imported."""
    for group, file in (("llama", "configs.json"), ("families", "families.json")):
        cases = json.loads((GOLDEN / group / "cases.json").read_text())["cases"]
        for name, config in json.loads((GOLDEN / "import" / file).read_text()).items():
            shape, seed = cases[name]["shape"], cases[name]["seed"]
            if config["model_type"] not in model_types():
                continue
            if group == "llama":
                yield name, config, llama_weights(llama_from_json(shape), seed)
            else:
                yield name, config, random_weights(tiny_from_json(shape), seed)


def without(config: dict[str, object], members: tuple[str, ...]) -> dict[str, object]:
    """The config, these members null in it and in its rope."""
    nulls: dict[str, object] = {name: None for name in config if name in members}
    inner = {
        name: without(value, members) for name, value in config.items() if isinstance(value, dict)
    }
    return {**config, **inner, **nulls}


def compared(
    name: str, config: dict[str, object], weights: dict[str, np.ndarray], llama: str
) -> Row:
    """One checkpoint, imported and scored by both."""
    with tempfile.TemporaryDirectory(prefix="aboard-agreement-") as scratch:
        path = Path(scratch) / "model.gguf"
        # Not by its own name: llama.cpp looks for Phi-3's special tokens in what is called so.
        folder = write_folder(Path(scratch) / "checkpoint", weights, config)
        write_with_a_merge(folder)
        import_checkpoint(folder, path)
        model = aboard.load(path, activations="float32", context=CONTEXT)
        tokens = model.tokenizer.encode(PROSE, add_special=False)
        windows = [tokens[i : i + WINDOW] for i in range(0, len(tokens) - WINDOW, WINDOW)]
        ours = [model.logits(window) for window in windows]
        row = Row(name, str(config["model_type"]), perplexity(ours, windows))
        try:
            with Peer(llama_cpp(llama), path, context=CONTEXT) as peer:
                if peer.ask("tokenize", text=PROSE)["tokens"] != tokens:
                    row.trouble = "its tokens differ"
                logits = logits_of(peer, 1)
                theirs = [logits(window) for window in windows]
        except PeerError as error:
            row.trouble = str(error)
            return row
    row.theirs = perplexity(theirs, windows)
    pairs = zip(ours, theirs, strict=True)
    row.largest = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)
    return row


def write_with_a_merge(folder: Path) -> None:
    """Give the tokenizer of a folder a merge instead of the last byte: llama.cpp wants one."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary, space = tokenizer["model"]["vocab"], byte_letters()[ord(" ")]
    del vocabulary[byte_letters()[255]]
    vocabulary[f"{space}t"] = 255
    tokenizer["model"]["merges"] = [f"{space} t"]
    path.write_text(json.dumps(tokenizer))


def perplexity(logits: list[np.ndarray], windows: list[list[int]]) -> float:
    """Over all tokens of the windows but their first ones."""
    losses = [
        -log_softmax(rows)[np.arange(len(window) - 1), window[1:]]
        for rows, window in zip(logits, windows, strict=True)
    ]
    return float(np.exp(np.concatenate(losses).mean()))


def shown(row: Row, markdown: bool) -> str:
    """A line of the table."""
    cells = (row.name, row.model_type, f"{row.ours:.5g}", f"{row.theirs:.5g}")
    cells += (f"{row.change:+.3%}", f"{row.largest:.0e}", row.verdict)
    if markdown:
        return f"| {' | '.join(cells)} |"
    return "{:22} {:12} {:>11} {:>11} {:>9} {:>6}  {}".format(*cells)


if __name__ == "__main__":
    raise SystemExit(main())
