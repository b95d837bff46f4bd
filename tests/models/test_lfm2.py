"""LFM2: what its configs and files may say, and what an import keeps; see also tests/artifact."""

from pathlib import Path

import gguf
import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError, ConfigError, UnsupportedFile
from aboard.models import Config, Conversion, convert_config, describe_model
from artifact.families import shape_of, write_family
from artifact.folders import imported

# As LFM2-1.2B's config.json has it, with the older names of some members.
PUBLISHED = {
    "model_type": "lfm2",
    "block_auto_adjust_ff_dim": True,
    "block_dim": 64,
    "block_ff_dim": 300,
    "block_ffn_dim_multiplier": 1.0,
    "block_mlp_init_scale": 1.0,
    "block_multiple_of": 32,
    "block_norm_eps": 1e-5,
    "block_out_init_scale": 1.0,
    "block_use_swiglu": True,
    "block_use_xavier_init": True,
    "conv_L_cache": 3,
    "conv_bias": False,
    "conv_dim": 64,
    "conv_dim_out": 64,
    "conv_use_xavier_init": True,
    "full_attn_idxs": [1, 3],
    "hidden_size": 64,
    "max_position_embeddings": 128000,
    "norm_eps": 1e-5,
    "num_attention_heads": 4,
    "num_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "rope_theta": 1e6,
    "use_pos_enc": True,
    "vocab_size": 259,
}


def converted(**changes: object) -> Conversion:
    """Of the published config with changes; one of `...` takes the member out."""
    config = {**PUBLISHED, **changes}
    return convert_config(Config({key: value for key, value in config.items() if value is not ...}))


@pytest.mark.parametrize("name", ["lfm2", "lfm2_odd"])
def test_layers_with_convolutions_have_no_kv_heads_in_a_file(tmp_path: Path, name: str) -> None:
    path = imported(tmp_path, write_family(name, tmp_path))

    kv_heads = gguf.GGUFReader(path).fields["lfm2.attention.head_count_kv"].contents()
    assert kv_heads == shape_of(name).own["attention.head_count_kv"].tolist()


def test_taps_of_convolutions_stay_float32_and_nobody_is_told(tmp_path: Path) -> None:
    source = write_family("lfm2", tmp_path)

    imported = import_checkpoint(source, tmp_path / "out.gguf", type="q8_0")

    formats = {
        tensor.name: tensor.tensor_type.name
        for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors
    }
    assert formats["blk.0.shortconv.conv.weight"] == "F32"
    assert formats["blk.0.shortconv.in_proj.weight"] == "Q8_0"
    assert imported.notes == ()
    assert np.isfinite(aboard.load(tmp_path / "out.gguf").logits([1, 2, 3])).all()


def test_a_published_config_has_the_names_of_gguf() -> None:
    conversion = converted()

    assert conversion.architecture == "lfm2"
    assert conversion.metadata["lfm2.attention.head_count_kv"] == [0, 2, 0, 2]
    assert conversion.metadata["lfm2.feed_forward_length"] == 224  # 2/3 of 300, then in 32s
    assert conversion.metadata["lfm2.shortconv.l_cache"] == 3
    assert conversion.metadata["lfm2.rope.freq_base"] == 1e6
    assert conversion.copies == {"lm_head.weight": "model.embed_tokens.weight"}


@pytest.mark.parametrize(
    ("changes", "width"),
    [
        ({"block_auto_adjust_ff_dim": False}, 300),
        ({"block_ffn_dim_multiplier": 1.5}, 320),
        ({"block_ffn_dim_multiplier": None}, 200),
        ({"block_ff_dim": ..., "intermediate_size": 96}, 64),
        ({"intermediate_size": 96}, 224),
    ],
)
def test_the_width_of_feed_forward_is_that_of_transformers(
    changes: dict[str, object], width: int
) -> None:
    assert converted(**changes).metadata["lfm2.feed_forward_length"] == width


