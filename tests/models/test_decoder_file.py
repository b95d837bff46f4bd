"""What files of the decoder families may say about their models, and what is refused by name."""

import math
from collections.abc import Mapping

import gguf
import numpy as np
import pytest

from aboard.errors import ConfigError
from aboard.models import DecoderModel, architectures, describe_model
from aboard.models.decoder import Temperature, Weight, Yarn

REQUIRED = {
    "block_count": 8,
    "context_length": 2048,
    "embedding_length": 64,
    "feed_forward_length": 172,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "vocab_size": 1000,
}
OWN: dict[str, dict[str, object]] = {
    "granite": {"logit_scale": 8.0},
    "gemma4": {
        "attention.key_length_swa": 16,
        "attention.value_length_swa": 16,
        "attention.sliding_window": 512,
        "attention.shared_kv_layers": 2,
        "embedding_length_per_layer_input": 8,
    },
    "lfm2": {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 2, 0, 2, 0, 2, 0, 2]},
    "qwen35": {
        "ssm.conv_kernel": 4,
        "ssm.state_size": 16,
        "ssm.group_count": 2,
        "ssm.time_step_rank": 4,
        "ssm.inner_size": 64,
    },
}
NAMES = frozenset({"token_embd.weight", "output.weight", "output_norm.weight"})


def described(
    family: str, changes: Mapping[str, object] = {}, names: frozenset[str] = NAMES
) -> DecoderModel:
    """The model of the required entries with `changes`; None leaves an entry out."""
    names |= {"rope_freqs.weight"} if family == "gemma4" else set()
    entries = {**REQUIRED, **OWN.get(family, {}), **changes}
    given = {f"{family}.{key}": value for key, value in entries.items() if value is not None}
    return describe_model({"general.architecture": family, **given}, names)


def windows(model: DecoderModel) -> list[int]:
    return [layer.attention.window for layer in model.layers]


DECODERS = [name for name in architectures() if name != "bert"]


def bases(model: DecoderModel) -> list[float | None]:
    ropes = [layer.attention.rope for layer in model.layers]
    return [None if rope is None else rope.base for rope in ropes]


# What is understood.


@pytest.mark.parametrize("family", DECODERS)
def test_every_weight_has_a_name_that_the_gguf_package_knows_for_the_family(family: str) -> None:
    architecture = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[family]
    known = {gguf.TENSOR_NAMES[tensor] for tensor in gguf.MODEL_TENSORS[architecture]}

    model = described(family, names=NAMES - {"output.weight"} if family == "gemma2" else NAMES)

    weights = [*model.matrices(), *model.vectors()]
    found = {weight.name.rpartition(".")[0] for weight in weights}
    assert {name.replace("blk.7.", "blk.{bid}.") for name in found if "blk.7." in name} <= known
    assert {name for name in found if not name.startswith("blk.")} <= known


