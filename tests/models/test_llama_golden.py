"""The engine against transformers in float32, on tiny random models (`make golden`)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from tiny import llama_from_json, tiny_llama

FOLDER = Path(__file__).parent.parent / "golden" / "llama"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
# Weights are exact and activations int8: that alone moves logits by 1e-2 of the largest. In float32
# the order of sums does, and in what precision the angles are computed.
ALLOWED = {"int8": 2e-2, "float32": 1e-4}

each_case = pytest.mark.parametrize("name", CASES)
each_mode = pytest.mark.parametrize("activations", ALLOWED)


def write_model(name: str, folder: Path) -> Path:
    case = CASES[name]
    model = llama_from_json(case["shape"])
    return tiny_llama(folder / f"{name}.gguf", model, fmt=case["fmt"], seed=case["seed"])


@each_case
def test_tiny_models_are_those_of_the_goldens(name: str, tmp_path: Path) -> None:
    path = write_model(name, tmp_path)

    assert hashlib.sha256(path.read_bytes()).hexdigest() == CASES[name]["file_sha256"]


@each_mode
@each_case
def test_logits_agree_with_transformers(name: str, activations: str, tmp_path: Path) -> None:
    case, oracle = CASES[name], np.load(FOLDER / f"{name}.npy")
    rows = slice(None) if case["rows"] is None else case["rows"]

    model = aboard.load(write_model(name, tmp_path), activations=activations)
    logits = model.logits(case["tokens"])

    assert logits.dtype == np.float32
    assert logits.shape == (len(case["tokens"]), case["shape"]["vocabulary"])
    assert np.abs(logits[rows] - oracle).max() <= ALLOWED[activations] * np.abs(oracle).max()


@each_case
def test_greedy_decoding_agrees_with_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    session = aboard.load(write_model(name, tmp_path)).session()

    found = [int(session.prefill(case["prompt"]).argmax())]
    found += [int(session.decode(token).argmax()) for token in case["greedy"][:-1]]

    assert found == case["greedy"]
