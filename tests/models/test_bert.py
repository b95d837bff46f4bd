"""What of BERT is understood: config.json, names of tensors, the metadata of GGUF files."""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import ConfigError, MalformedFile, UnsupportedFile
from aboard.models import EncoderModel, describe_model
from tiny_encoders import TinyBert, bert_folder, bert_weights

TEXTS = ["the sea", "until the boat is there"]


def imported(folder: Path, path: Path) -> tuple[dict[str, object], frozenset[str]]:
    import_checkpoint(folder, path)
    with open_gguf(path) as file:
        return dict(file.metadata), frozenset(file.tensors)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], frozenset[str]]:
    folder = tmp_path_factory.mktemp("bert")
    return imported(bert_folder(folder / "tiny"), folder / "tiny.gguf")


def test_names_of_tensors_are_those_of_llama_cpp(
    plain: tuple[dict[str, object], frozenset[str]],
) -> None:
    _, names = plain

    known = {
        gguf.TENSOR_NAMES[tensor].replace("{bid}", "0")
        for tensor in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.BERT]
    }

    stems = {name.rpartition(".")[0].replace("blk.1.", "blk.0.") for name in names}
    assert stems <= known
    assert "token_types" in stems


def test_metadata_has_the_keys_of_llama_cpp(
    plain: tuple[dict[str, object], frozenset[str]],
) -> None:
    metadata, _ = plain

    assert metadata["general.architecture"] == "bert"
    assert metadata[gguf.Keys.LLM.POOLING_TYPE.format(arch="bert")] == gguf.PoolingType.MEAN
    assert metadata[gguf.Keys.Attention.CAUSAL.format(arch="bert")] is False
    assert metadata[gguf.Keys.Tokenizer.TOKEN_TYPE_COUNT] == 2
    assert metadata[gguf.Keys.Attention.LAYERNORM_EPS.format(arch="bert")] == pytest.approx(1e-12)
    assert metadata["tokenizer.ggml.model"] == "bert"


def test_a_file_that_says_less_means_the_same(
    plain: tuple[dict[str, object], frozenset[str]],
) -> None:
    metadata, names = plain
    optional = ("bert.attention.causal", "bert.pooling_type", "aboard.embedding.normalize")
    less = {key: value for key, value in metadata.items() if key not in optional}

    model = describe_model(less, names)

    assert isinstance(model, EncoderModel)
    assert model == describe_model(metadata, names)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bert.attention.causal", True),
        ("bert.pooling_type", 3),
        ("bert.pooling_type", 0),
        ("bert.attention.head_count", 7),
        ("bert.attention.head_count_kv", 1),
        ("bert.rope.freq_base", 10_000.0),
        ("bert.vocab_size", 5),
        ("bert.block_count", 100_000),
        ("bert.classifier.output_labels", ["a"]),
        ("tokenizer.ggml.token_type_count", "two"),
        ("aboard.embedding.max_tokens", 100_000),
        ("aboard.embedding.normalize", 1),
        ("aboard.embedding.prompt", "query: "),
    ],
)
def test_what_would_change_a_vector_is_refused_by_its_name(
    key: str, value: object, plain: tuple[dict[str, object], frozenset[str]]
) -> None:
    metadata, names = plain

    with pytest.raises(ConfigError) as caught:
        describe_model({**metadata, key: value}, names)

    assert key.rpartition(".")[2].split("_")[0] in str(caught.value) or "positions" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "change",
    [
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "relu"},
        {"hidden_act": "gelu_new"},
        {"is_decoder": True},
        {"embedding_size": 32},
        {"layer_norm_eps": 0},
    ],
    ids=str,
)
def test_another_kind_of_bert_is_refused(change: Mapping[str, object], tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny", TinyBert(own=change))

    with pytest.raises(ConfigError, match=next(iter(change))):
        import_checkpoint(folder, tmp_path / "tiny.gguf")

    assert not (tmp_path / "tiny.gguf").exists()


def older_names(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As checkpoints of the first years name them, with the heads that they were trained with."""
    renamed = {}
    for name, values in weights.items():
        if "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[f"bert.{name}"] = values
    width = weights["embeddings.LayerNorm.bias"].size
    renamed["bert.pooler.dense.weight"] = np.zeros((width, width), np.float32)
    renamed["cls.predictions.bias"] = np.zeros(3, np.float32)
    renamed["bert.embeddings.position_ids"] = np.arange(160).reshape(1, -1)
    return renamed


def test_older_names_give_the_same_vectors(tmp_path: Path) -> None:
    shape = TinyBert()
    weights = bert_weights(shape, 4)
    import_checkpoint(bert_folder(tmp_path / "new", shape, weights=weights), tmp_path / "new.gguf")
    old = bert_folder(tmp_path / "old", shape, weights=older_names(weights))

    import_checkpoint(old, tmp_path / "old.gguf")

    vectors = [aboard.load(tmp_path / f"{name}.gguf").embed(TEXTS) for name in ("new", "old")]
    assert vectors[0].tobytes() == vectors[1].tobytes()


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    weights = bert_weights(TinyBert(), 4)
    twice = {**weights, "embeddings.LayerNorm.gamma": weights["embeddings.LayerNorm.weight"]}

    with pytest.raises(MalformedFile, match="are one"):
        import_checkpoint(bert_folder(tmp_path / "tiny", weights=twice), tmp_path / "tiny.gguf")


def test_a_classifier_is_refused_by_its_tensor(tmp_path: Path) -> None:
    weights = {**bert_weights(TinyBert(), 4), "classifier.weight": np.zeros((2, 64), np.float32)}

    with pytest.raises(UnsupportedFile, match=r"classifier\.weight"):
        import_checkpoint(bert_folder(tmp_path / "tiny", weights=weights), tmp_path / "tiny.gguf")


def test_the_added_tables_stay_float32(tmp_path: Path) -> None:
    import_checkpoint(bert_folder(tmp_path / "tiny"), tmp_path / "tiny.gguf", type="q8_0")

    with open_gguf(tmp_path / "tiny.gguf") as file:
        formats = {name: info.format for name, info in file.tensors.items()}

    assert formats["blk.0.attn_q.weight"] == "Q8_0"
    assert formats["position_embd.weight"] == formats["token_types.weight"] == "F32"


def test_the_width_of_quantised_models_must_fit_the_blocks(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny", TinyBert(width=60, heads=5))

    made = import_checkpoint(folder, tmp_path / "tiny.gguf", type="q8_0")

    assert "rows of 60 weights are no whole blocks of Q8_0" in made.notes[0]
    assert aboard.load(tmp_path / "tiny.gguf").embed(TEXTS).shape == (2, 60)
