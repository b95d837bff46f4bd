"""Writes tests/golden/taps: what goes into the matrices of tiny random models in transformers.

    python tools/golden_taps.py            # write the files anew
    python tools/golden_taps.py --check    # derive all again; exit 1 where one is off by 1e-4

Needs tools/oracle_requirements.txt. Hooks on transformers' linear layers take their inputs, in
float32. The models are those of tests/tiny.py and tiny_families.py, made from a seed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "taps"
sys.path.insert(0, str(ROOT / "tests"))

from golden_families import family_model  # noqa: E402

from golden import transformers_model  # noqa: E402
from tap_cases import CASES, TOKENS  # noqa: E402
from tiny import Llama, llama_weights  # noqa: E402
from tiny_families import random_weights  # noqa: E402

TOLERANCE = 1e-4  # of the largest value
# The first of the matrices that share their inputs, by the names of several architectures.
PLACES = {
    "q_proj": "mix",
    "qkv_proj": "mix",
    "in_proj": "mix",
    "o_proj": "mix inner",
    "out_proj": "mix inner",
    "gate_proj": "feed",
    "gate_up_proj": "feed",
    "w1": "feed",
    "down_proj": "feed inner",
    "w2": "feed inner",
}


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    GOLDEN.mkdir(parents=True, exist_ok=True)
    differences = []
    for name, (seed, shape) in CASES.items():
        inputs = derive(seed, shape)
        path = GOLDEN / f"{name}.npz"
        if not check:
            np.savez_compressed(path, **inputs)
            continue
        kept = np.load(path)
        if set(kept) != set(inputs) or any(
            np.abs(kept[place] - x).max() > TOLERANCE * np.abs(x).max()
            for place, x in inputs.items()
        ):
            differences.append(f"golden: taps: {name}: inputs are others")
    print("\n".join(differences) or f"golden: inputs of the matrices of {len(CASES)} models")
    return 1 if differences else 0


def derive(seed: int, shape: object) -> dict[str, np.ndarray]:
    """The inputs, (T, K) float32, by layer and place."""
    if isinstance(shape, Llama):
        model = transformers_model(shape, llama_weights(shape, seed))
    else:
        model = family_model(shape, random_weights(shape, seed))
    inputs: dict[str, np.ndarray] = {}

    def take(place: str):
        def hook(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            inputs[place] = arguments[0].reshape(-1, arguments[0].shape[-1]).numpy().copy()

        return hook

    for name, module in model.named_modules():
        parts = name.split(".")
        if parts[-1] == "lm_head":
            module.register_forward_pre_hook(take("end"))
        elif parts[-1] in PLACES and "layers" in parts:
            layer = parts[parts.index("layers") + 1]
            module.register_forward_pre_hook(take(f"{layer} {PLACES[parts[-1]]}"))
    with torch.inference_mode():
        model(torch.tensor([TOKENS]))
    return inputs


if __name__ == "__main__":
    sys.exit(main())
