"""Configs of published checkpoints are read to their end; what is odd in them is refused."""

import math
from typing import Any

import numpy as np
import pytest

from aboard.errors import AboardError, ConfigError, UnsupportedFile
from aboard.models import Config, convert_config
from aboard.models.conversion import Conversion
from aboard.models.rope_config import RopeConfig
from models.published_configs import (
    MINISTRAL3,
    MISTRAL_7B_V01,
    PHI3_MINI_4K,
    PHI3_MINI_128K,
    PHI4_MINI,
    QWEN3_06B,
    QWEN25_7B,
    SMOLLM3,
)


def converted(config: dict[str, Any], **changes: object) -> Conversion:
    """The conversion, with changes; one of `...` takes the member out."""
    values = {key: value for key, value in {**config, **changes}.items() if value is not ...}
    return convert_config(Config(values))


def without_prefix(conversion: Conversion) -> dict[str, object]:
    return {
        key.removeprefix(f"{conversion.architecture}."): value
        for key, value in conversion.metadata.items()
    }


def scaled(config: dict[str, Any], **members: object) -> dict[str, Any]:
    """The config with changed members of its rope."""
    name = "rope_parameters" if "rope_parameters" in config else "rope_scaling"
    changed = {**config[name], **members}
    return {**config, name: {key: value for key, value in changed.items() if value is not ...}}


@pytest.mark.parametrize(
    ("config", "architecture", "expected"),
    [
        (QWEN25_7B, "qwen2", {"attention.key_length": 128, "rope.freq_base": 1e6}),
        (QWEN3_06B, "qwen3", {"attention.key_length": 128, "rope.dimension_count": 128}),
        (SMOLLM3, "smollm3", {"rope.freq_base": 5e6, "attention.head_count_kv": 4}),
        (PHI3_MINI_4K, "phi3", {"attention.sliding_window": 2047, "rope.dimension_count": 96}),
        (PHI3_MINI_128K, "phi3", {"rope.scaling.original_context_length": 4096}),
        (PHI4_MINI, "phi3", {"rope.dimension_count": 96, "attention.sliding_window": 262144}),
        (MISTRAL_7B_V01, "mistral3", {"attention.sliding_window": 4096}),
        (MINISTRAL3, "mistral3", {"attention.temperature_scale": 0.1}),
    ],
)
def test_published_configs_are_read(
    config: dict[str, Any], architecture: str, expected: dict[str, object]
) -> None:
    conversion = converted(config)

    found = without_prefix(conversion)
    assert conversion.architecture == architecture
    assert {key: found[key] for key in expected} == expected


def test_phis_without_a_window_say_so() -> None:
    found = without_prefix(converted(PHI3_MINI_4K, sliding_window=None))

    assert found["attention.sliding_window"] == 0


@pytest.mark.parametrize("missing", ["max_position_embeddings", "rms_norm_eps", "rope_theta"])
@pytest.mark.parametrize(
    ("config", "values"),
    [
        (QWEN25_7B, (32768, 1e-6, 10_000.0)),
        (QWEN3_06B, (32768, 1e-6, 10_000.0)),
        (SMOLLM3, (32768, 1e-6, 2_000_000.0)),
        (PHI3_MINI_4K, (4096, 1e-5, 10_000.0)),
    ],
)
def test_missing_members_are_those_of_transformers_classes(
    config: dict[str, Any], values: tuple[float, ...], missing: str
) -> None:
    found = without_prefix(converted(config, **{missing: ...}))

    key, expected = {
        "max_position_embeddings": ("context_length", values[0]),
        "rms_norm_eps": ("attention.layer_norm_rms_epsilon", values[1]),
        "rope_theta": ("rope.freq_base", values[2]),
    }[missing]
    assert found[key] == expected


def test_ministral_without_a_rope_has_that_of_transformers() -> None:
    assert converted(MINISTRAL3, rope_parameters=...).metadata == converted(MINISTRAL3).metadata
    assert converted(MINISTRAL3, rope_parameters=None).metadata == converted(MINISTRAL3).metadata


def test_head_sizes_and_heads_of_keys_that_are_missing() -> None:
    assert without_prefix(converted(QWEN3_06B, head_dim=...))["attention.key_length"] == 128
    assert (
        without_prefix(converted(SMOLLM3, num_key_value_heads=...))["attention.head_count_kv"] == 4
    )
    nulls = converted(QWEN25_7B, num_key_value_heads=None)
    assert without_prefix(nulls)["attention.head_count_kv"] == 28


