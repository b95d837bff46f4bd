"""Models that see: refused, or its text model imported where that is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import ConfigError, MalformedFile, UnsupportedFile
from artifact.folders import GOLDEN, write_folder
from tiny_families import random_weights, tiny_from_json

CASES = json.loads((GOLDEN / "families" / "cases.json").read_text())["cases"]
CONFIGS = json.loads((GOLDEN / "import" / "families.json").read_text())
TOWERS = json.loads((GOLDEN / "import" / "towers.json").read_text())
# As transformers saves them, as its newer versions have them in memory, and alone.
LAYOUTS = ("saved", "in_memory", "alone")

each_model = pytest.mark.parametrize("name", TOWERS)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def text_weights(name: str) -> dict[str, np.ndarray]:
    return random_weights(tiny_from_json(CASES[name]["shape"]), CASES[name]["seed"])


def laid_out(name: str, layout: str) -> dict[str, np.ndarray]:
    weights = text_weights(name)
    if layout == "saved":
        return {f"language_model.{each}": values for each, values in weights.items()}
    if layout == "alone":
        return weights
    return {
        each.replace("model.", "model.language_model.", 1): values
        for each, values in weights.items()
    }


def tower(name: str, prefix: str = "") -> dict[str, np.ndarray]:
    return {
        prefix + each.removeprefix("model."): np.ones(shape, np.float32)
        for each, shape in TOWERS[name]["shapes"].items()
    }


def text_model(folder: Path, name: str) -> dict[str, bytes]:
    source = write_folder(folder / "text", text_weights(name), CONFIGS[name])
    import_checkpoint(source, folder / "text.gguf")
    return tensors(folder / "text.gguf")


def tensors(path: Path) -> dict[str, bytes]:
    file = open_gguf(path)
    content = path.read_bytes()
    return {
        name: content[info.offset : info.offset + info.size_bytes]
        for name, info in file.tensors.items()
    }


@each_model
def test_a_checkpoint_with_a_tower_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    weights = laid_out(name, "saved") | tower(name)
    source = write_folder(tmp_path / "model", weights, TOWERS[name]["config"])

    with pytest.raises(
        UnsupportedFile,
        match=r"see or hear \(\d+ tensors, such as '(multi_modal_|visual|(model\.)?(audio|embed)_)",
    ) as caught:
        import_checkpoint(source, tmp_path / "out.gguf")

    assert "--text-only" in str(caught.value.hint)
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("prefix", ["", "model."])
@each_layout
@each_model
def test_its_text_model_alone_is_the_text_model(
    tmp_path: Path, name: str, layout: str, prefix: str
) -> None:
    weights = laid_out(name, layout) | tower(name, prefix)
    source = write_folder(tmp_path / "model", weights, TOWERS[name]["config"])

    made = import_checkpoint(source, tmp_path / "out.gguf", text_only=True)

    n_left_out = len(TOWERS[name]["shapes"])
    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path, name)
    assert made.notes == (f"{n_left_out} tensors of the parts that see or hear are left out",)


@pytest.mark.parametrize("text_only", [True, False])
@each_layout
@each_model
def test_where_the_tower_is_gone_already_nothing_is_to_be_asked_for(
    tmp_path: Path, name: str, layout: str, text_only: bool
) -> None:
    source = write_folder(tmp_path / "model", laid_out(name, layout), TOWERS[name]["config"])

    made = import_checkpoint(source, tmp_path / "out.gguf", text_only=text_only)

    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path, name)
    told = ("there is nothing but a text model: --text-only leaves nothing out",)
    assert made.notes == (told if text_only else ())


@each_model
def test_what_the_text_model_is_told_goes_along(tmp_path: Path, name: str) -> None:
    source = write_folder(tmp_path / "model", laid_out(name, "saved"), TOWERS[name]["config"])
    import_checkpoint(source, tmp_path / "out.gguf")
    text_model(tmp_path, name)

    part, alone = (
        {
            key.split(".", 1)[1]: np.asarray(value).tolist()
            for key, value in open_gguf(tmp_path / f"{file}.gguf").metadata.items()
            if not key.startswith(("general.", "tokenizer."))
        }
        for file in ("out", "text")
    )
    assert part == alone


def silent_on_the_head(name: str) -> dict[str, object]:
    """The config as it is published where all members have the values that transformers takes."""
    config = {**TOWERS[name]["config"]}
    config["text_config"] = {**config["text_config"]}
    del config["tie_word_embeddings"], config["text_config"]["tie_word_embeddings"]
    return config


@each_layout
@pytest.mark.parametrize("name", ["gemma3", "mistral3", "mistral"])
def test_where_nothing_says_whether_the_head_is_the_embedding_the_tensors_do(
    tmp_path: Path, name: str, layout: str
) -> None:
    config = silent_on_the_head(name)
    source = write_folder(tmp_path / "model", laid_out(name, layout), config)

    import_checkpoint(source, tmp_path / "out.gguf")

    has_head = "lm_head.weight" in text_weights(name)
    assert ("output.weight" in tensors(tmp_path / "out.gguf")) == has_head
    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path, name)


def test_a_head_that_is_the_embedding_is_not_stored_twice(tmp_path: Path) -> None:
    weights = text_weights("mistral")
    twin = weights | {"lm_head.weight": weights["model.embed_tokens.weight"].copy()}
    source = write_folder(tmp_path / "model", twin, silent_on_the_head("mistral"))

    import_checkpoint(source, tmp_path / "out.gguf")

    assert tensors(tmp_path / "out.gguf") == text_model(tmp_path, "mistral")


def test_a_part_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twin = {"model.norm.weight": text_weights("gemma3")["model.norm.weight"]}
    weights = laid_out("gemma3", "saved") | twin
    source = write_folder(tmp_path / "model", weights, TOWERS["gemma3"]["config"])

    with pytest.raises(MalformedFile, match=r"norm\.weight' are one"):
        import_checkpoint(source, tmp_path / "out.gguf")


def test_text_only_leaves_nothing_else_out(tmp_path: Path) -> None:
    weights = text_weights("gemma3") | {"vision_tower.x": np.ones(3, np.float32)}
    source = write_folder(tmp_path / "model", weights, CONFIGS["gemma3"])

    with pytest.raises(UnsupportedFile, match=r"'vision_tower\.x' is unknown to .* gemma3"):
        import_checkpoint(source, tmp_path / "out.gguf", text_only=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_config": None}, "has no text_config"),
        ({"text_config": {"model_type": "llama"}}, "model_type is 'llama', Aboard understands"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings differs in text_config"),
        ({"audio_config": {}}, "unknown hyper-parameters: .*audio_config"),
    ],
)
def test_what_is_around_the_text_model_must_fit_it(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    config = TOWERS["mistral3"]["config"] | changes
    source = write_folder(tmp_path / "model", laid_out("mistral3", "saved"), config)

    with pytest.raises(ConfigError, match=message):
        import_checkpoint(source, tmp_path / "out.gguf", text_only=True)
