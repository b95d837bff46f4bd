"""What a Llama file may say about its model, and what is refused by its name."""

from collections.abc import Mapping

import numpy as np
import pytest

from aboard.errors import ConfigError
from aboard.models import DecoderModel, describe_model
from aboard.models.decoder import Weight

NAMES = frozenset({"token_embd.weight", "output.weight", "output_norm.weight"})
REQUIRED = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 172,
    "llama.attention.head_count": 8,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": 1000,
}


def described(changes: Mapping[str, object] = {}, names: frozenset[str] = NAMES) -> DecoderModel:
    """The model of the required entries with `changes`; None leaves an entry out."""
    entries = {**REQUIRED, **{_full(name): value for name, value in changes.items()}}
    return describe_model({k: v for k, v in entries.items() if v is not None}, names)


def _full(name: str) -> str:
    return name if name.startswith(("general.", "tokenizer.")) else f"llama.{name}"


# What is understood.


def test_the_required_entries_are_enough() -> None:
    model = described()

    assert (model.architecture, model.context_length, model.n_vocabulary) == ("llama", 2048, 1000)
    assert (model.width, len(model.layers)) == (64, 2)
    attention, feed_forward = model.layers[0].attention, model.layers[0].feed_forward
    assert feed_forward.gate.weight.shape == (172, 64)
    assert attention is not None
    assert (model.n_query_heads, attention.n_kv_heads, attention.head_dim) == (8, 8, 8)
    (rope,) = model.ropes
    assert (rope.base, rope.rotated_dims, rope.scale) == (10_000.0, 8, 1.0)
    assert (rope.pairs, rope.divisors, rope.yarn, rope.growth) == ("adjacent", None, None, None)


def test_every_weight_has_the_name_and_shape_of_a_llama_file() -> None:
    model = described({"attention.head_count_kv": 2, "attention.key_length": 16})
    shapes = {weight.name: weight.shape for weight in [*model.matrices(), *model.vectors()]}

    assert shapes == {
        "token_embd.weight": (1000, 64),
        "output.weight": (1000, 64),
        "output_norm.weight": (64,),
        **{
            f"blk.{i}.{name}.weight": shape
            for i in range(2)
            for name, shape in {
                "attn_norm": (64,),
                "attn_q": (128, 64),
                "attn_k": (32, 64),
                "attn_v": (32, 64),
                "attn_output": (64, 128),
                "ffn_norm": (64,),
                "ffn_gate": (172, 64),
                "ffn_up": (172, 64),
                "ffn_down": (64, 172),
            }.items()
        },
    }


def test_a_file_without_a_head_uses_its_embedding_for_one() -> None:
    model = described(names=NAMES - {"output.weight"})

    assert model.head == model.embedding
    assert [weight.name for weight in model.matrices()].count("token_embd.weight") == 1


def test_the_number_of_tokens_may_come_from_the_tokenizer_alone() -> None:
    model = described({"vocab_size": None, "tokenizer.ggml.tokens": ["a", "b", "c"]})

    assert model.n_vocabulary == 3


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({"rope.scaling.type": "none"}, 1.0),
        ({"rope.scaling.type": "none", "rope.scaling.factor": 1.0}, 1.0),
        ({"rope.scaling.type": "none", "rope.scaling.factor": 0.0}, 1.0),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, 0.25),
        ({"rope.scaling.type": "linear", "rope.scale_linear": 8.0}, 0.125),
        ({"rope.scaling.original_context_length": 512, "rope.scaling.finetuned": True}, 1.0),
    ],
)
def test_positions_may_be_stretched_evenly(changes: dict[str, object], scale: float) -> None:
    assert described(changes).ropes[0].scale == scale


def test_llama_3s_frequencies_are_divided_by_a_tensor() -> None:
    model = described({"rope.freq_base": 500_000.0}, names=NAMES | {"rope_freqs.weight"})

    assert model.ropes[0].base == 500_000.0
    assert model.ropes[0].divisors == Weight("rope_freqs.weight", (4,))
    assert model.ropes[0].divisors in list(model.vectors())


@pytest.mark.parametrize(
    "entry",
    [
        ("expert_count", 0),
        ("expert_used_count", 0),
        ("use_parallel_residual", False),
        ("tensor_data_layout", "Meta AI original pth"),
        ("attention.layer_norm_epsilon", 1e-6),
    ],
    ids=str,
)
def test_an_entry_that_changes_nothing_is_accepted(entry: tuple[str, object]) -> None:
    assert described(dict([entry])) == described()


def test_a_part_of_a_head_may_be_rotated() -> None:
    assert described({"rope.dimension_count": 4}).ropes[0].rotated_dims == 4


