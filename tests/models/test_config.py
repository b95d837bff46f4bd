"""A config.json is read typed and bounded, and what nobody read is refused."""

import json
import math

import numpy as np
import pytest

from aboard.errors import ConfigError, UnsupportedFile
from aboard.models import Config, convert_config, model_types
from aboard.models.conversion import AdjacentPairs, Conversion, Plus
from aboard.models.rope_config import RopeConfig
from artifact.folders import CONFIGS, tiny_config

OLD = {  # as transformers 4 writes it
    "_name_or_path": "/somewhere/else",
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "max_position_embeddings": 2048,
    "model_type": "llama",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.31.0.dev0",
    "use_cache": True,
    "vocab_size": 259,
}
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}


def converted(**changes: object) -> Conversion:
    return convert_config(Config(tiny_config(**changes)))


def test_the_model_types_are_these() -> None:
    assert set(model_types()) == {
        *("bert", "gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text"),
        *("gemma4_unified", "gemma4_unified_text", "granite", "lfm2", "llama", "ministral3"),
        *("mistral", "mistral3", "olmo2", "olmo3", "phi3", "qwen2", "qwen3", "qwen3_5"),
        *("qwen3_5_text", "smollm3"),
    }


def test_hyper_parameters_have_the_names_of_gguf() -> None:
    conversion = convert_config(Config(OLD))

    assert conversion.architecture == "llama"
    assert conversion.n_vocabulary == 259
    assert conversion.metadata == {
        "llama.vocab_size": 259,
        "llama.context_length": 2048,
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 8,
        "llama.attention.head_count_kv": 8,
        "llama.attention.key_length": 8,
        "llama.attention.value_length": 8,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": 8,
        "llama.rope.freq_base": 10_000.0,
    }
    assert [rule.name for rule in conversion.tensors][:3] == [
        "token_embd.weight",
        "blk.0.attn_norm.weight",
        "blk.0.attn_q.weight",
    ]
    assert len(conversion.tensors) == 1 + 2 * 9 + 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, ("linear", 2.0, 10_000.0)),
        ({"rope_theta": 5e5}, (None, None, 5e5)),
        ({"rope_theta": 5e5, "rope_parameters": {"rope_type": "default"}}, (None, None, 5e5)),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}, (None, None, 7.0)),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 3, "rope_theta": 9}},
            ("linear", 3.0, 9.0),
        ),
        ({"rope_theta": 5, "rope_parameters": {"rope_theta": 5.0}}, (None, None, 5.0)),
    ],
)
def test_rope_is_read_as_both_versions_of_transformers_write_it(
    changes: dict[str, object], expected: tuple[object, ...]
) -> None:
    metadata = convert_config(Config({**OLD, **changes})).metadata

    keys = ("rope.scaling.type", "rope.scaling.factor", "rope.freq_base")
    assert tuple(metadata.get(f"llama.{key}") for key in keys) == expected