@pytest.mark.parametrize("config", [PHI3_MINI_128K, PHI4_MINI])
def test_longrope_is_the_same_in_both_versions_of_transformers(config: dict[str, Any]) -> None:
    factor = config.get("partial_rotary_factor", 1.0)
    rope = {**config["rope_scaling"], "rope_type": "longrope", "rope_theta": 10_000.0}
    rope |= {"original_max_position_embeddings": 4096, "partial_rotary_factor": factor}

    old = converted(config)
    new = converted(config, rope_scaling=..., rope_theta=..., rope_parameters=rope)

    assert new.metadata == old.metadata
    assert new.made.keys() == {"rope_factors_long.weight", "rope_factors_short.weight"}
    for name, values in new.made.items():
        assert np.array_equal(values, old.made[name])
        length = name.removeprefix("rope_factors_").removesuffix(".weight")
        assert values.tolist() == config["rope_scaling"][f"{length}_factor"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, math.sqrt(1 + math.log(32) / math.log(4096))),
        ({"factor": 8.0}, math.sqrt(1 + math.log(8) / math.log(4096))),
        ({"factor": 1.0}, 1.0),
        ({"factor": 8.0, "attention_factor": 1.5}, 1.5),
    ],
)
def test_longrope_grows_as_in_transformers(members: dict[str, object], expected: float) -> None:
    found = without_prefix(convert_config(Config(scaled(PHI4_MINI, **members))))

    assert found["rope.scaling.attn_factor"] == pytest.approx(expected, rel=1e-12)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {}),
        ({"mscale": 1.0}, {}),
        ({"mscale_all_dim": 0.7}, {}),
        ({"mscale": 1.0, "mscale_all_dim": 0.7}, {"yarn_log_multiplier": 0.7}),
        (
            {"mscale": 0.7, "mscale_all_dim": 0.9},
            {
                "yarn_attn_factor": (0.07 * math.log(4) + 1) / (0.09 * math.log(4) + 1),
            },
        ),
        (
            {"attention_factor": 1.2, "mscale": 1.0, "mscale_all_dim": 1.0},
            {"yarn_attn_factor": 1.2},
        ),
        ({"beta_fast": 16, "beta_slow": 2.0}, {"yarn_beta_fast": 16.0, "yarn_beta_slow": 2.0}),
        ({"beta_fast": 0, "beta_slow": None}, {}),
        ({"truncate": True}, {}),
    ],
)
def test_yarn_is_read_as_transformers_reads_it(
    members: dict[str, object], expected: dict[str, float]
) -> None:
    found = without_prefix(converted(QWEN25_7B, rope_scaling={**YARN, **members}))

    own = {key.removeprefix("rope.scaling."): value for key, value in found.items()}
    plain = {"type": "yarn", "factor": 4.0, "original_context_length": 32768}
    assert {key: own.get(key) for key in plain} == plain
    assert {key: own[key] for key in own if key.startswith("yarn_")} == pytest.approx(expected)


def test_yarns_factor_and_context_may_follow_from_those_around_it() -> None:
    scaling = {"rope_type": "yarn", "original_max_position_embeddings": 8192}
    by_ratio = without_prefix(converted(QWEN25_7B, rope_scaling=scaling))
    scaling = {"rope_type": "yarn", "factor": 2.0}
    by_context = without_prefix(converted(QWEN25_7B, rope_scaling=scaling))

    assert by_ratio["rope.scaling.factor"] == 4.0
    assert by_context["rope.scaling.original_context_length"] == 32768


def test_the_original_context_may_lie_beside_the_rope() -> None:
    rope = RopeConfig(Config({"original_max_position_embeddings": 4096, "rope_scaling": YARN}), 1e4)

    assert RopeConfig(Config({"original_max_position_embeddings": 9}), 1e4).original_context(5) == 9
    with pytest.raises(ConfigError, match="is both 4096 and 32768"):
        rope.original_context(131_072)


WINDOWED = {"use_sliding_window": True, "sliding_window": 1024, "max_window_layers": 20}
NEAR_AND_FAR = ["full_attention"] * 27 + ["sliding_attention"]