# What is refused.


@pytest.mark.parametrize("name", [name for name in REQUIRED if name != "general.architecture"])
def test_a_missing_entry_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is missing") as caught:
        described({name.removeprefix("llama."): None})

    assert caught.value.hint


INTEGERS = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "vocab_size",
]


@pytest.mark.parametrize("value", [0, -1, 2**31, 2**63, 1.0, "2", True, np.array([2, 2]), []])
@pytest.mark.parametrize("name", INTEGERS)
def test_what_is_no_sound_integer_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"llama\.{name} is .*, expected an integer from 1"):
        described({name: value})


@pytest.mark.parametrize(
    "value", [0.0, -1.0, float("nan"), float("inf"), 0, "1e-5", True, np.array([1.0, 2.0])]
)
@pytest.mark.parametrize("name", ["attention.layer_norm_rms_epsilon", "rope.freq_base"])
def test_what_is_no_sound_number_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"llama\.{name} is .*, expected a finite number above"):
        described({name: value})


@pytest.mark.parametrize(
    "name",
    [
        "rope.scaling.attn_factor",
        "rope.scaling.yarn_log_multiplier",
        "attention.sliding_window",
        "attention.scale",
        "logit_scale",
        "embedding_scale",
        "residual_scale",
        "attention.clamp_kqv",
        "pooling_type",
        "something_new",
    ],
)
def test_an_entry_that_nobody_knows_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown hyper-parameters: llama.{name}") as caught:
        described({name: 1})

    assert "may change the answer" in str(caught.value.hint)


def test_all_unknown_entries_are_named() -> None:
    with pytest.raises(ConfigError, match=r"llama\.first, llama\.second"):
        described({"second": 1, "first": 2})


def test_entries_of_other_prefixes_are_none_of_its_business() -> None:
    assert described({"general.something": 1, "tokenizer.else": 2}) == described()


@pytest.mark.parametrize("kind", ["llama3", "dynamic", "LINEAR", "yarn2", ""])
def test_another_kind_of_rope_scaling_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"rope\.scaling\.type is '{kind}'") as caught:
        described({"rope.scaling.type": kind, "rope.scaling.factor": 4.0})

    assert caught.value.hint


@pytest.mark.parametrize("kind", [5, True, ["linear"], np.array([1, 2])], ids=str)
def test_a_kind_of_rope_scaling_that_is_no_text_is_refused(kind: object) -> None:
    with pytest.raises(ConfigError, match=r"rope\.scaling\.type is .*, expected a text"):
        described({"rope.scaling.type": kind})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rope.scaling.factor": 4.0}, "rope.scaling.factor is '4.0'"),
        ({"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, "factor is '4.0'"),
        ({"rope.scale_linear": 2.0}, "rope.scale_linear is '2.0'"),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 0.0}, "factor is '0.0'"),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": -2.0}, "factor is '-2.0'"),
        ({"rope.scaling.factor": np.array([1.0, 1.0])}, "rope.scaling.factor is"),
    ],
)
def test_a_factor_that_its_kind_does_not_use_is_refused(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        described(changes)


@pytest.mark.parametrize(
    "value", [8, 1, True, "no", np.array([0, 0]), np.array([0]), [], "Meta AI"]
)
@pytest.mark.parametrize(
    "name", ["expert_count", "expert_used_count", "use_parallel_residual", "tensor_data_layout"]
)
def test_a_kind_of_layer_that_is_not_run_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"llama\.{name} is .*, Aboard understands"):
        described({name: value})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attention.head_count_kv": 3}, "8 query heads can't share 3 KV heads"),
        ({"attention.head_count_kv": 16}, "8 query heads can't share 16 KV heads"),
        ({"attention.head_count": 7}, "a width of 64 can't be shared by 7 heads"),
        ({"attention.value_length": 16}, "heads of 8 for keys and 16 for values"),
        ({"attention.key_length": 16, "attention.value_length": 8}, "16 for keys and 8 for"),
        ({"attention.key_length": 4098}, "heads of 4098"),
        ({"attention.key_length": 9}, "9 rotated dimensions, expected an even number"),
        ({"rope.dimension_count": 7}, "7 rotated dimensions"),
        ({"rope.dimension_count": 10}, "10 rotated dimensions, .* up to the head's 8"),
        ({"block_count": 10_001}, "block_count is 10001, expected at most 10000"),
        ({"tokenizer.ggml.tokens": ["a"]}, "vocab_size is 1000, but the tokenizer has 1 tokens"),
    ],
)
def test_entries_that_contradict_each_other_are_refused(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        described(changes)
