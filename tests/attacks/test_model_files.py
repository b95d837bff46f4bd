"""Hostile models in sound GGUF files: each is refused in Aboard's own words or gives numbers.

The reader's attacks are in test_gguf_hostile.py; here the file is whole and its model is not.
"""

import contextlib
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aboard import formats
from aboard.checkpoint.gguf import open_gguf
from aboard.engine import load
from aboard.errors import AboardError, ConfigError, CorruptTensor, NumericalError
from engine.made import SMALL, made, ones, with_tensor, with_value
from kernels.blocks import SCALE_FIELDS
from tiny import FORMATS, model_metadata, tiny_llama
from tiny_gguf import float32_tensor

KEYS = [key for key in model_metadata(SMALL) if key.startswith("llama.")]
# Entries that the architecture knows beside those that the tiny models have.
MORE_KEYS = [
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.rope.scale_linear",
    "llama.expert_count",
    "llama.use_parallel_residual",
    "general.architecture",
    "tokenizer.chat_template",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.model",
]
integers = st.sampled_from([0, 1, 2, 3, 7, 8, 16, 32, 33, 48, 2**31 - 1, 2**31, 2**32 - 1])
values = (
    integers
    | st.floats(width=32)
    | st.booleans()
    | st.sampled_from(["", "llama", "linear", "none", "yarn", "gpt2", "1"])
    | st.lists(st.sampled_from(["", "a", "llama"]), max_size=3)
    | st.lists(integers, max_size=3).map(lambda each: np.array(each, np.uint32))
    | st.lists(st.floats(width=32), max_size=3).map(lambda each: np.array(each, np.float32))
    | st.none()
)


def logits_unless_refused(path: Path) -> np.ndarray:
    """The logits of a model that is not refused; any error but Aboard's own goes through."""
    with suppress(AboardError):
        model = load(path, threads=1)
        return model.logits([1, 2, 3][: model.context_length])
    return np.zeros(1, np.float32)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(KEYS + MORE_KEYS), values, min_size=1, max_size=3))
@example({"llama.expert_count": np.array([0, 0], np.uint32)})
@example({"general.architecture": np.array([1, 2], np.uint32)})
@example({"llama.rope.freq_base": 1e-30})
@example({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 1e-38})
@example({"llama.context_length": 2**31 - 1})
@example({"llama.attention.layer_norm_rms_epsilon": 3e38})
def test_any_metadata_is_refused_or_gives_numbers(
    tmp_path: Path, metadata: dict[str, object]
) -> None:
    logits = logits_unless_refused(made(tmp_path / "model.gguf", metadata=metadata))

    assert np.isfinite(logits).all()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_changed_bytes_of_a_header_are_refused_or_give_numbers(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(made(tmp_path / "model.gguf").read_bytes())
    # Around the hyper-parameters, and around what is said of the tensors.
    starts = [content.index(key.encode()) for key in [*KEYS, "blk.0.attn_q", "output_norm"]]
    at = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 60))
    content[at] = data.draw(st.integers(0, 255))
    (tmp_path / "model.gguf").write_bytes(content)

    logits = logits_unless_refused(tmp_path / "model.gguf")

    assert np.isfinite(logits).all()


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-38, -1e-38])
def test_rope_divisors_that_turn_too_far_or_backwards_are_refused(
    tmp_path: Path, value: float
) -> None:
    divisors = float32_tensor(np.array([1, 1, value, 1, 1, 1, 1, 1], np.float32))
    path = made(tmp_path / "model.gguf", change=with_tensor("rope_freqs.weight", divisors))

    with pytest.raises(ConfigError, match="rope"):
        load(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"llama.rope.freq_base": 1e-30},
        {"llama.rope.freq_base": 1e-12},
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 1e-38},
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 1e-9},
        {"llama.rope.freq_base": 0.5, "llama.context_length": 2**31 - 1},
    ],
    ids=str,
)
def test_angles_beyond_what_sine_and_cosine_hold_are_refused(
    tmp_path: Path, metadata: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match="radians a token"):
        load(made(tmp_path / "model.gguf", metadata=metadata))


@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E00, 0xFFFF], ids=hex)
@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt in SCALE_FIELDS])
def test_a_scale_that_is_no_number_is_refused_by_its_tensor_and_row(
    tmp_path: Path, fmt: str, bits: int
) -> None:
    path = tiny_llama(tmp_path / "model.gguf", fmt=fmt, width=256, ffn=256, layers=1)
    with open_gguf(path) as file:
        tensor = file.tensors["blk.0.ffn_down.weight"]
    content = bytearray(path.read_bytes())
    last_block = tensor.offset + tensor.size_bytes - formats.by_name(fmt).BLOCK_BYTES
    at = last_block + SCALE_FIELDS[fmt][-1]
    content[at : at + 2] = struct.pack("<H", bits)
    path.write_bytes(content)

    with pytest.raises(CorruptTensor, match=r"tensor 'blk\.0\.ffn_down\.weight': row 255 holds"):
        load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_embd.weight", 3e38),
        ("blk.0.attn_q.weight", 3e38),
        ("blk.0.attn_v.weight", 3e38),
        ("blk.0.ffn_down.weight", 3e38),
        ("output.weight", 3e38),
        ("output_norm.weight", 3e38),
        ("blk.0.attn_norm.weight", -3e38),
    ],
)
def test_weights_at_the_end_of_float32_never_become_an_answer_by_stealth(
    tmp_path: Path, name: str, value: float
) -> None:
    at = (1, 0) if name not in ("output_norm.weight", "blk.0.attn_norm.weight") else (0,)
    path = made(tmp_path / "model.gguf", change=with_value(name, at, value))
    model = load(path, threads=1)

    with contextlib.suppress(NumericalError):
        assert np.isfinite(model.logits([1, 2, 3])).all()


def test_a_model_that_computes_nan_neither_answers_nor_attests(tmp_path: Path) -> None:
    path = made(tmp_path / "model.gguf", change=with_value("token_embd.weight", (1, 0), 3e38))
    model = load(path, threads=1)
    session = model.session()

    with pytest.raises(NumericalError, match="NaN or infinity"):
        model.logits([1, 2, 3])
    with pytest.raises(NumericalError, match="NaN or infinity"):
        list(session.generate([1], max_tokens=1))

    assert session.n_tokens == 0


def test_a_model_of_thousands_of_missing_layers_is_refused_quickly(tmp_path: Path) -> None:
    path = made(tmp_path / "model.gguf", metadata={"llama.block_count": 10_000})

    with pytest.raises(AboardError, match=r"has no tensor 'blk\.1\."):
        load(path)


def test_thousands_of_unknown_tensors_are_named_in_a_short_message(tmp_path: Path) -> None:
    extra = {f"{'x' * 60}{i}": ones(1) for i in range(5_000)}
    path = made(tmp_path / "model.gguf", change=lambda tensors: tensors.update(extra))

    with pytest.raises(AboardError, match="5000 tensors") as caught:
        load(path)

    assert len(str(caught.value)) < 500


def test_thousands_of_unknown_entries_are_named_in_a_short_message(tmp_path: Path) -> None:
    extra = {f"llama.{'x' * 60}{i}": 1 for i in range(5_000)}

    with pytest.raises(ConfigError, match="unknown hyper-parameters") as caught:
        load(made(tmp_path / "model.gguf", metadata=extra))

    assert len(str(caught.value)) < 1000