def test_the_divisors_of_llama3_are_those_of_transformers_formula() -> None:
    rope = RopeConfig(Config({"rope_theta": 5e5, "rope_scaling": LLAMA3}), 1e4)

    found = rope.llama3_divisors(128, 131_072)

    expected = []
    for i in range(64):  # as written in transformers' modeling_rope_utils, one by one
        frequency = 1.0 / 5e5 ** (2 * i / 128)
        wavelength = 2 * math.pi / frequency
        scaled = frequency
        if wavelength > 8192 / 1.0:
            scaled = frequency / 8.0
        elif wavelength >= 8192 / 4.0:
            smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0)
            scaled = (1 - smooth) * frequency / 8.0 + smooth * frequency
        expected.append(frequency / scaled)
    assert np.allclose(found, expected, rtol=1e-6, atol=0)
    assert found.min() == 1
    assert found.max() == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": ...}, "hidden_size is missing"),
        ({"hidden_size": "64"}, "hidden_size is '64', expected an integer"),
        ({"hidden_size": 64.0}, r"hidden_size is '64\.0', expected an integer"),
        ({"hidden_size": True}, "hidden_size is 'True', expected an integer"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is '0', expected an integer from 1"),
        ({"num_hidden_layers": 10_001}, "num_hidden_layers is 10001, expected at most 10000"),
        ({"rms_norm_eps": -1e-5}, "rms_norm_eps is '-1e-05', expected a finite number above 0"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps is '1000.*', expected a finite number above 0"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is '1', expected true or false"),
        ({"head_dim": 7}, "head_dim is 7, expected an even number"),
        ({"head_dim": ..., "num_attention_heads": 7}, "a hidden_size of 64 can't be shared by 7"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu', Aboard understands 'silu' or 'swish'"),
        ({"attention_bias": 1}, "attention_bias is '1', expected true or false"),
        ({"mlp_bias": "yes"}, "mlp_bias is 'yes', expected true or false"),
        ({"rope_interleaved": True}, "rope_interleaved is 'True', Aboard understands False"),
        ({"partial_rotary_factor": 0.5}, r"partial_rotary_factor is '0\.5', Aboard understands 1"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder is 'True'"),
        ({"surprise": 1}, "unknown hyper-parameters: config.json: surprise"),
        ({"num_experts": 8}, "unknown hyper-parameters: config.json: num_experts"),
        ({"rope_parameters": 5}, "rope_parameters is '5', expected an object"),
        (
            {"rope_parameters": {"rope_type": "dynamic"}},
            "rope_type is 'dynamic', Aboard understands",
        ),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_parameters: factor is missing"),
        ({"rope_parameters": {"rope_type": 1}}, "rope_type is '1', expected a text"),
        (
            {"rope_parameters": {"rope_type": "default", "type": "linear"}},
            "rope_type and type differ",
        ),
        (
            {"rope_parameters": {"rope_type": "default", "mscale": 2}},
            "unknown hyper-parameters: config.json: rope_parameters: mscale",
        ),
        ({"rope_theta": 5.0}, r"rope_theta is both 5 and 10000|differ"),
        ({"rope_scaling": LLAMA3}, "rope_scaling and rope_parameters differ"),
        (
            {"rope_parameters": {**LLAMA3, "high_freq_factor": 1.0}},
            "low_freq_factor 1 isn't below high_freq_factor 1",
        ),
        (
            {"rope_parameters": {**LLAMA3, "factor": 1e308, "low_freq_factor": 3.0}},
            "divided by .*, beyond float32",
        ),
        ({"rope_parameters": {**LLAMA3, "factor": None}}, "rope_parameters: factor is missing"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        converted(**changes)

    assert caught.value.hint


def test_weights_that_are_quantised_already_are_refused() -> None:
    with pytest.raises(UnsupportedFile, match="quantised already"):
        converted(quantization_config={"quant_method": "gptq", "bits": 4})


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"sliding_window": None}, None),
        ({"sliding_window": 1024}, None),  # as long as the context: no window at all
        ({"sliding_window": 1023}, 1023),
        ({"max_position_embeddings": 4096}, None),  # not stated: 4096
        ({"max_position_embeddings": 4097}, 4096),
    ],
)
def test_mistral_is_a_llama_and_with_a_window_a_mistral3(
    changes: dict[str, object], window: int | None
) -> None:
    plain = tiny_config(model_type="mistral", mlp_bias=..., attention_bias=..., **changes)

    conversion = convert_config(Config(plain))

    assert conversion.architecture == ("llama" if window is None else "mistral3")
    assert conversion.metadata.get("mistral3.attention.sliding_window") == window
    as_llama = convert_config(Config({**plain, "model_type": "llama", "sliding_window": None}))
    assert conversion.tensors == as_llama.tensors


@pytest.mark.parametrize("bias", ["attention_bias", "mlp_bias"])
def test_mistral_has_no_biases(bias: str) -> None:
    with pytest.raises(ConfigError, match=f"{bias} is 'True', Aboard understands False"):
        converted(model_type="mistral", **{"mlp_bias": False, bias: True})


def test_every_config_that_transformers_saved_is_read_to_its_end() -> None:
    for name, config in CONFIGS.items():
        conversion = convert_config(Config(json.loads(json.dumps(config)), name))

        assert conversion.copies == (
            {"lm_head.weight": "model.embed_tokens.weight"} if name == "tied" else {}
        )


def test_lists_are_read_with_their_length() -> None:
    config = Config({"a": [1, 2.5], "b": ["x", "y"], "c": [1, "x"], "d": [0.0, 1.0], "n": None})

    assert config.numbers("a", 2) == (1.0, 2.5)
    assert config.texts("b", 2) == ("x", "y")
    assert config.texts("e", 2) is None
    assert config.is_null("n")
    assert not config.has("n")
    for name, count in (("a", 3), ("b", 2), ("c", 2), ("d", 2)):
        with pytest.raises(ConfigError, match=f"{name} is .*, expected {count} finite numbers"):
            config.numbers(name, count)
    for name, count in (("b", 3), ("a", 2), ("c", 2)):
        with pytest.raises(ConfigError, match=f"{name} is .*, expected {count} texts"):
            config.texts(name, count)


def test_pairs_of_a_head_become_neighbours() -> None:
    rows = np.arange(12, dtype=np.float32)[:, None]

    found = AdjacentPairs(6)(rows)

    assert found[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_a_number_is_added_in_float32() -> None:
    found = Plus(1.0)(np.array([[2**-30], [0.5]], np.float32))

    assert found.dtype == np.float32
    assert found.tolist() == [[1.0], [1.5]]
