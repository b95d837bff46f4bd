"""Disagreements about special tokens are told, each in a sentence."""

import json
from pathlib import Path

import pytest

from aboard.checkpoint.token_agreement import folder_disagreements
from aboard.errors import TokenizerError


def write(folder: Path, **files: dict[str, object]) -> Path:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_files_that_agree_have_nothing_to_tell(tmp_path: Path) -> None:
    write(tmp_path, generation_config={"eos_token_id": [5, 6]}, config={"eos_token_id": 5})

    assert folder_disagreements(tmp_path, 6, 700) == []


def test_files_that_say_nothing_have_nothing_to_tell(tmp_path: Path) -> None:
    assert folder_disagreements(tmp_path, 6, 700) == []


def test_another_end_of_an_answer_than_of_a_sequence_is_told(tmp_path: Path) -> None:
    write(tmp_path, generation_config={"eos_token_id": [6, 5]}, config={"eos_token_id": 5})

    found = folder_disagreements(tmp_path, 699, 700)

    assert found == [
        "the tokenizer ends a sequence with 699, generation_config.json an answer with [5, 6]"
    ]


def test_roles_that_differ_between_the_configs_are_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        config={"eos_token_id": 7, "bos_token_id": 1, "pad_token_id": 3},
        generation_config={"eos_token_id": [5, 6], "bos_token_id": 1, "pad_token_id": 4},
    )

    assert folder_disagreements(tmp_path, 5, 700) == [
        "eos_token_id is [7] in config.json, [5, 6] in generation_config.json",
        "pad_token_id is [3] in config.json, [4] in generation_config.json",
    ]


@pytest.mark.parametrize("value", [700, -2, "5", True, 1.5, {}, [5, "6"]])
@pytest.mark.parametrize("file", ["config", "generation_config"])
def test_what_is_no_token_of_the_model_is_refused(tmp_path: Path, file: str, value: object) -> None:
    write(tmp_path, **{file: {"bos_token_id": value}})

    with pytest.raises(TokenizerError, match=rf"{file}\.json: bos_token_id is"):
        folder_disagreements(tmp_path, 5, 700)
