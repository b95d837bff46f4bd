"""Gemma 4: what its configs and files may say, and what is refused; see also tests/artifact."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError, UnsupportedFile
from aboard.models import Config, Conversion, DecoderModel, convert_config, describe_model
from artifact.families import CONFIGS, shape_of, weights_of
from artifact.folders import write_folder
from tiny_families import random_weights, tiny_model
from tiny_gguf import float32_tensor, write_gguf

NEAR, FAR = "sliding_attention", "full_attention"
# What Google's folders say of their text models, as transformers 5 first wrote them.
E2B = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_k_eq_v": False,
    "bos_token_id": 2,
    "dtype": "bfloat16",
    "enable_moe_block": False,
    "eos_token_id": 1,
    "expert_intermediate_size": None,
    "final_logit_softcapping": 30.0,
    "global_head_dim": 512,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 1536,
    "hidden_size_per_layer_input": 256,
    "initializer_range": 0.02,
    "intermediate_size": 6144,
    "layer_types": ([NEAR] * 4 + [FAR]) * 7,
    "max_position_embeddings": 131072,
    "model_type": "gemma4_text",
    "num_attention_heads": 8,
    "num_experts": None,
    "num_global_key_value_heads": None,
    "num_hidden_layers": 35,
    "num_key_value_heads": 1,
    "num_kv_shared_layers": 20,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "rope_parameters": {
        FAR: {"partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional"},
        NEAR: {"rope_theta": 10000.0, "rope_type": "default"},
    },
    "sliding_window": 512,
    "tie_word_embeddings": True,
    "top_k_experts": None,
    "use_bidirectional_attention": None,
    "use_cache": True,
    "use_double_wide_mlp": True,
    "vocab_size": 262144,
    "vocab_size_per_layer_input": 262144,
}
LARGE = {
    "attention_k_eq_v": True,
    "hidden_size": 5376,
    "hidden_size_per_layer_input": 0,
    "intermediate_size": 21504,
    "layer_types": ([NEAR] * 5 + [FAR]) * 10,
    "max_position_embeddings": 262144,
    "num_attention_heads": 32,
    "num_global_key_value_heads": 4,
    "num_hidden_layers": 60,
    "num_key_value_heads": 16,
    "num_kv_shared_layers": 0,
    "sliding_window": 1024,
    "use_bidirectional_attention": "vision",
    "use_double_wide_mlp": False,
}


def converted(base: dict[str, Any] = E2B, **changes: object) -> Conversion:
    """Of a config with changes; one of `...` takes the member out."""
    config = {**base, **changes}
    return convert_config(Config({key: value for key, value in config.items() if value is not ...}))


def without_prefix(conversion: Conversion) -> dict[str, object]:
    return {key.removeprefix("gemma4."): value for key, value in conversion.metadata.items()}


def test_the_smallest_published_model_has_the_entries_that_llama_cpps_converter_writes() -> None:
    conversion = converted()

    found = without_prefix(conversion)
    expected = {
        "attention.head_count_kv": 1,
        "attention.key_length": 512,
        "attention.key_length_swa": 256,
        "attention.shared_kv_layers": 20,
        "attention.sliding_window": 512,
        "attention.sliding_window_pattern": ([True] * 4 + [False]) * 7,
        "embedding_length_per_layer_input": 256,
        "feed_forward_length": [6144] * 15 + [12288] * 20,
        "final_logit_softcapping": 30.0,
        "rope.dimension_count": 512,
        "rope.dimension_count_swa": 256,
        "rope.freq_base": 1e6,
        "rope.freq_base_swa": 1e4,
    }
    assert {key: found[key] for key in expected} == expected
    divisors = conversion.made["rope_freqs.weight"]
    assert divisors.tolist() == [1.0] * 64 + [np.float32(1e30)] * 192


def test_embeddings_are_scaled_by_a_number_of_the_type_of_the_weights() -> None:
    assert without_prefix(converted(dtype="bfloat16"))["embedding_scale"] == 39.25  # 39.19 rounded
    assert "embedding_scale" not in without_prefix(converted(dtype="float32"))


def test_the_largest_published_model_has_kv_heads_layer_by_layer() -> None:
    found = without_prefix(converted(E2B | LARGE))

    assert found["attention.head_count_kv"] == ([16] * 5 + [4]) * 10
    assert found["feed_forward_length"] == 21504
    assert found["embedding_length_per_layer_input"] == 0


def test_heads_of_far_layers_may_be_told_layer_by_layer() -> None:
    far = {"head_dim": 512, "num_key_value_heads": 4}
    told = {"global_head_dim": ..., "num_global_key_value_heads": ...}
    layers = {str(i): far for i in range(5, 60, 6)}

    found = converted(E2B | LARGE, **told, per_layer_config=layers)

    assert found.metadata == converted(E2B | LARGE).metadata


def test_a_config_that_says_little_is_read_as_transformers_reads_it() -> None:
    found = without_prefix(converted({"model_type": "gemma4_text"}))

    assert found["block_count"] == 30
    assert found["attention.sliding_window_pattern"] == ([True] * 5 + [False]) * 5
    assert (found["attention.key_length_swa"], found["attention.key_length"]) == (256, 512)
    assert found["embedding_length_per_layer_input"] == 256
    assert found["attention.sliding_window"] == 512
    assert found["final_logit_softcapping"] == 0
    unified = without_prefix(converted({"model_type": "gemma4_unified_text"}))
    assert unified["embedding_length_per_layer_input"] == 0
    assert unified["attention.sliding_window"] == 1024
    assert unified["context_length"] == 262144


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enable_moe_block": True}, r"mixture of experts \(enable_moe_block\)"),
        ({"use_bidirectional_attention": "all"}, "sees those behind it .use_bidirectional_att"),
        ({"use_bidirectional_attention": "some"}, "use_bidirectional_attention is 'some'"),
        ({"attention_bias": True}, "attention_bias is 'True'"),
        ({"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ({"vocab_size_per_layer_input": 1000}, "vocab_size_per_layer_input is 1000"),
        ({"layer_types": [NEAR] * 35}, "the last layer has a window"),
        ({"layer_types": [FAR] * 34}, "expected 35 texts"),
        ({"num_kv_shared_layers": 19}, "layer 16 shares keys and values, and layer 14"),
        ({"num_kv_shared_layers": 35}, "layer 0 shares keys and values"),
        ({"global_head_dim": 511}, "heads of far layers are 511 wide"),
        ({"per_layer_config": {"4": {"head_dim": 512}}}, "differ in their heads"),
        ({"per_layer_config": {"0": {"head_dim": 512}}}, "layer 0 has a window, and heads of"),
        ({"per_layer_config": {"40": {}}}, "unknown hyper-parameters: .*per_layer_config: 40"),
        ({"per_layer_config": {"4": {"num_attention_heads": 2}}}, "num_attention_heads"),
        (
            {"per_layer_config": {str(i): {"head_dim": 256} for i in range(4, 35, 5)}},
            "global_head_dim and per_layer_config differ",
        ),
        ({"something_new": 1}, "something_new"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(AboardError, match=message):
        converted(**changes)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (FAR, {"rope_type": "yarn"}, "rope_type is 'yarn'"),
        (FAR, {"partial_rotary_factor": 1.5}, "partial_rotary_factor is 1.5"),
        (FAR, {"rope_type": "default"}, "partial_rotary_factor is '0.25'"),
        (FAR, {"other": 1}, "other"),
        (NEAR, {"rope_type": "proportional"}, "rope_type is 'proportional'"),
        (NEAR, {"partial_rotary_factor": 0.5}, "partial_rotary_factor is '0.5'"),
    ],
)
def test_a_rope_that_is_not_understood_is_refused(
    kind: str, changes: dict[str, object], message: str
) -> None:
    ropes = E2B["rope_parameters"]

    with pytest.raises(AboardError, match=message):
        converted(rope_parameters=ropes | {kind: ropes[kind] | changes})


def test_a_factor_slows_the_pairs_that_turn() -> None:
    ropes = E2B["rope_parameters"]

    found = converted(rope_parameters=ropes | {FAR: ropes[FAR] | {"factor": 8.0}})

    assert found.made["rope_freqs.weight"][[0, 63, 64]].tolist() == [8.0, 8.0, np.float32(1e30)]


@pytest.mark.parametrize("model_type", ["gemma3n", "gemma4_assistant", "gemma3n_text"])
def test_others_of_the_family_are_refused_by_name(model_type: str) -> None:
    with pytest.raises(UnsupportedFile, match=f"the model_type '{model_type}' is not supported"):
        converted(model_type=model_type)


def test_keys_that_a_published_checkpoint_has_in_layers_that_share_others_say_nothing(
    tmp_path: Path,
) -> None:
    unused = {
        f"model.layers.{layer}.self_attn.{name}.weight": np.ones(shape, np.float32)
        for layer, d in ((3, 16), (5, 32))
        for name, shape in {"k_proj": (2 * d, 64), "v_proj": (2 * d, 64), "k_norm": (d,)}.items()
    }
    for name, weights in {"few": {}, "all": unused}.items():
        source = write_folder(tmp_path / name, weights_of("gemma4") | weights, CONFIGS["gemma4"])
        import_checkpoint(source, tmp_path / f"{name}.gguf")

    assert (tmp_path / "all.gguf").stat().st_size == (tmp_path / "few.gguf").stat().st_size
    few, everything = (aboard.load(tmp_path / f"{name}.gguf") for name in ("few", "all"))
    assert few.logits([1, 2, 3]).tobytes() == everything.logits([1, 2, 3]).tobytes()


def test_a_file_may_have_such_keys_too(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "few.gguf", shape_of("gemma4"))
    want = aboard.load(path).logits([1, 2, 3])
    import_checkpoint(path, tmp_path / "same.gguf")
    shape = shape_of("gemma4")
    with_keys(shape, tmp_path / "all.gguf")

    got = aboard.load(tmp_path / "all.gguf").logits([1, 2, 3])
    import_checkpoint(tmp_path / "all.gguf", tmp_path / "again.gguf", type="f16")

    assert got.tobytes() == want.tobytes()
    assert np.isfinite(aboard.load(tmp_path / "again.gguf").logits([1, 2, 3])).all()


def with_keys(shape: Any, path: Path) -> None:
    """A file of this shape that has keys in a layer that doesn't use them."""
    from tiny import tokenizer_metadata
    from tiny_families import gguf_tensors, metadata

    tensors = gguf_tensors(shape, random_weights(shape, 0))
    tensors["blk.4.attn_k.weight"] = float32_tensor(np.ones((32, 64), np.float32))
    write_gguf(path, {**metadata(shape), **tokenizer_metadata(shape.vocabulary)}, tensors)