@pytest.mark.parametrize("family", DECODERS)
def test_a_key_that_nobody_knows_is_refused_by_its_name(family: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown hyper-parameters: {family}.something_new"):
        described(family, {"something_new": 1})


@pytest.mark.parametrize("family", DECODERS)
def test_a_mixture_of_experts_is_refused_by_its_name(family: str) -> None:
    with pytest.raises(ConfigError, match=f"{family}.expert_count is '8'"):
        described(family, {"expert_count": 8})


def test_qwen2_needs_its_biases() -> None:
    model = described("qwen2")

    for name, rows in (("q", 64), ("k", 32), ("v", 32)):
        assert Weight(f"blk.3.attn_{name}.bias", (rows,)) in list(model.vectors())


def test_a_bias_is_used_where_the_file_has_one() -> None:
    names = NAMES | {"blk.1.attn_output.bias", "blk.2.ffn_up.bias"}

    model = described("granite", names=names)

    biases = [vector for vector in model.vectors() if vector.name.endswith(".bias")]
    assert biases == [
        Weight("blk.1.attn_output.bias", (64,)),
        Weight("blk.2.ffn_up.bias", (172,)),
    ]


@pytest.mark.parametrize("family", ["phi3", "llama", "qwen3"])
def test_queries_keys_and_values_may_share_a_tensor(family: str) -> None:
    attention = described(family, names=NAMES | {"blk.2.attn_qkv.weight"}).layers[2].attention

    parts = [linear.weight for linear in (attention.query, attention.key, attention.value)]
    assert parts == [
        Weight("blk.2.attn_qkv.weight", (64, 64), 0, 128),
        Weight("blk.2.attn_qkv.weight", (32, 64), 64, 128),
        Weight("blk.2.attn_qkv.weight", (32, 64), 96, 128),
    ]
    assert [part.tensor_shape for part in parts] == [(128, 64)] * 3
    assert len({part.label for part in parts}) == 3


def test_phi3s_gate_stands_above_its_up() -> None:
    feed_forward = described("phi3").layers[0].feed_forward

    assert feed_forward.gate.weight == Weight("blk.0.ffn_up.weight", (172, 64), 0, 344)
    assert feed_forward.up.weight == Weight("blk.0.ffn_up.weight", (172, 64), 172, 344)


def test_gemma3_has_a_window_and_a_rope_of_their_own_in_five_of_six_layers() -> None:
    model = described("gemma3", {"attention.sliding_window": 512, "rope.freq_base": 2e6})

    assert windows(model) == [512] * 5 + [0] + [512] * 2
    assert bases(model) == [10_000.0] * 5 + [2e6] + [10_000.0] * 2
    assert model.embedding_scale == 8.0
    assert model.score_scale == 0.25


def test_gemma3_without_a_window_sees_everything() -> None:
    model = described("gemma3")

    assert windows(model) == [0] * 8
    assert bases(model) == [1_000_000.0] * 8


@pytest.mark.parametrize("pattern", [3, np.array([1, 1, 0, 1, 1, 0, 1, 1], np.int32)])
def test_which_layers_have_a_window_a_file_may_say(pattern: object) -> None:
    model = described(
        "gemma3", {"attention.sliding_window": 9, "attention.sliding_window_pattern": pattern}
    )

    assert windows(model) == [9, 9, 0, 9, 9, 0, 9, 9]


def test_linear_scaling_of_gemma3_is_for_layers_without_a_window() -> None:
    scaling = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}

    model = described("gemma3", {"attention.sliding_window": 9, **scaling})

    assert [rope.scale for rope in model.ropes] == [1.0, 0.125]


