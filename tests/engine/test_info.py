"""`describe`: what the header of a file says, written here by the `gguf` package."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from aboard.engine.info import describe
from aboard.errors import CheckpointError


def write(path: Path, architecture: str = "llama", **changes: object) -> Path:
    """A GGUF file of two tensors: 64 x 32 weights in Q4_0 and 64 in F32."""
    integers = {
        "block_count": 2,
        "context_length": 100,
        "embedding_length": 64,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    writer = GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["a", "b", "c"])
    writer.add_chat_template("{{ messages }}")
    for key, value in (integers | changes).items():
        add = {int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        add.get(type(value), lambda *_: None)(f"{architecture}.{key}", value)
    packed = np.zeros((64, 18), np.uint8)
    writer.add_tensor("token_embd.weight", packed, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.add_tensor("output_norm.weight", np.ones(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_everything_the_header_says_is_told(tmp_path: Path) -> None:
    found = describe(write(tmp_path / "tiny.gguf"))

    assert (found.architecture, found.name, found.license) == ("llama", "Tiny", "mit")
    assert (found.tokenizer, found.pretokenizer, found.n_vocabulary) == ("gpt2", "smollm", 3)
    assert found.has_chat_template
    assert found.n_parameters == 64 * 32 + 64
    assert found.tensors_by_format == {"Q4_0": 1, "F32": 1}
    # Four panels of sixteen rows: 288 bytes of blocks, rounded up to whole cache lines.
    assert found.weights_bytes == 4 * 320 + 64 * 4
    assert found.size_bytes == (tmp_path / "tiny.gguf").stat().st_size
    assert found.bits_per_weight == pytest.approx(found.size_bytes * 8 / 2112)


@pytest.mark.parametrize(
    ("changes", "per_token"),
    [
        ({}, 2 * 2 * (16 + 16) * 2),
        ({"attention.head_count_kv": None}, 2 * 4 * (16 + 16) * 2),
        ({"attention.head_count_kv": [1, 3]}, 4 * (16 + 16) * 2),
        ({"attention.key_length": 8, "attention.value_length": 24}, 2 * 2 * (16 + 32) * 2),
        # Three inputs of a convolution, 64 float32 each, at the end of 64 tokens.
        ({"attention.head_count_kv": [0, 3], "shortconv.l_cache": 4}, 3 * (16 + 16) * 2 + 12),
        ({"full_attention_interval": 2}, 2 * (16 + 16) * 2),
        ({"attention.shared_kv_layers": 1}, 2 * (16 + 16) * 2),
        (
            {
                "attention.key_length_swa": 32,
                "attention.value_length_swa": 32,
                "attention.sliding_window_pattern": [False, True],
            },
            2 * (16 + 16 + 32 + 32) * 2,
        ),
    ],
    ids=[
        *("grouped", "all heads", "per layer", "own head size", "a convolution", "a delta net"),
        *("keys of others", "heads of two sizes"),
    ],
)
def test_memory_counts_the_heads_that_are_kept(
    tmp_path: Path, changes: dict[str, object], per_token: int
) -> None:
    found = describe(write(tmp_path / "tiny.gguf", **changes))

    assert found.kv_bytes_per_token == per_token
    assert found.memory_at_full_context_bytes == found.weights_bytes + 100 * per_token


@pytest.mark.parametrize(
    ("changes", "per_token"),
    [
        ({}, 2 * 2 * (32 + 4 + 16 + 4)),
        ({"attention.key_length": 40, "attention.value_length": 40}, 2 * 2 * (64 + 8 + 48 + 4)),
    ],
    ids=["16", "40"],
)
def test_memory_of_an_int8_cache_counts_codes_and_scales(
    tmp_path: Path, changes: dict[str, object], per_token: int
) -> None:
    found = describe(write(tmp_path / "tiny.gguf", **changes), kv="int8")

    assert found.kv_bytes_per_token == per_token


def test_an_architecture_that_cannot_run_is_described_all_the_same(tmp_path: Path) -> None:
    found = describe(write(tmp_path / "tiny.gguf", "mystery", context_length=None))

    assert found.architecture == "mystery"
    assert found.context_length is None
    assert found.memory_at_full_context_bytes is None


@pytest.mark.parametrize(
    "changes",
    [
        {"context_length": "long"},
        {"block_count": [1, 2]},
        {"attention.head_count_kv": [1, 2, 3]},
        {"attention.head_count_kv": ["a", "b"]},
        {"attention.head_count": 0},
        {"attention.key_length_swa": 8, "attention.sliding_window_pattern": 6},
    ],
)
def test_values_of_the_wrong_kind_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=r"tiny\.gguf"):
        describe(write(tmp_path / "tiny.gguf", **changes))


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises((CheckpointError, OSError), match="gone"):
        describe(tmp_path / "gone.gguf")
