"""Configs of Gemma, OLMo and Granite: what is read, and what contradicts itself is refused."""

import json

import pytest

from aboard.errors import ConfigError, UnsupportedFile
from aboard.models import Config, convert_config
from aboard.models.conversion import Conversion, Plus
from artifact.folders import GOLDEN

CONFIGS = json.loads((GOLDEN / "import" / "families.json").read_text())
NEAR, FAR = "sliding_attention", "full_attention"
# What Google's folders say, as transformers 4 wrote them; the rest is its defaults.
GEMMA3_4B = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "eos_token_id": [1, 106],
    "image_token_index": 262144,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
}
GEMMA3_1B = {
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 1152,
    "intermediate_size": 6912,
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_hidden_layers": 26,
    "num_key_value_heads": 1,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "sliding_window_pattern": 6,
    "vocab_size": 262144,
}


def converted(name: str, **changes: object) -> Conversion:
    config = {**CONFIGS[name], **changes}
    return convert_config(Config({k: v for k, v in config.items() if v is not ...}))


def test_what_a_config_leaves_out_is_what_transformers_takes() -> None:
    conversion = convert_config(Config(GEMMA3_4B))

    assert conversion.architecture == "gemma3"
    assert conversion.metadata == {
        "gemma3.vocab_size": 262_208,
        "gemma3.context_length": 131_072,
        "gemma3.embedding_length": 2560,
        "gemma3.block_count": 34,
        "gemma3.feed_forward_length": 10_240,
        "gemma3.attention.head_count": 8,
        "gemma3.attention.head_count_kv": 4,
        "gemma3.attention.key_length": 256,
        "gemma3.attention.value_length": 256,
        "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
        "gemma3.attention.sliding_window": 1024,
        "gemma3.rope.dimension_count": 256,
        "gemma3.rope.freq_base": 1_000_000.0,
        "gemma3.rope.freq_base_swa": 10_000.0,
        "gemma3.rope.scaling.type": "linear",
        "gemma3.rope.scaling.factor": 8.0,
        "gemma3.embedding_scale": 50.5,
    }
    assert conversion.copies == {"lm_head.weight": "model.embed_tokens.weight"}


# torch.tensor(width**0.5).to(dtype), which is what transformers multiplies embeddings with.
@pytest.mark.parametrize(
    ("dtype", "width", "scale"),
    [
        ("bfloat16", 640, 25.25),
        ("bfloat16", 1152, 34.0),
        ("bfloat16", 2304, None),
        ("bfloat16", 3584, 59.75),
        ("bfloat16", 3840, 62.0),
        ("bfloat16", 4608, 68.0),
        ("float16", 640, 25.296875),
        ("float16", 2560, 50.59375),
        ("float32", 640, None),
        (None, 640, None),
    ],
)
@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_the_embeddings_of_gemmas_are_scaled_in_the_type_of_the_weights(
    family: str, key: str, dtype: str | None, width: int, scale: float | None
) -> None:
    config = {"dtype": ..., "hidden_size": width, key: dtype}

    metadata = converted(family, **config).metadata

    assert metadata.get(f"{family}.embedding_scale") == scale


def test_an_older_config_says_the_same_as_a_newer_one() -> None:
    older = convert_config(Config(GEMMA3_1B))
    newer = {k: v for k, v in GEMMA3_1B.items() if not k.startswith(("rope_", "sliding_window_p"))}
    newer["rope_parameters"] = {
        NEAR: {"rope_type": "default", "rope_theta": 10_000.0},
        FAR: {"rope_type": "default", "rope_theta": 1_000_000.0},
    }
    newer["layer_types"] = [FAR if i % 6 == 5 else NEAR for i in range(26)]

    assert convert_config(Config(newer)) == older


def test_granites_multipliers_are_1_where_nothing_is_said() -> None:
    config = {k: v for k, v in CONFIGS["granite"].items() if not k.endswith(("plier", "scaling"))}

    metadata = convert_config(Config(config)).metadata

    for name in ("attention.scale", "embedding_scale", "residual_scale", "logit_scale"):
        assert metadata[f"granite.{name}"] == 1.0


def test_the_head_of_a_tied_olmo_is_written_for_llama_cpp_needs_one() -> None:
    rules = {rule.name: rule for rule in converted("olmo2", tie_word_embeddings=True).tensors}

    assert rules["output.weight"].sources == rules["token_embd.weight"].sources


def test_a_scale_of_scores_is_held_by_the_norm_of_the_queries() -> None:
    rules = {rule.name: rule for rule in converted("gemma3", query_pre_attn_scalar=64).tensors}

    assert rules["blk.0.attn_q_norm.weight"].transform == Plus(1.0, 0.5)
    assert rules["blk.0.attn_k_norm.weight"].transform == Plus(1.0)


