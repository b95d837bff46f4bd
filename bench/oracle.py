"""Writes the logits of transformers in float32 for a `llama` GGUF file, read by the `gguf` package.

    python bench/oracle.py MODEL TOKENS.json OUT.npy --chunk 512 [--threads N]

Runs in the environment of tools/oracle_requirements.txt. TOKENS.json is a list of ids; OUT.npy
gets (N, V) float32, each chunk on its own.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from golden_model import oracle_model


def main() -> None:
    """Runs the oracle over chunks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokens = json.loads(options.tokens.read_text())
    model = oracle_model(options.model)
    shape = (len(tokens), model.config.vocab_size)
    unfinished = options.out.with_suffix(".part.npy")
    out = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
    with torch.inference_mode():
        for start in range(0, len(tokens), options.chunk):
            chunk = torch.tensor([tokens[start : start + options.chunk]])
            out[start : start + options.chunk] = model(chunk).logits[0].numpy()
    out.flush()
    unfinished.rename(options.out)


if __name__ == "__main__":
    main()
