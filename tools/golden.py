"""Writes tests/golden/llama and families: what transformers says of tiny random models, in float32.

    python tools/golden.py            # write the files anew
    python tools/golden.py --check    # derive all again; exit 1 where a figure is off by 1e-4

Needs tools/oracle_requirements.txt. The models are not stored: tests/tiny.py and tiny_families.py
make them from a seed, and their hash is kept so that a change of them is not taken for a change of
the engine. Float32 weights go to transformers as they are; quantised ones are decoded by the
`gguf` package.
"""

import argparse
import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "tests"))

from golden_case import Case  # noqa: E402
from golden_families import family_model  # noqa: E402
from golden_family_cases import FAMILY_CASES  # noqa: E402
from golden_model import oracle_model  # noqa: E402

from tiny import FORMATS, Llama, RopeScaling, llama_weights, tiny_llama  # noqa: E402
from tiny_blocks import Random  # noqa: E402
from tiny_families import random_weights, tiny_model  # noqa: E402

TOLERANCE = 1e-4  # of the largest logit; other builds of torch sum in another order
N_GREEDY = 8
# How far the winner of each greedy step leads, as a part of the largest logit: twice the error
# that the engine is allowed, so that a right engine cannot choose otherwise.
MARGIN = 4e-2


CASES = {
    "llama2": Case(1, Llama(kv_heads=4, ffn=172)),
    "grouped_queries": Case(2, Llama(layers=3, heads=8, kv_heads=2)),
    "one_kv_head": Case(3, Llama(heads=3, kv_heads=1, width=96, ffn=256)),
    "wide_heads": Case(4, Llama(head_dim=24)),
    "odd_rows": Case(5, Llama(width=72, heads=3, kv_heads=1, ffn=100, norm_epsilon=0.1)),
    "tied": Case(6, Llama(tied=True, rope_base=100_000.0)),
    "rope_llama3": Case(
        7, Llama(rope_base=500_000.0, rope_scaling=RopeScaling("llama3", factor=8.0))
    ),
    "rope_linear": Case(8, Llama(rope_scaling=RopeScaling("linear", factor=4.0))),
    "long": Case(9, Llama(layers=2), n_tokens=600, rows=[0, 31, 255, 256, 511, 512, 598, 599]),
}
# Rows of 256, which every format can hold; few logits, for there are many formats.
CASES |= {
    fmt.lower(): Case(seed, Llama(width=256, ffn=512), fmt, n_tokens=16, rows=[1, 7, 15])
    for seed, fmt in enumerate(FORMATS, start=200)
    if fmt != "F32"
}
SETS = {"llama": CASES, "families": FAMILY_CASES}


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    for name, cases in SETS.items():
        if arguments.check:
            differences = list(_differences(GOLDEN / name, cases))
            print("\n".join(differences) or f"golden: {len(cases)} models agree with transformers")
            if differences:
                return 1
        else:
            _write(GOLDEN / name, cases)
    return 0


