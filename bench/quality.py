"""How far are the answers from those of float32, and how far are llama.cpp's on the same file?

    python bench/quality.py MODEL TEXT --oracle ENV --llama ENV [--tokens 4096]
                             [--kv int8] [--activations float32]

ENV: a virtual environment; the oracle's is that of tools/oracle_requirements.txt, llama.cpp's has
llama-cpp-python. The oracle is transformers in float32 on the weights that the `gguf` package
decodes. The text is cut into chunks of 512 tokens, each scored on its own at every position.
Figures: mean KL(oracle || engine) in nats a token, the share of positions with the same top
token, and perplexity, all of the predictions of tokens 1 to 511 of each chunk, by the very code of
`aboard eval`. The oracle's logits are kept in --cache.
"""

import argparse
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from engines import record

import aboard
from aboard.engine.benchmark import Peer, llama_cpp
from aboard.engine.benchmark.peer import python_of
from aboard.engine.row_scores import pair_scores
from aboard.evaluate.text_scores import SAME_TOP, WindowScores, sum_up

CHUNK = 512
Logits = Callable[[list[int]], np.ndarray]


def scored(oracle: np.ndarray, logits: np.ndarray, tokens: list[int]) -> WindowScores:
    """What the logits of one chunk say of its tokens but the first."""
    following = np.array(tokens[1:], np.int32)
    rows = (np.ascontiguousarray(each[: following.size], np.float32) for each in (oracle, logits))
    pair = pair_scores(*rows, following)
    same = (pair.reference.top == pair.model.top) * SAME_TOP
    return WindowScores(
        n_bytes=0,
        losses=pair.model.losses,
        reference_losses=pair.reference.losses,
        divergence=pair.divergence,
        marks=same.astype(np.uint8),
    )


def oracle_logits(options: argparse.Namespace, tokens: list[int]) -> np.ndarray:
    """(N, V) float32 from transformers; made once for a file and a text."""
    key = hashlib.sha256(options.model.read_bytes() + json.dumps(tokens).encode()).hexdigest()[:16]
    options.cache.mkdir(parents=True, exist_ok=True)
    path = options.cache / f"oracle-{key}.npy"
    if not path.exists():
        ids = path.with_suffix(".json")
        ids.write_text(json.dumps(tokens))
        script = str(Path(__file__).with_name("oracle.py"))
        command = [str(python_of(options.oracle)), script, str(options.model), str(ids), str(path)]
        subprocess.run([*command, "--chunk", str(CHUNK)], check=True)
    return np.load(path, mmap_mode="r")


def logits_of(peer: Peer, threads: int) -> Logits:
    """Asks another engine for (T, V) float32 logits."""

    def logits(tokens: list[int]) -> np.ndarray:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "logits"
            about = peer.ask("logits", tokens=tokens, threads=threads, out=str(out))
            return np.fromfile(out, np.float32).reshape(-1, about["n_vocabulary"])

    return logits


def measure(logits: Logits, oracle: np.ndarray, tokens: list[int]) -> dict[str, object]:
    """The figures of one engine over all chunks."""
    parts = []
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        parts.append(scored(oracle[start : start + CHUNK], logits(chunk), chunk))
    found = sum_up(parts, name="text", sha256="", builtin=False, window=CHUNK)
    compared = found.comparison
    assert compared is not None
    return {
        "mean_kl": compared.kl_mean,
        "mean_kl_ci95": compared.kl_ci95,
        "p99_kl": compared.kl_p99,
        "same_top": compared.same_top_fraction,
        "perplexity": found.perplexity,
        "oracle_perplexity": compared.reference_perplexity,
    }


def main() -> None:
    """Measures both engines, prints a table and records a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--oracle", required=True, help="environment of the oracle")
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--tokens", type=int, default=8 * CHUNK)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kv", choices=("f16", "int8"), default="f16", help="aboard's KV cache")
    parser.add_argument("--activations", choices=("int8", "float32"), default="int8")
    default_cache = Path(tempfile.gettempdir()) / "aboard-bench"
    parser.add_argument("--cache", type=Path, default=default_cache)
    options = parser.parse_args()

    found = {}
    with Peer(llama_cpp(options.llama), options.model, context=CHUNK) as peer:
        tokens = peer.ask("tokenize", text=options.text.read_text())["tokens"]
        tokens = tokens[: options.tokens // CHUNK * CHUNK]
        oracle = oracle_logits(options, tokens)
        found["llama"] = measure(logits_of(peer, options.threads), oracle, tokens)
        found["llama"]["version"] = peer.version
    own = {"kv": options.kv} if options.activations == "int8" else {"activations": "float32"}
    model = aboard.load(options.model, threads=options.threads, context=CHUNK, **own)
    found["aboard"] = measure(model.logits, oracle, tokens)
    found["aboard"]["version"] = aboard.__version__
    for kind, figures in found.items():
        change = figures["perplexity"] / figures["oracle_perplexity"] - 1
        print(
            f"{kind:7} KL {figures['mean_kl']:.5f} {figures['mean_kl_ci95'] or ''}  "
            f"same top {figures['same_top']:.2%}  perplexity {figures['perplexity']:.4f} "
            f"({change:+.2%} of float32's {figures['oracle_perplexity']:.4f})"
        )
    facts: dict[str, object] = {"model": options.model.name, "text": options.text.name}
    facts |= {"n_tokens": len(tokens), "chunk": CHUNK, "kv": options.kv}
    facts |= {"activations": options.activations, **found}
    facts["kl_ratio"] = found["aboard"]["mean_kl"] / found["llama"]["mean_kl"]
    print(f"KL of aboard over llama.cpp: {facts['kl_ratio']:.3f}")
    record("quality", baseline="llama.cpp", oracle="transformers float32", **facts)


if __name__ == "__main__":
    main()
