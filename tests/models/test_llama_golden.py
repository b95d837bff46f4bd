"""The engine against transformers in float32, on tiny random models (`make golden`)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from tiny import Llama, llama_weights, shape_from_json, tiny_llama

FOLDER = Path(__file__).parent.parent / "golden" / "llama"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
# Activations are int8 in blocks of 32 and weights float32: of the largest logit, about 1e-2.
ALLOWED = 2e-2

each_case = pytest.mark.parametrize("name", CASES)


def load(name: str, folder: Path) -> aboard.Model:
    case = CASES[name]
    path = folder / f"{name}.gguf"
    return aboard.load(tiny_llama(path, seed=case["seed"], **shape_from_json(case["shape"])))


@each_case
def test_tiny_weights_are_those_of_the_goldens(name: str) -> None:
    case = CASES[name]

    weights = llama_weights(Llama(**shape_from_json(case["shape"])), case["seed"])

    digest = hashlib.sha256(b"".join(values.tobytes() for values in weights.values()))
    assert digest.hexdigest() == case["weights_sha256"]


@each_case
def test_logits_agree_with_transformers(name: str, tmp_path: Path) -> None:
    case, oracle = CASES[name], np.load(FOLDER / f"{name}.npy")
    rows = slice(None) if case["rows"] is None else case["rows"]

    logits = load(name, tmp_path).logits(case["tokens"])

    assert logits.dtype == np.float32
    assert logits.shape == (len(case["tokens"]), case["shape"]["vocabulary"])
    assert np.abs(logits[rows] - oracle).max() <= ALLOWED * np.abs(oracle).max()


@each_case
def test_greedy_decoding_agrees_with_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    session = load(name, tmp_path).session()

    found = [int(session.prefill(case["prompt"]).argmax())]
    found += [int(session.decode(token).argmax()) for token in case["greedy"][:-1]]

    assert found == case["greedy"]
