"""The tiny models that other tests stand on, read by the `gguf` package."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from tiny import FORMATS, Llama, RopeScaling, gguf_tensors, llama_weights, tiny_llama


@pytest.mark.parametrize("fmt", FORMATS)
def test_weights_of_every_format_are_finite_and_of_the_size_asked_for(
    fmt: str, tmp_path: Path
) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt=fmt, width=256, ffn=512, layers=1)

    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}

    gate = tensors["blk.0.ffn_gate.weight"]
    weights = gguf.dequantize(gate.data, gate.tensor_type)
    assert gate.tensor_type.name == fmt
    assert weights.shape == (512, 256)
    assert weights.std() == pytest.approx(1 / 16, rel=0.25)
    assert abs(weights.mean()) < 0.02 * weights.std()


def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    first = tiny_llama(tmp_path / "first.gguf", fmt="Q4_0", seed=3).read_bytes()

    again = tiny_llama(tmp_path / "again.gguf", fmt="Q4_0", seed=3).read_bytes()
    other = tiny_llama(tmp_path / "other.gguf", fmt="Q4_0", seed=4).read_bytes()

    assert first == again
    assert first != other


def test_the_file_says_what_the_model_is(tmp_path: Path) -> None:
    scaling = RopeScaling("linear", factor=4.0)

    path = tiny_llama(tmp_path / "tiny.gguf", layers=1, head_dim=24, rope_scaling=scaling)

    fields = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["llama.attention.key_length"] == 24
    assert fields["llama.rope.scaling.type"] == "linear"
    assert fields["llama.rope.scaling.factor"] == 4.0
    assert len(fields["tokenizer.ggml.tokens"]) == 259


def test_query_rows_are_ordered_so_that_rotated_pairs_are_neighbours() -> None:
    model = Llama(layers=1, width=8, heads=1, kv_heads=1, ffn=8)
    weights = llama_weights(model, seed=0)
    name = "model.layers.0.self_attn.q_proj.weight"

    stored = gguf_tensors(model, weights)["blk.0.attn_q.weight"]

    rows = np.frombuffer(stored.data, np.float32).reshape(8, 8)
    assert np.array_equal(rows, weights[name][[0, 4, 1, 5, 2, 6, 3, 7]])
