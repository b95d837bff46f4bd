"""Roles of tokens, ends of answers and chat templates, by the files of a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError
from checkpoint.families import n_tokens, template, tiny, write_folder


def put(folder: Path, **files: object) -> Path:
    """Files with the names `<key>.json`."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def llama3(folder: Path, **config: object) -> Path:
    roles = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    return write_folder(folder, tiny("llama3"), **roles | config)


def entries(folder: Path) -> dict[str, Any]:
    return tokenizer_metadata(folder, n_tokens(tiny("llama3")))


ID = {token["content"]: token["id"] for token in tiny("llama3")["added_tokens"]}
BOS, EOS, EOT, TAG = (
    ID[f"<|{text}|>"] for text in ("begin_of_text", "end_of_text", "eot_id", "python_tag")
)


def test_roles_come_from_the_config_as_text_or_as_object(tmp_path: Path) -> None:
    found = entries(llama3(tmp_path, pad_token={"content": "<|eot_id|>", "lstrip": False}))

    assert found["tokenizer.ggml.bos_token_id"] == BOS
    assert found["tokenizer.ggml.eos_token_id"] == EOS
    assert found["tokenizer.ggml.padding_token_id"] == EOT
    assert (found["tokenizer.ggml.add_bos_token"], found["tokenizer.ggml.add_eos_token"]) == (
        True,
        False,
    )


def test_the_special_tokens_map_counts_where_the_config_lists_no_added_tokens(
    tmp_path: Path,
) -> None:
    one = put(llama3(tmp_path / "one"), special_tokens_map={"eos_token": "<|eot_id|>"})
    listed = {str(BOS): {"content": "<|begin_of_text|>", "special": True}}
    other = put(
        llama3(tmp_path / "other", added_tokens_decoder=listed),
        special_tokens_map={"eos_token": "<|eot_id|>"},
    )

    found = [entries(folder)["tokenizer.ggml.eos_token_id"] for folder in (one, other)]

    assert found == [EOT, EOS]


def test_the_models_config_fills_roles_that_the_tokenizer_leaves_empty(tmp_path: Path) -> None:
    folder = put(write_folder(tmp_path, tiny("llama3")), config={"eos_token_id": [EOT, EOS]})

    found = entries(folder)

    assert found["tokenizer.ggml.eos_token_id"] == EOT
    assert found["tokenizer.ggml.bos_token_id"] == BOS  # of the post-processor
    assert "tokenizer.ggml.padding_token_id" not in found


@pytest.mark.parametrize(
    ("generation", "config", "stops"),
    [
        ({"eos_token_id": [EOS, TAG, EOT]}, {"eos_token_id": BOS}, {EOS, TAG, EOT}),
        ({}, {"eos_token_id": TAG}, {EOS, TAG, EOT}),
        ({}, {"text_config": {"eos_token_id": TAG}}, {EOS, TAG, EOT}),
        ({}, {"eos_token_id": TAG, "text_config": {"eos_token_id": 65}}, {EOS, TAG, EOT}),
        ({"eos_token_id": TAG}, {}, {EOS, TAG, EOT}),
        ({"eos_token_id": [65, 66]}, {}, {EOS, EOT, 65, 66}),
        ({"eos_token_id": -1}, {}, {EOS, EOT}),
    ],
)
def test_an_answer_ends_where_the_generation_config_says(
    tmp_path: Path, generation: object, config: object, stops: set[int]
) -> None:
    folder = put(llama3(tmp_path), generation_config=generation, config=config)

    assert Tokenizer.from_gguf(entries(folder)).stop_ids == stops


def test_more_ends_than_gguf_holds_are_refused(tmp_path: Path) -> None:
    folder = put(llama3(tmp_path), generation_config={"eos_token_id": [65, 66, 67]})

    with pytest.raises(TokenizerError, match=r"generation_config\.json: eos_token_id has 3 tokens"):
        entries(folder)


def test_a_text_that_ends_with_another_token_than_answers_keeps_both(tmp_path: Path) -> None:
    document = tiny("llama3")
    document["post_processor"] = template("<|begin_of_text|>", "<|python_tag|>")
    for name, entry in document["post_processor"]["special_tokens"].items():
        entry["ids"] = [ID[name]]

    found = entries(write_folder(tmp_path, document, eos_token="<|end_of_text|>"))

    assert Tokenizer.from_gguf(found).encode("a")[-1:] == [TAG]
    assert found["tokenizer.ggml.eot_token_id"] == EOS


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bos_token": "<|eot_id|>"}, r"begins or ends a text with token \d+, but bos_token is"),
        ({"eos_token": 7}, "eos_token is 7, expected the text of a token"),
        ({"added_tokens_decoder": {"x": {}}}, "has the key 'x', expected an id"),
        ({"added_tokens_decoder": {"1": []}}, "1 is list, expected an object"),
        ({"added_tokens_decoder": {"1": {"content": 1}}}, "content is 1, expected a string"),
        ({"additional_special_tokens": "<x>"}, "additional_special_tokens is .*, expected a list"),
        ({"chat_template": 5}, "chat_template is 5, expected a text or a list"),
    ],
)
def test_a_contradiction_names_the_file_and_the_key(
    tmp_path: Path, config: dict[str, object], message: str
) -> None:
    with pytest.raises(TokenizerError, match=message):
        entries(llama3(tmp_path, **config))


def test_an_end_of_sequence_that_has_no_row_is_refused(tmp_path: Path) -> None:
    folder = llama3(tmp_path, eos_token="<|nowhere|>")

    with pytest.raises(TokenizerError, match=r"eos_token is .<\|nowhere\|>., which the tokenizer"):
        entries(folder)


@pytest.mark.parametrize("value", [10**6, "2", [1.5], True])
def test_ids_of_a_config_that_are_none_are_refused(tmp_path: Path, value: object) -> None:
    folder = put(llama3(tmp_path), generation_config={"eos_token_id": value})

    with pytest.raises(TokenizerError, match=r"generation_config\.json: eos_token_id is"):
        entries(folder)


def test_a_template_of_its_own_file_goes_before_that_of_the_config(tmp_path: Path) -> None:
    folder = llama3(tmp_path, chat_template="config")
    before = ChatTemplate.from_gguf(entries(folder))
    (folder / "chat_template.jinja").write_text("file\n", encoding="utf-8")

    after = ChatTemplate.from_gguf(entries(folder))

    assert before is not None
    assert after is not None
    assert (before.render([]), after.render([])) == ("config", "file")


def test_named_templates_keep_their_names(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    in_config = entries(llama3(tmp_path / "a", chat_template=named))
    folder = llama3(tmp_path / "b")
    (folder / "additional_chat_templates").mkdir()
    (folder / "chat_template.jinja").write_text("d", encoding="utf-8")
    (folder / "additional_chat_templates" / "tool use.jinja").write_text("t", encoding="utf-8")

    in_files = entries(folder)

    assert in_config["tokenizer.chat_templates"] == ["tool_use"]
    for found in (in_config, in_files):
        made = ChatTemplate.from_gguf(found)
        assert made is not None
        assert (made.render([]), made.render([], tools=[])) == ("d", "t")


def test_the_template_of_a_processor_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    found = entries(put(llama3(tmp_path), chat_template={"chat_template": "p"}))

    assert found["tokenizer.chat_template"] == "p"
