"""What sentence-transformers' files say about vectors, and what of it is refused."""

import json
from pathlib import Path

import pytest

from aboard.artifact.sentence_modules import embedding_entries
from aboard.errors import AboardError
from tiny_encoders import POOLING, TinyBert, bert_folder

MEAN = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True}


def entries(folder: Path) -> dict[str, object]:
    return embedding_entries(folder, "bert", 64, 160)


def written(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


def steps(*kinds: str) -> list[dict[str, object]]:
    paths = {"Pooling": "1_Pooling"}
    return [
        {"idx": i, "name": str(i), "path": paths.get(kind, ""), "type": POOLING + kind}
        for i, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("model", "pooling", "normalizes"),
    [
        (TinyBert(), 1, True),
        (TinyBert(pooling="cls"), 2, True),
        (TinyBert(normalizes=False), 1, False),
        (TinyBert(pooling=None), 1, False),
    ],
)
def test_pooling_and_length_are_told(
    model: TinyBert, pooling: int, normalizes: bool, tmp_path: Path
) -> None:
    found = entries(bert_folder(tmp_path / "tiny", model))

    assert found == {"bert.pooling_type": pooling, "aboard.embedding.normalize": normalizes}


def test_where_texts_are_cut_is_told(tmp_path: Path) -> None:
    found = entries(bert_folder(tmp_path / "tiny", TinyBert(text_length=99)))

    assert found["aboard.embedding.max_tokens"] == 99


@pytest.mark.parametrize(("told", "length"), [(20, 20), (1000, None), (10**30, None), (1e30, None)])
def test_texts_are_cut_where_the_tokenizer_ends_if_nothing_else_says_it(
    told: float, length: int | None, tmp_path: Path
) -> None:
    folder = bert_folder(tmp_path / "tiny")

    written(folder, "tokenizer_config.json", {"model_max_length": told})

    assert entries(folder).get("aboard.embedding.max_tokens") == length


@pytest.mark.parametrize("name", ["modules.json", "sentence_bert_config.json"])
def test_a_file_that_leads_nowhere_is_not_taken_for_missing(name: str, tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "nowhere")

    with pytest.raises(AboardError, match="can't be read"):
        entries(folder)


def test_the_newer_names_mean_the_same(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    pooling = {"embedding_dimension": 64, "pooling_mode": "cls", "include_prompt": True}
    written(folder, "1_Pooling/config.json", pooling)

    assert entries(folder)["bert.pooling_type"] == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modules.json", steps("Transformer", "Pooling", "Dense", "Normalize"), "Dense"),
        ("modules.json", steps("Transformer"), "expected Transformer"),
        ("modules.json", {"0": "Transformer"}, "no list of objects"),
        ("modules.json", [{**steps("Transformer")[0], "scale": 2}], "scale"),
        ("modules.json", [{**steps("Transformer")[0], "kwargs": ["task"]}], "settings"),
        ("1_Pooling/config.json", {**MEAN, "pooling_mode_max_tokens": True}, "max_tokens and mean"),
        ("1_Pooling/config.json", {"word_embedding_dimension": 64}, "pools by nothing"),
        ("1_Pooling/config.json", {**MEAN, "word_embedding_dimension": 32}, "dimension is '32'"),
        ("1_Pooling/config.json", {**MEAN, "weights": [1]}, "weights"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "lasttoken"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length"),
        ("sentence_bert_config.json", {"max_seq_length": 9, "cut": "front"}, "cut"),
        ("tokenizer_config.json", {"model_max_length": 0}, "model_max_length is 0"),
        ("config_sentence_transformers.json", {"truncate_dim": 32}, "truncate_dim"),
        ("modules.json", [{"idx": 0, "path": "", "type": "mine.Transformer"}], "mine.Transformer"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "prompt"),
    ],
)
def test_what_would_change_a_vector_is_refused(
    name: str, content: object, message: str, tmp_path: Path
) -> None:
    folder = written(bert_folder(tmp_path / "tiny"), name, content)

    with pytest.raises(AboardError, match=message):
        entries(folder)


@pytest.mark.parametrize("path", ["../secret", "/etc", "..", "a/b"])
def test_a_step_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    listed = steps("Transformer", "Pooling")
    listed[1]["path"] = path

    with pytest.raises(AboardError, match="expected a folder's name"):
        entries(written(folder, "modules.json", listed))


def test_prompts_to_be_asked_for_are_the_callers(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    told = {"prompts": {"query": "query: "}, "default_prompt_name": None}

    written(folder, "config_sentence_transformers.json", told)

    assert entries(folder)["bert.pooling_type"] == 1
