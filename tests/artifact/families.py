"""Folders of the tiny models of every family whose logits tests/golden/families keeps."""

import json
from pathlib import Path

import numpy as np

from artifact.folders import GOLDEN, write_folder
from tiny_families import Tiny, random_weights, tiny_from_json

CASES = json.loads((GOLDEN / "families" / "cases.json").read_text())["cases"]
CONFIGS = json.loads((GOLDEN / "import" / "families.json").read_text())  # by save_pretrained


def shape_of(name: str) -> Tiny:
    return tiny_from_json(CASES[name]["shape"])


def weights_of(name: str) -> dict[str, np.ndarray]:
    return random_weights(shape_of(name), CASES[name]["seed"])


def write_family(name: str, folder: Path) -> Path:
    """A folder of this name with the weights and the config of a golden case."""
    return write_folder(folder / name, weights_of(name), CONFIGS[name])