def _write(folder: Path, cases: dict[str, Case]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for name, case in cases.items():
        description, logits = derive(case)
        np.save(folder / f"{name}.npy", logits)
        described[name] = description
    text = json.dumps({"made_with": _versions(), "cases": described}, indent=1)
    (folder / "cases.json").write_text(_short_lists(text) + "\n")
    print(f"golden: wrote {len(cases)} models to {folder.relative_to(ROOT)}")


def derive(case: Case) -> tuple[dict[str, object], np.ndarray]:
    """The description of a case, and its logits (rows, V) float32."""
    with tempfile.TemporaryDirectory() as folder:
        path, shape = Path(folder) / "tiny.gguf", case.shape
        make = tiny_llama if isinstance(shape, Llama) else tiny_model
        make(path, shape, fmt=case.fmt, seed=case.seed)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if not isinstance(shape, Llama):
            model = family_model(shape, random_weights(shape, case.seed))
        elif case.fmt == "F32":
            model = transformers_model(shape, llama_weights(shape, case.seed))
        else:
            model = oracle_model(path)
    tokens = _tokens(case.n_tokens, seed=case.seed)
    logits = _logits(model, tokens)[slice(None) if case.rows is None else case.rows]
    prompt, greedy = _clear_greedy(model, case.n_prompt)
    described: dict[str, object] = {
        "seed": case.seed,
        "fmt": case.fmt,
        "shape": _plain(asdict(case.shape)),
        "file_sha256": digest,
        "tokens": tokens,
        "rows": case.rows,
        "prompt": prompt,
        "greedy": greedy,
    }
    if case.context is not None:
        described["context"] = case.context
    if case.n_forced:
        forced = _tokens(case.n_forced, seed=5000 + case.seed)
        described |= {"forced": forced, "choices": _logits(model, forced).argmax(axis=1).tolist()}
    return described, logits


def transformers_model(shape: Llama, weights: dict[str, np.ndarray]) -> LlamaForCausalLM:
    """A float32 model of this shape that holds exactly these weights."""
    config = LlamaConfig(**_config(shape), dtype="float32", attn_implementation="eager")
    model = LlamaForCausalLM(config).eval()
    state = {name: torch.from_numpy(values) for name, values in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - ({"lm_head.weight"} if shape.tied else set()):
        raise SystemExit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


def _config(shape: Llama) -> dict[str, object]:
    """The shape in the words of `transformers.LlamaConfig`."""
    rope: dict[str, object] = {"rope_type": "default", "rope_theta": shape.rope_base}
    scaling = shape.rope_scaling
    if scaling is not None:
        rope |= {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling is not None and scaling.kind == "llama3":
        rope |= {
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_context,
        }
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.norm_epsilon,
        "tie_word_embeddings": shape.tied,
        "rope_parameters": rope,
    }


def _plain(shape: dict[str, Any]) -> dict[str, Any]:
    """Arrays as lists: what JSON can hold."""
    own = shape.get("own", {})
    lists = {key: value.tolist() for key, value in own.items() if isinstance(value, np.ndarray)}
    return {**shape, "own": {**own, **lists}} if own else shape


def _logits(model: PreTrainedModel, tokens: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].numpy()


def _tokens(count: int, seed: int) -> list[int]:
    """Random bytes, which are token ids of the tiny tokenizer."""
    return Random(1000 + seed).bytes(count).tolist()


def _clear_greedy(model: PreTrainedModel, n_prompt: int) -> tuple[list[int], list[int]]:
    """A prompt and its greedy continuation, no step of which is a near tie."""
    for seed in range(2000):
        prompt = _tokens(n_prompt, seed=10_000 + seed)
        greedy: list[int] = []
        while len(greedy) < N_GREEDY:
            last = _logits(model, prompt + greedy)[-1]
            second, first = np.sort(last)[-2:]
            if first - second < MARGIN * np.abs(last).max():
                break
            greedy.append(int(last.argmax()))
        else:
            return prompt, greedy
    raise SystemExit("no prompt among 2000 has a continuation without near ties")


def _differences(folder: Path, cases: dict[str, Case]) -> Iterator[str]:
    """What the files say otherwise than transformers does now, one line each."""
    stored = json.loads((folder / "cases.json").read_text())["cases"]
    if set(stored) != set(cases):
        yield f"golden: cases are {sorted(stored)}, expected {sorted(cases)}"
    for name in set(cases) & set(stored):
        description, logits = derive(cases[name])
        for key, value in json.loads(json.dumps(description)).items():
            if stored[name][key] != value:
                yield f"golden: {name}: {key} is {stored[name][key]}, expected {value}"
        kept = np.load(folder / f"{name}.npy")
        if kept.shape != logits.shape:
            yield f"golden: {name}: logits are {kept.shape}, expected {logits.shape}"
            continue
        error = float(np.abs(kept - logits).max() / np.abs(logits).max())
        if not error <= TOLERANCE:
            yield f"golden: {name}: logits are off by {error:.1e}, at most {TOLERANCE:.0e} allowed"


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "gguf", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _short_lists(text: str) -> str:
    """Lists of numbers on one line each."""
    lines: list[str] = []
    for line in text.splitlines():
        inside = bool(lines) and lines[-1].count("[") > lines[-1].count("]")
        if inside:
            lines[-1] += line.strip() if line.strip()[0] == "]" else line.strip() + " "
        else:
            lines.append(line)
    return "\n".join(line.replace(" ]", "]") for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
