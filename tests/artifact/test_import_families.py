"""Every family as a Hugging Face folder, imported, against transformers in float32."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import aboard
from aboard.models import model_types
from artifact.families import CASES, CONFIGS, shape_of, weights_of, write_family
from artifact.folders import GOLDEN, imported
from tiny_families import gguf_tensors

FOLDER = GOLDEN / "families"
NAMES = [name for name, config in CONFIGS.items() if config["model_type"] in model_types()]
# As in tests/models/test_families_golden.py.
ALLOWED = {"int8": 2e-2, "float32": 1e-4}
SAME_CHOICES = {"int8": 0.95, "float32": 0.995}
# Where GGUF has no word for a number, a norm holds it.
SCALED_NORMS = {"gemma3_odd"}

each_case = pytest.mark.parametrize("name", NAMES)
each_mode = pytest.mark.parametrize("activations", ALLOWED)


def loaded(path: Path, case: dict[str, Any], activations: str) -> aboard.Model:
    return aboard.load(path, activations=activations, context=case.get("context"))


@each_case
def test_logits_and_choices_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    case, oracle = CASES[name], np.load(FOLDER / f"{name}.npy")
    path = imported(tmp_path, write_family(name, tmp_path))

    for activations, allowed in ALLOWED.items():
        model = loaded(path, case, activations)
        logits = model.logits(case["tokens"])[case["rows"]]
        assert np.abs(logits - oracle).max() <= allowed * np.abs(oracle).max()
        if "forced" in case:
            chosen = model.logits(case["forced"]).argmax(axis=1)
            same = chosen == np.array(case["choices"])
            assert same.mean() >= SAME_CHOICES[activations]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCALED_NORMS])
def test_tensors_are_those_that_llama_cpps_converter_writes(name: str, tmp_path: Path) -> None:
    expected = gguf_tensors(shape_of(name), weights_of(name))

    path = imported(tmp_path, write_family(name, tmp_path))

    found = {each.name: each.data for each in gguf.GGUFReader(path).tensors}

    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].shape == tensor.shape
        assert found[key].tobytes() == tensor.data