@pytest.mark.parametrize(("family", "n_layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemmas_scale_by_the_width(family: str, n_layers: int) -> None:
    model = described(family, {"block_count": n_layers, "attention.key_length": 32})

    assert model.score_scale == 1 / math.sqrt(64 // 4)


def test_gemma2_has_caps_and_windows_though_its_file_says_nothing_of_them() -> None:
    model = described("gemma2")

    assert (model.score_cap, model.logit_cap) == (50.0, 30.0)
    assert windows(model) == [4096, 0] * 4
    assert len(model.ropes) == 1


def test_every_fourth_layer_of_smollm3_knows_no_positions() -> None:
    assert bases(described("smollm3", {"rope.freq_base": 2e6})) == [2e6, 2e6, 2e6, None] * 2


def test_granite_has_multipliers() -> None:
    scales = {"attention.scale": 0.1, "embedding_scale": 12.0, "residual_scale": 0.22}

    model = described("granite", scales)

    assert (model.score_scale, model.embedding_scale) == (0.1, 12.0)
    assert (model.residual_scale, model.logit_scale) == (0.22, 0.125)


def test_granites_multipliers_may_be_missing_or_0_for_none() -> None:
    scales = {"attention.scale": 0.0, "embedding_scale": 0.0, "residual_scale": 0.0}

    assert described("granite", scales) == described("granite")


def test_olmo3_is_an_olmo2_with_windows_whose_rope_is_not_stretched() -> None:
    yarn = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 8.0,
        "rope.scaling.original_context_length": 512,
        "rope.scaling.yarn_attn_factor": 1.2,
    }

    model = described("olmo2", {"attention.sliding_window": 100, **yarn})

    assert windows(model) == [100, 100, 100, 0] * 2
    near, everywhere = model.ropes
    assert (near.yarn, near.growth) == (None, None)
    assert everywhere.yarn == Yarn(factor=8.0, original_context=512)
    assert everywhere.growth == 1.2


def test_longrope_is_told_by_its_tensors() -> None:
    names = NAMES | {"rope_factors_short.weight", "rope_factors_long.weight"}
    entries = {
        "rope.dimension_count": 12,
        "rope.scaling.original_context_length": 512,
        "rope.scaling.attn_factor": 1.19,
    }

    (rope,) = described("phi3", entries, names).ropes

    assert (rope.rotated_dims, rope.original_context, rope.growth) == (12, 512, 1.19)
    assert rope.divisors == Weight("rope_factors_short.weight", (6,))
    assert rope.long_divisors == Weight("rope_factors_long.weight", (6,))


def test_queries_of_ministral3_grow_with_their_position() -> None:
    entries = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 16.0,
        "rope.scaling.original_context_length": 512,
        "rope.scaling.yarn_log_multiplier": 1.0,
        "attention.temperature_scale": 0.1,
    }

    model = described("mistral3", entries)

    assert model.temperature == Temperature(strength=0.1, context=512)
    assert model.ropes[0].growth_divisor == 1.0


# What is refused.


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("granite", {"logit_scale": None}, "granite.logit_scale is missing"),
        ("granite", {"rope.scaling.finetuned": False}, "rope.scaling.finetuned is 'False'"),
        ("granite", {"residual_scale": -1.0}, "residual_scale is '-1.0', expected a finite number"),
        ("gemma2", {"attn_logit_softcapping": float("nan")}, "attn_logit_softcapping is 'nan'"),
        ("gemma3", {"attention.sliding_window": -1}, "sliding_window is '-1'"),
        ("gemma3", {"attention.sliding_window_pattern": [True]}, "from 0 or 8 flags"),
        ("gemma3", {"attention.sliding_window_pattern": "abcdefgh"}, "from 0 or 8 flags"),
        ("gemma3", {"attention.sliding_window_pattern": [np.zeros(2)] * 8}, "from 0 or 8 flags"),
        ("gemma3", {"attention.sliding_window_pattern": np.full(8, 2)}, "from 0 or 8 flags"),
        ("gemma3", {"attention.sliding_window_pattern": True}, "from 0 or 8 flags"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "gemma3.attn_logit_softcapping"),
        ("qwen2", {"attention.sliding_window": 100}, "qwen2.attention.sliding_window"),
        ("qwen2", {"pooling_type": 1}, "qwen2.pooling_type"),
        ("qwen3", {"rope.scaling.type": "yarn"}, "rope.scaling.factor is missing"),
        (
            "qwen3",
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0},
            "rope.scaling.original_context_length is missing",
        ),
        (
            "qwen3",
            {
                "rope.scaling.type": "yarn",
                "rope.scaling.factor": 4.0,
                "rope.scaling.original_context_length": 32,
                "rope.freq_base": 1.0,
            },
            "rope.freq_base is 1.0: YaRN needs more than 1",
        ),
        ("phi3", {"rope.scaling.type": "longrope"}, "original_context_length is missing"),
        ("phi3", {"rope.scaling.type": "su"}, "rope.scaling.type is 'su'"),
        ("phi3", {"rope.dimension_count": 13}, "13 rotated dimensions"),
        ("phi3", {"rope.scaling.attn_factor": 1.19}, "phi3.rope.scaling.attn_factor"),
        ("mistral3", {"attention.temperature_scale": 0.1}, "original_context_length is missing"),
        ("smollm3", {"attention.sliding_window": 9}, "smollm3.attention.sliding_window"),
    ],
)
def test_what_would_be_another_model_is_refused_by_its_name(
    family: str, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        described(family, changes)
