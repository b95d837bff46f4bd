"""A Gemma 3 that sees: refused, or its text model imported where that is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import MalformedFile, UnsupportedFile
from artifact.folders import GOLDEN, write_folder
from tiny_families import random_weights, tiny_from_json

CASE = json.loads((GOLDEN / "families" / "cases.json").read_text())["cases"]["gemma3"]
WEIGHTS = random_weights(tiny_from_json(CASE["shape"]), CASE["seed"])
TEXT_CONFIG = json.loads((GOLDEN / "import" / "families.json").read_text())["gemma3"]
WITH_TOWER = json.loads((GOLDEN / "import" / "towers.json").read_text())["gemma3"]
TOWER = {name: np.ones(shape, np.float32) for name, shape in WITH_TOWER["shapes"].items()}
# As transformers saves them, as its newer versions have them in memory, and alone.
LAYOUTS = {
    "saved": {f"language_model.{name}": values for name, values in WEIGHTS.items()},
    "in_memory": {
        name.replace("model.", "model.language_model.", 1): values
        for name, values in WEIGHTS.items()
    },
    "alone": WEIGHTS,
}


def text_model(folder: Path) -> dict[str, bytes]:
    source = write_folder(folder / "model", WEIGHTS, TEXT_CONFIG)
    import_checkpoint(source, folder / "text.gguf")
    return tensors(folder / "text.gguf")


def tensors(path: Path) -> dict[str, bytes]:
    file = open_gguf(path)
    content = path.read_bytes()
    return {
        name: content[info.offset : info.offset + info.size_bytes]
        for name, info in file.tensors.items()
    }


def test_a_checkpoint_with_a_tower_is_refused_with_the_way_out(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "model", LAYOUTS["saved"] | TOWER, WITH_TOWER["config"])

    with pytest.raises(
        UnsupportedFile, match=r"can see or hear \(\d+ tensors, such as 'multi_modal_projector"
    ) as caught:
        import_checkpoint(source, tmp_path / "out.gguf")

    assert "--text-only" in str(caught.value.hint)
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_its_text_model_alone_is_the_text_model(tmp_path: Path, layout: str, prefix: str) -> None:
    tower = {prefix + name: values for name, values in TOWER.items()}
    source = write_folder(tmp_path / "model", LAYOUTS[layout] | tower, WITH_TOWER["config"])

    made = import_checkpoint(source, tmp_path / "out.gguf", text_only=True)

    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path)
    assert made.notes == (f"{len(TOWER)} tensors of the parts that see or hear are left out",)


@pytest.mark.parametrize("text_only", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_the_tower_is_gone_already_nothing_is_to_be_asked_for(
    tmp_path: Path, layout: str, text_only: bool
) -> None:
    source = write_folder(tmp_path / "model", LAYOUTS[layout], WITH_TOWER["config"])

    made = import_checkpoint(source, tmp_path / "out.gguf", text_only=text_only)

    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path)
    assert made.notes == ()


def test_a_part_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    weights = LAYOUTS["saved"] | {"model.norm.weight": WEIGHTS["model.norm.weight"]}
    source = write_folder(tmp_path / "model", weights, WITH_TOWER["config"])

    with pytest.raises(MalformedFile, match=r"norm\.weight' are the same part of the model"):
        import_checkpoint(source, tmp_path / "out.gguf")


def test_text_only_leaves_nothing_else_out(tmp_path: Path) -> None:
    weights = WEIGHTS | {"vision_tower.x": np.ones(3, np.float32)}
    source = write_folder(tmp_path / "model", weights, TEXT_CONFIG)

    with pytest.raises(UnsupportedFile, match=r"'vision_tower\.x' is unknown to .* gemma3"):
        import_checkpoint(source, tmp_path / "out.gguf", text_only=True)