@pytest.mark.parametrize(
    ("changes", "heads"),
    [
        ({"full_attn_idxs": ...}, [2, 2, 2, 2]),
        ({"full_attn_idxs": ..., "layer_types": ["conv"] * 3 + ["full_attention"]}, [0, 0, 0, 2]),
        ({"layer_types": ["conv", "full_attention"] * 2}, [0, 2, 0, 2]),
    ],
)
def test_layers_are_of_the_kinds_that_transformers_takes(
    changes: dict[str, object], heads: list[int]
) -> None:
    assert converted(**changes).metadata["lfm2.attention.head_count_kv"] == heads


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_bias": True}, "conv_bias is 'True'"),
        ({"conv_dim": 32}, "conv_dim is '32', Aboard understands 64"),
        ({"num_heads": 8}, "num_heads is '8'"),
        ({"block_norm_eps": 1e-6}, "block_norm_eps is '1e-06'"),
        ({"block_use_swiglu": False}, "block_use_swiglu"),
        ({"use_pos_enc": False}, "use_pos_enc"),
        ({"conv_L_cache": 1}, "conv_L_cache is '1', expected an integer from 2"),
        ({"conv_L_cache": 18}, "conv_L_cache is 18, expected at most 17"),
        ({"full_attn_idxs": [4]}, "full_attn_idxs is .* expected different integers from 0 to 3"),
        ({"full_attn_idxs": [1, 1]}, "full_attn_idxs"),
        ({"layer_types": ["conv"] * 4}, "layer_types and full_attn_idxs differ"),
        ({"layer_types": ["conv"] * 3}, "layer_types"),
        ({"layer_types": ["conv"] * 3 + ["other"]}, "layer_types has 'other'"),
        ({"block_ffn_dim_multiplier": 1e308}, "block_ffn_dim_multiplier is 1e.308, which makes"),
        ({"block_multiple_of": 1 << 31}, "expected an integer from 1 to 2147483647"),
        ({"something_new": 1}, "something_new"),
        ({"num_experts": 4}, "num_experts"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        converted(**changes)


@pytest.mark.parametrize("model_type", ["lfm2_moe", "lfm2_vl"])
def test_other_kinds_of_lfm2_are_refused_by_name(model_type: str) -> None:
    with pytest.raises(UnsupportedFile, match=f"the model_type '{model_type}' is not supported"):
        converted(model_type=model_type)


FILE = {
    "block_count": 3,
    "context_length": 2048,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": [0, 2, 0],
    "attention.layer_norm_rms_epsilon": 1e-5,
    "shortconv.l_cache": 3,
    "vocab_size": 1000,
}


def test_layers_of_a_file_without_kv_heads_have_convolutions() -> None:
    entries = {f"lfm2.{key}": value for key, value in FILE.items()}

    model = describe_model({"general.architecture": "lfm2", **entries}, frozenset())

    assert [layer.attention is None for layer in model.layers] == [True, False, True]
    assert model.layers[1].attention is not None
    assert model.layers[1].attention.n_kv_heads == 2
    assert model.layers[0].short_conv is not None
    assert model.layers[0].short_conv.taps.shape == (64, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention.head_count_kv": [0, 2, 3]}, "4 query heads can't share 3 KV heads"),
        ({"attention.head_count_kv": [0, 2]}, "expected 3 integers"),
        ({"attention.head_count_kv": [0, -2, 0]}, "expected 3 integers from 0"),
        ({"attention.head_count_kv": [0, 2.0, 0]}, "expected 3 integers from 0"),
        ({"attention.head_count_kv": "002"}, "expected 3 integers"),
        ({"attention.head_count_kv": [0, 3, 0]}, "4 query heads can't share 3 KV heads"),
        ({"shortconv.l_cache": 18}, "l_cache is 18, expected at most 17"),
        ({"shortconv.l_cache": 1}, "expected an integer from 2"),
        ({"expert_count": 4}, "lfm2.expert_count is '4'"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(changes: dict[str, object], message: str) -> None:
    entries = {f"lfm2.{key}": value for key, value in {**FILE, **changes}.items()}

    with pytest.raises(AboardError, match=message):
        describe_model({"general.architecture": "lfm2", **entries}, frozenset())
