"""BERT against transformers in float32, on tiny random models (`make golden`): import included."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from tiny_encoders import TinyBert, bert_folder, bert_weights

FOLDER = Path(__file__).parent.parent / "golden" / "encoders"
CASES = json.loads((FOLDER / "cases.json").read_text())
# Of the largest value. With int8 activations these alone move vectors by 1e-2.
ALLOWED = {"int8": 2e-2, "float32": 1e-4}

each_case = pytest.mark.parametrize("name", CASES)


def shape(name: str) -> TinyBert:
    return TinyBert(**CASES[name]["shape"])


def imported(name: str, folder: Path) -> Path:
    source = bert_folder(folder / name, shape(name), seed=CASES[name]["seed"])
    import_checkpoint(source, folder / "tiny.gguf")
    return folder / "tiny.gguf"


@each_case
def test_tiny_models_are_those_of_the_goldens(name: str) -> None:
    weights = bert_weights(shape(name), CASES[name]["seed"])

    digest = hashlib.sha256(b"".join(values.tobytes() for values in weights.values()))

    assert digest.hexdigest() == CASES[name]["weights_sha256"]


@pytest.mark.parametrize("activations", ALLOWED)
@each_case
def test_vectors_agree_with_transformers(name: str, activations: str, tmp_path: Path) -> None:
    oracle = np.load(FOLDER / f"{name}.npy")
    model = aboard.load(imported(name, tmp_path), activations=activations)

    vectors = model.embed_tokens(CASES[name]["texts"])

    assert vectors.shape == oracle.shape
    assert vectors.dtype == np.float32
    assert np.abs(vectors - oracle).max() <= ALLOWED[activations] * np.abs(oracle).max()


@pytest.mark.parametrize("wrong", ["cls", "mean"])
def test_another_pooling_would_be_seen(wrong: str, tmp_path: Path) -> None:
    name = {"cls": "mean", "mean": "first"}[wrong]
    changed = TinyBert(**{**CASES[name]["shape"], "pooling": wrong})
    source = bert_folder(tmp_path / "other", changed, seed=CASES[name]["seed"])
    import_checkpoint(source, tmp_path / "tiny.gguf")
    oracle = np.load(FOLDER / f"{name}.npy")

    vectors = aboard.load(tmp_path / "tiny.gguf").embed_tokens(CASES[name]["texts"])

    assert np.abs(vectors - oracle).max() > 5 * ALLOWED["int8"] * np.abs(oracle).max()
