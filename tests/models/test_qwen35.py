"""Qwen3.5: what its configs and files may say, what an import keeps; see also tests/artifact."""

from pathlib import Path

import gguf
import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError, UnsupportedFile
from aboard.models import Config, Conversion, convert_config, describe_model
from aboard.models.decoder import DecoderModel
from artifact.families import CONFIGS, weights_of, write_family
from artifact.folders import write_folder


def converted(**changes: object) -> Conversion:
    """Of a config with changes; one of `...` takes the member out."""
    config = {**CONFIGS["qwen35"], **changes}
    return convert_config(Config({key: value for key, value in config.items() if value is not ...}))


def test_taps_of_convolutions_stay_float32(tmp_path: Path) -> None:
    import_checkpoint(write_family("qwen35", tmp_path), tmp_path / "out.gguf", type="q8_0")

    formats = {
        tensor.name: tensor.tensor_type.name
        for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors
    }
    assert formats["blk.0.ssm_conv1d.weight"] == formats["blk.0.ssm_a"] == "F32"
    assert formats["blk.0.attn_qkv.weight"] == "Q8_0"
    assert np.isfinite(aboard.load(tmp_path / "out.gguf").logits([1, 2, 3])).all()


def test_hyper_parameters_have_the_names_of_gguf() -> None:
    conversion = converted()

    assert conversion.architecture == "qwen35"
    expected = {
        "full_attention_interval": 4,
        "rope.dimension_count": 4,
        "rope.dimension_sections": [2, 0, 0, 0],
        "ssm.conv_kernel": 4,
        "ssm.state_size": 16,
        "ssm.group_count": 2,
        "ssm.time_step_rank": 4,
        "ssm.inner_size": 64,
    }
    assert {key: conversion.metadata[f"qwen35.{key}"] for key in expected} == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_bias": True}, "attention_bias is 'True'"),
        ({"attn_output_gate": False}, "attn_output_gate is 'False'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"linear_key_head_dim": 8}, "linear_key_head_dim is not linear_value_head_dim"),
        ({"linear_num_value_heads": 3}, "3 linear value heads can't share 2 key heads"),
        ({"linear_conv_kernel_dim": 1}, "expected an integer from 2"),
        ({"layer_types": ["full_attention"] + ["linear_attention"] * 3}, "has no period"),
        ({"layer_types": ["linear_attention"] * 3 + ["other"]}, "has no period"),
        ({"full_attention_interval": 2}, "full_attention_interval, 2, differ"),
        ({"something_new": 1}, "something_new"),
        ({"num_experts": 4}, "num_experts"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(AboardError, match=message):
        converted(**changes)


def test_what_guesses_ahead_in_a_folder_is_left_out(tmp_path: Path) -> None:
    weights = weights_of("qwen35")
    ahead = {"mtp.fc.weight": np.ones((64, 128), np.float32)}
    config = CONFIGS["qwen35"] | {"mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False}
    plain = write_folder(tmp_path / "plain" / "model", weights, CONFIGS["qwen35"])
    whole = write_folder(tmp_path / "whole" / "model", weights | ahead, config)

    for source in (plain, whole):
        import_checkpoint(source, source.with_suffix(".gguf"))

    assert plain.with_suffix(".gguf").read_bytes() == whole.with_suffix(".gguf").read_bytes()


@pytest.mark.parametrize("model_type", ["qwen3_5_moe_text", "qwen3_5_moe", "qwen3_next"])
def test_others_of_the_family_are_refused_by_name(model_type: str) -> None:
    with pytest.raises(UnsupportedFile, match=f"the model_type '{model_type}' is not supported"):
        converted(model_type=model_type)


FILE = {
    "block_count": 4,
    "context_length": 2048,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 16,
    "ssm.group_count": 2,
    "ssm.time_step_rank": 4,
    "ssm.inner_size": 64,
    "vocab_size": 1000,
}


def test_every_fourth_layer_of_a_file_has_attention() -> None:
    entries = {f"qwen35.{key}": value for key, value in FILE.items()}

    model = describe_model({"general.architecture": "qwen35", **entries}, frozenset())

    assert [layer.attention is None for layer in model.layers] == [True, True, True, False]


def test_layers_that_guess_ahead_are_none_of_the_model() -> None:
    changed = {**FILE, "block_count": 6, "nextn_predict_layers": 2}
    entries = {f"qwen35.{key}": value for key, value in changed.items()}
    ahead = {"blk.4.nextn.eh_proj.weight", "blk.5.attn_q.weight"}
    names = frozenset(ahead | {"blk.3.attn_q.weight"})

    model = describe_model({"general.architecture": "qwen35", **entries}, names)

    assert isinstance(model, DecoderModel)
    assert len(model.layers) == 4
    assert model.unused == ahead


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssm.inner_size": 32}, "don't make an ssm.inner_size of 32"),
        ({"ssm.group_count": 3}, "4 heads of 16 for 3 heads of keys"),
        ({"ssm.conv_kernel": 18}, "ssm.conv_kernel is 18, expected at most 17"),
        ({"nextn_predict_layers": 4}, "4 of 4 layers of a qwen35 are beside the model"),
        ({"nextn_predict_layers": -1}, "nextn_predict_layers is '-1'"),
        ({"expert_count": 4}, "qwen35.expert_count is '4'"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(changes: dict[str, object], message: str) -> None:
    entries = {f"qwen35.{key}": value for key, value in {**FILE, **changes}.items()}

    with pytest.raises(AboardError, match=message):
        describe_model({"general.architecture": "qwen35", **entries}, frozenset())
