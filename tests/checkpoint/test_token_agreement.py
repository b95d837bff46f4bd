"""Disagreements about special tokens are told, each in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from aboard.checkpoint.token_agreement import folder_disagreements, token_disagreements
from checkpoint.families import tiny, write_folder
from checkpoint.vocabularies import CONTROL, USER_DEFINED, byte_level

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = dict.fromkeys(("<|im_start|>", "<|im_end|>", "</x>"), CONTROL)


def model(template: str, special: dict[str, int] = SPECIAL, **fields: object) -> dict[str, Any]:
    return byte_level(special=special, **fields) | {"tokenizer.chat_template": template}


def test_a_sound_model_has_nothing_to_tell() -> None:
    assert token_disagreements(model(CHATML, eos_token_id=257)) == []
    assert token_disagreements(byte_level(special=SPECIAL)) == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            model(CHATML, {"<|im_end|>": CONTROL}),
            "the chat template writes '<|im_start|>', which is no special token",
        ),
        (
            model(CHATML.replace("<|im_end|>", "</x>"), eos_token_id=257),
            "the chat template ends an answer with '</x>' (258), which doesn't end generation",
        ),
        (
            model("{{ messages[0].content }}"),
            "the chat template leaves an answer out",
        ),
        (
            model("{{ raise_exception('no ' ~ messages[0].role) }}"),
            "a question and its answer can't be rendered: "
            "the chat template refuses the conversation: no user",
        ),
        (byte_level(special={"<b>": USER_DEFINED}), "no token ends an answer"),
        (byte_level(eos_token_id=97), "token 97 'a' is eos but not marked as special"),
    ],
)
def test_a_disagreement_is_told(found: dict[str, Any], sentence: str) -> None:
    assert sentence in token_disagreements(found)


def test_a_template_that_writes_the_date_is_given_one() -> None:
    assert token_disagreements(model("{{ strftime_now('%Y') }}" + CHATML)) == []


def test_files_that_end_an_answer_otherwise_are_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, tiny("gpt2"), eos_token="<|endoftext|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6]}))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 5, "bos_token_id": 1}))

    found = folder_disagreements(folder)

    assert len(found) == 1
    assert "tokenizer_config.json ends a sequence with '<|endoftext|>' (700)" in found[0]
    assert "generation_config.json ends an answer with [5, 6]" in found[0]
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 7}))
    assert "eos_token_id is 7 in config.json and [5, 6]" in folder_disagreements(folder)[1]