FILE: dict[str, object] = {
    "block_count": 6,
    "context_length": 2048,
    "embedding_length": 64,
    "feed_forward_length": [96, 96, 96, 192, 192, 192],
    "attention.head_count": 4,
    "attention.head_count_kv": [2, 2, 1, 2, 2, 1],
    "attention.key_length": 32,
    "attention.value_length": 32,
    "attention.key_length_swa": 16,
    "attention.value_length_swa": 16,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "attention.shared_kv_layers": 3,
    "attention.sliding_window": 512,
    "attention.sliding_window_pattern": [True, True, False] * 2,
    "embedding_length_per_layer_input": 8,
    "vocab_size": 1000,
}
NAMES = frozenset({"rope_freqs.weight", "blk.0.attn_v.weight"})


def described(names: frozenset[str] = NAMES, **changes: object) -> DecoderModel:
    entries = {f"gemma4.{key}": value for key, value in {**FILE, **changes}.items()}
    model = describe_model({"general.architecture": "gemma4", **entries}, names)
    assert isinstance(model, DecoderModel)
    return model


def test_layers_of_a_file_have_their_own_heads_keys_and_widths() -> None:
    model = described()

    attentions = [layer.attention for layer in model.layers]
    assert [each.keys_of for each in attentions if each] == [None, None, None, 1, 1, 2]
    assert [each.head_dim for each in attentions if each] == [16, 16, 32, 16, 16, 32]
    assert [each.window for each in attentions if each] == [512, 512, 0, 512, 512, 0]
    assert [each.value is None for each in attentions if each] == [False] + [True] * 5
    widths = [layer.feed_forward.gate.weight.shape[0] for layer in model.layers]
    assert widths == [96, 96, 96, 192, 192, 192]
    assert model.logit_cap == 30  # of a file that says nothing of it, as llama.cpp has it
    assert model.layer_embedding is not None
    assert model.layer_embedding.table.shape == (1000, 48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention.value_length_swa": 8}, "value_length_swa is '8'"),
        ({"attention.head_count_kv": [2, 0, 1, 2, 2, 1]}, "layer 1 has no KV heads"),
        ({"attention.head_count_kv": [2, 3, 1, 2, 2, 1]}, "4 query heads can't share 3 KV heads"),
        ({"attention.shared_kv_layers": 2}, "layer 4 shares keys and values, and layer 2"),
        ({"attention.shared_kv_layers": 7}, "shares keys and values"),
        ({"feed_forward_length": [96] * 5 + [0]}, "feed_forward_length is 0 of layer 5"),
        ({"rope.dimension_count_swa": 32}, "32 rotated dimensions"),
        ({"expert_count": 4}, "gemma4.expert_count is '4'"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(AboardError, match=message):
        described(**changes)


def test_a_file_that_does_not_say_which_pairs_turn_is_refused() -> None:
    with pytest.raises(AboardError, match=r"rope_freqs\.weight is missing"):
        described(frozenset())
