"""Every decoder family against transformers in float32, on tiny random models (`make golden`)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from tiny_families import tiny_from_json, tiny_model

FOLDER = Path(__file__).parent.parent / "golden" / "families"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
# Of the largest logit. With int8 activations these alone move logits by 1e-2; in float32 the order
# of sums does.
ALLOWED = {"int8": 2e-2, "float32": 1e-4}

# Of 256 choices along a random text; near ties of a random model may fall otherwise.
SAME_CHOICES = {"int8": 0.95, "float32": 0.995}

each_case = pytest.mark.parametrize("name", CASES)
each_mode = pytest.mark.parametrize("activations", ALLOWED)


def write_model(name: str, folder: Path) -> Path:
    case = CASES[name]
    return tiny_model(folder / f"{name}.gguf", tiny_from_json(case["shape"]), seed=case["seed"])


def loaded(name: str, folder: Path, activations: str) -> aboard.Model:
    context = CASES[name].get("context")
    return aboard.load(write_model(name, folder), activations=activations, context=context)


@each_case
def test_tiny_models_are_those_of_the_goldens(name: str, tmp_path: Path) -> None:
    path = write_model(name, tmp_path)

    assert hashlib.sha256(path.read_bytes()).hexdigest() == CASES[name]["file_sha256"]


@each_mode
@each_case
def test_logits_agree_with_transformers(name: str, activations: str, tmp_path: Path) -> None:
    case, oracle = CASES[name], np.load(FOLDER / f"{name}.npy")

    logits = loaded(name, tmp_path, activations).logits(case["tokens"])[case["rows"]]

    assert np.abs(logits - oracle).max() <= ALLOWED[activations] * np.abs(oracle).max()


@each_mode
@each_case
def test_greedy_decoding_agrees_with_transformers(
    name: str, activations: str, tmp_path: Path
) -> None:
    case = CASES[name]
    session = loaded(name, tmp_path, activations).session()

    found = [int(session.prefill(case["prompt"]).argmax())]
    found += [int(session.decode(token).argmax()) for token in case["greedy"][:-1]]

    assert found == case["greedy"]


@each_mode
@pytest.mark.parametrize("name", [name for name in CASES if "forced" in CASES[name]])
def test_choices_along_a_text_agree_with_transformers(
    name: str, activations: str, tmp_path: Path
) -> None:
    case = CASES[name]

    chosen = loaded(name, tmp_path, activations).logits(case["forced"]).argmax(axis=1)

    assert (chosen == np.array(case["choices"])).mean() >= SAME_CHOICES[activations]
