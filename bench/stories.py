"""Does a real model tell the story that its authors published?

    python bench/stories.py FOLDER [--llama ENV]

FOLDER holds stories260K in the layout of transformers (config.json, model.safetensors) and
golden_greedy.json: 200 greedy ids in float32. The weights are written as an F32 GGUF file; its
feed-forward rows of 172 are no multiple of 32. Prints how far the engine tells the same story by
itself, and at how many of the steps it would choose the same token when led along it: all of them
with float32 activations, or it exits with 1. With int8 activations a near tie may fall otherwise,
and the lead of the golden token there is printed.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from engines import ROOT, record
from quality import Logits, logits_of

import aboard
from aboard.engine.benchmark import Peer, llama_cpp

sys.path.insert(0, str(ROOT / "tests"))
from tiny import Llama, gguf_tensors, model_metadata, tokenizer_metadata
from tiny_gguf import write_gguf


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a file that is trusted."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], "<f4")
        found[name] = values.reshape(entry["shape"])
    return found


def convert(folder: Path, path: Path) -> Path:
    """The model of `folder` as an F32 GGUF file; its tokenizer is a stand-in of the same size."""
    config = json.loads((folder / "config.json").read_text())
    model = Llama(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        ffn=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        tied=config["tie_word_embeddings"],
        context=config["max_position_embeddings"],
        rope_base=config["rope_theta"],
        norm_epsilon=config["rms_norm_eps"],
    )
    weights = read_safetensors(folder / "model.safetensors")
    if model.tied:
        weights.pop("lm_head.weight", None)
    metadata = {**model_metadata(model), **tokenizer_metadata(model.vocabulary)}
    return write_gguf(path, metadata, gguf_tensors(model, weights))


def retell(logits_of_tokens: Logits, golden: list[int]) -> dict[str, object]:
    """How an engine's choices compare with the golden ones, led along them."""
    logits = logits_of_tokens(golden[:-1])
    chosen, wanted = logits.argmax(axis=1), np.array(golden[1:])
    other = np.flatnonzero(chosen != wanted)
    lead = logits[other, chosen[other]] - logits[other, wanted[other]]
    return {
        "same_choice": int((chosen == wanted).sum()),
        "steps": len(wanted),
        "told_alone": int(other[0]) if len(other) else len(wanted),
        "other_choices": [
            {"step": int(step), "lead": round(float(by), 4)}
            for step, by in zip(other, lead, strict=True)
        ],
    }


def main() -> None:
    """Converts, asks each engine, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--llama", help="environment of llama.cpp, asked as well")
    options = parser.parse_args()
    golden = json.loads((options.folder / "golden_greedy.json").read_text())["greedy_ids"]
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = convert(options.folder, Path(scratch) / "stories260K.gguf")
        found["aboard"] = retell(aboard.load(model, threads=1).logits, golden)
        exact = aboard.load(model, threads=1, activations="float32")
        found["aboard, float32"] = retell(exact.logits, golden)
        if options.llama:
            with Peer(llama_cpp(options.llama), model, context=512) as peer:
                found["llama"] = retell(logits_of(peer, 1), golden)
    for kind, figures in found.items():
        print(f"{kind}: {json.dumps(figures)}")
    record("stories", baseline="published greedy text", **found)
    if found["aboard, float32"]["other_choices"]:
        sys.exit("with float32 activations the engine tells another story")


if __name__ == "__main__":
    main()