@pytest.mark.parametrize(
    "changes",
    [
        {"use_sliding_window": True, "sliding_window": 1024, "max_window_layers": 28},
        {"use_sliding_window": True, "sliding_window": 32768, "max_window_layers": 0},
        {"use_sliding_window": True, "sliding_window": None, "max_window_layers": 0},
        {**WINDOWED, "layer_types": ["full_attention"] * 28},
        {"use_sliding_window": False, "sliding_window": -1},
    ],
)
@pytest.mark.parametrize("config", [QWEN25_7B, QWEN3_06B | {"max_position_embeddings": 32768}])
def test_windows_that_no_layer_has_are_none(
    config: dict[str, Any], changes: dict[str, object]
) -> None:
    assert converted(config, **changes).metadata == converted(config).metadata


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (WINDOWED, "sliding_window is 1024 in a context of 32768; GGUF has no such qwen2"),
        ({**WINDOWED, "sliding_window": ...}, "sliding_window is 4096 in a context of 32768"),
        (
            {
                "use_sliding_window": True,
                "max_window_layers": ...,
                "num_hidden_layers": 29,
                "sliding_window": 7,
            },
            "sliding_window is 7",
        ),
        (
            {**WINDOWED, "max_window_layers": 28, "layer_types": NEAR_AND_FAR},
            "is 1024 in a context",
        ),
        ({"layer_types": NEAR_AND_FAR}, "no window is to be used"),
        ({**WINDOWED, "sliding_window": None, "layer_types": NEAR_AND_FAR}, "no window is to be"),
        ({"layer_types": ["full_attention"] * 27}, "layer_types is .*, expected 28 texts"),
        ({"layer_types": ["chunked_attention"] * 28}, "layer_types has 'chunked_attention'"),
        ({"use_sliding_window": "yes"}, "use_sliding_window is 'yes', expected true or false"),
        ({"max_window_layers": -1}, "max_window_layers is '-1'"),
        ({**WINDOWED, "sliding_window": 0}, "sliding_window is '0', expected an integer from 1"),
        ({"use_mrope": True}, "use_mrope is 'True'"),
        ({"dual_chunk_attention_config": {}}, "unknown hyper-parameters.*dual_chunk"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "unknown hyper-parameters.*attention_bias"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is '0.5'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_type is 'llama3'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}}, "rope_type is 'dynamic'"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [2]}}, "rope_type is 'mrope'"),
        ({"rope_scaling": {**YARN, "truncate": False}}, "truncate is 'False'"),
        ({"rope_scaling": {**YARN, "factor": 0.5}}, "factor is 0.5, which stretches nothing"),
        (
            {"rope_scaling": {**YARN, "beta_fast": 1, "beta_slow": 2}},
            "beta_fast is below beta_slow",
        ),
        ({"rope_scaling": {**YARN, "beta_slow": 33}}, "beta_fast is below beta_slow"),
        ({"rope_scaling": {**YARN, "attention_factor": -1}}, "attention_factor is '-1'"),
        ({"rope_scaling": {**YARN, "extrapolation_factor": 1}}, "unknown.*extrapolation_factor"),
        ({"rope_scaling": {**YARN, "rope_theta": 5.0}}, r"rope_theta is both 1e\+06 and 5"),
        ({"rope_scaling": {**YARN, "type": "linear"}}, "rope_type and type differ"),
        ({"original_max_position_embeddings": 5, "rope_scaling": YARN}, "is both 5 and 32768"),
    ],
)
def test_what_qwen2_has_no_word_for_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(AboardError, match=message):
        converted(QWEN25_7B, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no_rope_layers": [1] * 36}, "layer 3 has a rope; in GGUF's smollm3 every fourth"),
        ({"no_rope_layers": [1, 1, 0, 0] * 9}, "layer 2 has no rope"),
        ({"no_rope_layers": [1, 1, 1, 0] * 8}, "no_rope_layers is .* 36 flags"),
        ({"no_rope_layers": [1, 1, 1, 2] * 9}, "no_rope_layers is"),
        ({"no_rope_layers": ..., "no_rope_layer_interval": 2}, "layer 1 has no rope"),
        ({"no_rope_layers": ..., "no_rope_layer_interval": 0}, "no_rope_layer_interval is '0'"),
        (
            {"layer_types": ..., "use_sliding_window": True, "sliding_window": 8},
            "is 8 in a context",
        ),
        ({"mlp_bias": "no"}, "mlp_bias is 'no'"),
        ({"layer_types": ["sliding_attention"] * 36}, "no window is to be used"),
    ],
)
def test_what_smollm3_has_no_word_for_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(AboardError, match=message):
        converted(SMOLLM3, **changes)