@pytest.mark.parametrize(
    ("types", "entries"),
    [
        ("NNNNNFN", {"sliding_window": 20}),
        ("NNNNNNN", {"sliding_window": 20, "sliding_window_pattern": 0}),
        ("NFNFNFN", {"sliding_window": 20, "sliding_window_pattern": 2}),
        ("NNFNNFN", {"sliding_window": 20, "sliding_window_pattern": 3}),
        ("NNNNNNF", {"sliding_window": 20, "sliding_window_pattern": 7}),
        ("FFFFFFF", {}),
    ],
)
def test_windows_come_in_periods(types: str, entries: dict[str, int]) -> None:
    kinds = [NEAR if each == "N" else FAR for each in types]

    metadata = converted("gemma3", layer_types=kinds).metadata

    found = {k.rpartition(".")[2]: v for k, v in metadata.items() if "sliding" in k}
    assert found == entries


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gemma3", {"layer_types": [FAR, *[NEAR] * 6]}, "don't come in periods"),
        ("gemma3", {"layer_types": [NEAR] * 6}, "layer_types is .*, expected 7 texts"),
        (
            "gemma3",
            {"layer_types": ["chunked_attention"] * 7},
            "layer_types has 'chunked_attention'",
        ),
        ("gemma3", {"sliding_window_pattern": 2}, "layer_types and sliding_window_pattern differ"),
        ("gemma3", {"sliding_window_pattern": 0}, "sliding_window_pattern is '0'"),
        ("gemma3", {"sliding_window": None}, "sliding_window is null"),
        ("gemma3", {"sliding_window": 0}, "sliding_window is '0'"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "unknown .* attn_logit_softcapping"),
        ("gemma3", {"final_logit_softcapping": 0.0}, "final_logit_softcapping is '0.0'"),
        ("gemma3", {"hidden_activation": "gelu"}, "hidden_activation is 'gelu'"),
        ("gemma3", {"hidden_act": "silu"}, "hidden_act is 'silu'"),
        ("gemma3", {"attention_bias": True}, "attention_bias is 'True'"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention is 'True'"),
        ("gemma3", {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is '0'"),
        ("gemma3", {"rope_theta": 5.0}, "rope_theta is both 5 and 1e[+]06"),
        ("gemma3", {"rope_local_base_freq": 5.0}, "rope_local_base_freq is both 5 and 10000"),
        ("gemma3", {"rope_scaling": {"rope_type": "default"}}, "unknown .* rope_scaling"),
        ("gemma3", {"rope_parameters": {"rope_theta": 5.0}}, "unknown .* rope_theta"),
        ("gemma3", {"rope_parameters": {FAR: {"rope_type": "yarn"}}}, "rope_type is 'yarn'"),
        ("gemma3", {"rope_parameters": {NEAR: {"rope_type": "linear"}}}, "rope_type is 'linear'"),
        ("gemma3", {"rope_parameters": {NEAR: {"factor": 2.0}}}, "unknown .* factor"),
        ("gemma3", {"rope_parameters": {NEAR: 5}}, "sliding_attention is '5', expected an object"),
        ("gemma3", {"num_experts": 4}, "unknown .* num_experts"),
        ("gemma2", {"query_pre_attn_scalar": 25}, "query_pre_attn_scalar is 25; GGUF's gemma2"),
        ("gemma2", {"attn_logit_softcapping": None}, "attn_logit_softcapping is null"),
        ("gemma2", {"final_logit_softcapping": None}, "final_logit_softcapping is null"),
        ("gemma2", {"layer_types": [FAR] * 3}, "no layer has a window"),
        ("gemma2", {"rope_parameters": {"rope_type": "llama3"}}, "rope_type is 'llama3'"),
        ("olmo2", {"attention_bias": True}, "attention_bias is 'True'"),
        ("olmo2", {"clip_qkv": 8.0}, "unknown .* clip_qkv"),
        ("olmo2", {"layer_types": [NEAR] * 2}, "unknown .* layer_types"),
        ("olmo3", {"rope_parameters": {NEAR: {"rope_theta": 9.0}}}, "rope_theta of 9, the others"),
        ("granite", {"logits_scaling": 0}, "logits_scaling is '0'"),
        ("granite", {"residual_multiplier": -1.0}, "residual_multiplier is '-1.0'"),
        ("granite", {"num_local_experts": 8}, "unknown .* num_local_experts"),
        ("granite", {"position_embedding_type": "nope"}, "unknown .* position_embedding_type"),
    ],
)
def test_what_could_change_an_answer_is_refused(
    name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises((ConfigError, UnsupportedFile), match=message):
        converted(name, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_config": None}, "has no text_config"),
        ({"text_config": [1]}, "text_config is .*, expected an object"),
        ({"text_config": {"model_type": "gemma2"}}, "model_type is 'gemma2'"),
        (
            {
                "tie_word_embeddings": False,
                "text_config": {"model_type": "gemma3_text", "tie_word_embeddings": True},
            },
            "tie_word_embeddings differs in text_config",
        ),
        ({"text_config": {"surprise": 1}}, "unknown .* text_config: surprise"),
        ({"surprise": 1}, "unknown .* surprise"),
        ({"quantization_config": {"bits": 4}}, "quantised already"),
    ],
)
def test_what_stands_around_a_text_model_is_read(changes: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, UnsupportedFile), match=message):
        convert_config(Config({**GEMMA3_4B, **changes}))
