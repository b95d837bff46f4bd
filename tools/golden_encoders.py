"""Writes tests/golden/encoders: vectors that transformers makes with tiny random BERT models.

    python tools/golden_encoders.py            # write the files anew
    python tools/golden_encoders.py --check    # derive all again; exit 1 where one is off by 1e-4

Needs tools/oracle_requirements.txt. Weights are those of tests/tiny_encoders.py, of which a hash is
kept. Pooling is torch's mean, or the first token; every text is computed on its own.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "encoders"
sys.path.insert(0, str(ROOT / "tests"))

from tiny_blocks import Random  # noqa: E402
from tiny_encoders import TinyBert, bert_config, bert_weights  # noqa: E402

TOLERANCE = 1e-4  # of the largest value
LENGTHS = (1, 2, 9, 31, 64, 65, 150)

CASES = {
    "mean": (1, TinyBert()),
    "first": (2, TinyBert(pooling="cls", layers=3)),
    "unnormalised": (3, TinyBert(normalizes=False)),
    "without_modules": (4, TinyBert(pooling=None)),
    "odd": (5, TinyBert(width=60, heads=5, ffn=100, types=1, norm_epsilon=1e-3)),
    "wide_heads": (6, TinyBert(width=80, heads=2, ffn=48)),
    "many_heads": (7, TinyBert(width=96, heads=12, ffn=384, layers=4)),
}


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    described, differences = {}, []
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, (seed, shape) in CASES.items():
        described[name], vectors = derive(seed, shape)
        if not check:
            np.save(GOLDEN / f"{name}.npy", vectors)
            continue
        kept = np.load(GOLDEN / f"{name}.npy")
        if kept.shape != vectors.shape or (
            np.abs(kept - vectors).max() > TOLERANCE * np.abs(vectors).max()
        ):
            differences.append(f"golden: encoders: {name}: vectors are others")
    lines = [f" {json.dumps(name)}: {json.dumps(case)}" for name, case in described.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if not check:
        (GOLDEN / "cases.json").write_text(text)
    elif json.loads((GOLDEN / "cases.json").read_text()) != json.loads(text):
        differences.append("golden: encoders: the cases are others")
    print("\n".join(differences) or f"golden: {len(CASES)} encoders")
    return 1 if differences else 0


def derive(seed: int, shape: TinyBert) -> tuple[dict[str, object], np.ndarray]:
    """The description of a case, and a vector for each of its texts, (N, D) float32."""
    weights = bert_weights(shape, seed)
    digest = hashlib.sha256(b"".join(values.tobytes() for values in weights.values()))
    config = BertConfig(**bert_config(shape), attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    words = Random(1000 + seed).bytes(sum(LENGTHS)).astype(int) % shape.vocabulary
    texts = [part.tolist() for part in np.split(words, np.cumsum(LENGTHS)[:-1])]
    vectors = []
    with torch.inference_mode():
        for text in texts:
            hidden = model(torch.tensor([text])).last_hidden_state[0]
            vector = hidden[0] if shape.pooling == "cls" else hidden.mean(dim=0)
            normalises = shape.pooling is not None and shape.normalizes
            vectors.append(torch.nn.functional.normalize(vector, dim=0) if normalises else vector)
    case = {"seed": seed, "shape": asdict(shape), "weights_sha256": digest.hexdigest()}
    return {**case, "texts": texts}, torch.stack(vectors).numpy()


if __name__ == "__main__":
    raise SystemExit(main())