def test_smollm3_without_the_list_of_ropes_has_the_same() -> None:
    assert converted(SMOLLM3, no_rope_layers=...).metadata == converted(SMOLLM3).metadata


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PHI4_MINI | {"lm_head_bias": True}, "lm_head_bias is 'True'"),
        (PHI4_MINI | {"full_attn_mod": 2}, "full_attn_mod is '2'"),
        (PHI4_MINI | {"sliding_window": 0}, "sliding_window is '0'"),
        (PHI4_MINI | {"partial_rotary_factor": 1.0}, "long_factor is .* expected 64 finite"),
        (PHI4_MINI | {"partial_rotary_factor": 1.5}, "partial_rotary_factor is 1.5"),
        (PHI4_MINI | {"partial_rotary_factor": 1e308}, "partial_rotary_factor is 1e[+]308"),
        (PHI4_MINI | {"partial_rotary_factor": 0.01}, "rotates 1 of 128 values of a head"),
        (
            scaled(PHI4_MINI, partial_rotary_factor=0.5),
            "partial_rotary_factor is both 0.75 and 0.5",
        ),
        (scaled(PHI4_MINI, short_factor=[1.0] * 47), "short_factor is .* expected 48 finite"),
        (scaled(PHI4_MINI, long_factor=...), "long_factor is"),
        (scaled(PHI4_MINI, long_factor=[1e-300] * 48), "divided by .*, beyond float32"),
        (scaled(PHI4_MINI, long_factor=[0.0] * 48), "long_factor is"),
        (scaled(PHI4_MINI, type="yarn"), "rope_type is 'yarn'"),
        (scaled(PHI4_MINI, type="linear", factor=2.0), "rope_type is 'linear'"),
        (scaled(PHI4_MINI, type="default"), "unknown hyper-parameters.*long_factor"),
        (scaled(PHI4_MINI, original_max_position_embeddings=8), "is both 4096 and 8"),
        (PHI4_MINI | {"original_max_position_embeddings": 1}, "is '1', expected an integer from 2"),
    ],
)
def test_phis_that_contradict_themselves_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convert_config(Config(config))


def test_phi_takes_the_original_context_of_its_class() -> None:
    nested = scaled(PHI4_MINI, original_max_position_embeddings=8192)
    del nested["original_max_position_embeddings"]

    with pytest.raises(ConfigError, match="is both 4096 and 8192"):
        convert_config(Config(nested))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (scaled(MINISTRAL3, llama_4_scaling_beta=...), "llama_4_scaling_beta is missing"),
        (scaled(MINISTRAL3, llama_4_scaling_beta=-0.1), "llama_4_scaling_beta is '-0.1'"),
        (scaled(MINISTRAL3, rope_type="default", type="default"), "rope_type is 'default'"),
        (MINISTRAL3 | {"rope_theta": 5.0}, r"rope_theta is both 5 and 1e\+06"),
        (MINISTRAL3 | {"layer_types": ["full_attention"] * 26}, "unknown.*layer_types"),
        (MINISTRAL3 | {"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ],
)
def test_ministrals_that_are_not_understood_are_refused(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        convert_config(Config(config))


def test_a_window_as_long_as_the_context_is_none() -> None:
    windowed = without_prefix(converted(MINISTRAL3, sliding_window=1000))
    full = without_prefix(converted(MINISTRAL3, sliding_window=262144))

    assert windowed["attention.sliding_window"] == 1000
    assert "attention.sliding_window" not in full


def test_queries_that_do_not_grow_need_no_word() -> None:
    found = without_prefix(convert_config(Config(scaled(MINISTRAL3, llama_4_scaling_beta=0))))

    assert "attention.temperature_scale" not in found


def test_unsupported_windows_say_what_can_be_done() -> None:
    with pytest.raises(UnsupportedFile) as caught:
        converted(QWEN25_7B, **WINDOWED)

    assert "use_sliding_window" in str(caught.value.hint)
