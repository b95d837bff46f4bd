"""Bytes of weights by a model's layers: as the file, the loaded model and the kernels have them."""

from pathlib import Path

import pytest

import aboard
from aboard import formats
from aboard.checkpoint.gguf import open_gguf
from aboard.models import describe_model
from aboard.models.weight_bytes import WeightBytes, weight_bytes
from tiny import FORMATS, tiny_llama
from tiny_families import Tiny, tiny_model


def of_file(path: Path) -> WeightBytes:
    """Those of the model that the file holds, as it is."""
    with open_gguf(path) as file:
        model = describe_model(file.metadata, frozenset(file.tensors))
        return weight_bytes(model, {each.name: each.format for each in file.tensors.values()})


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied"])
def test_memory_is_what_a_loaded_model_holds(tmp_path: Path, fmt: str, tied: bool) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt=fmt, width=256, ffn=512, tied=tied)

    found = of_file(path)

    model = aboard.load(path)
    assert found.memory == model.weights_bytes
    assert sum(found.read.values()) == model.decode_weight_bytes


@pytest.mark.parametrize(
    "tiny",
    [
        Tiny("gemma3", tied=True, layers=6, own={"attention.sliding_window": 64}),
        Tiny("phi3", width=64, heads=4, kv_heads=4),
        Tiny("qwen2", biases=("qkv",)),
    ],
    ids=lambda tiny: tiny.family,
)
def test_the_same_of_other_families(tmp_path: Path, tiny: Tiny) -> None:
    path = tiny_model(tmp_path / "tiny.gguf", tiny, fmt="Q8_0")

    found = of_file(path)

    with open_gguf(path) as file:
        begin = min(each.offset for each in file.tensors.values())
    model = aboard.load(path)
    assert found.file == path.stat().st_size - begin
    assert found.memory == model.weights_bytes
    assert sum(found.read.values()) == model.decode_weight_bytes


def test_operations_are_two_for_each_weight_of_the_layers(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0", embedding_fmt="Q8_0", layers=1, width=64)

    found = of_file(path)

    heads = 64 * 64 * 2 + 64 * 32 * 2
    assert found.operations == {"Q4_0": 2 * (heads + 3 * 64 * 128)}
    assert set(found.read) == {"F32", "Q4_0", "Q8_0"}


def test_a_type_whose_blocks_are_longer_than_rows_is_refused(tmp_path: Path) -> None:
    with open_gguf(tiny_llama(tmp_path / "tiny.gguf")) as file:
        model = describe_model(file.metadata, frozenset(file.tensors))
        types = {each.name: each.format for each in file.tensors.values()}

    with pytest.raises(ValueError, match="multiple of 256"):
        weight_bytes(model, types | {"blk.0.attn_q.weight": "Q4_K"})


@pytest.mark.parametrize("name", formats.NAMES)
def test_bytes_in_a_file_are_those_of_whole_blocks(name: str) -> None:
    form = formats.by_name(name)

    assert formats.file_bytes(name, (3, 512)) == 3 * 512 // form.BLOCK * form.BLOCK_BYTES
