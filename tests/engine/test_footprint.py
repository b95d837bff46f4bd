"""What a model will take is what the engine then takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from aboard import _native
from aboard.checkpoint.gguf import open_gguf
from aboard.engine import footprint as counted
from aboard.engine.footprint import attended, footprint, sequence_bytes
from aboard.models import DecoderModel, describe_model
from engine.made import DELTA_NETS, convolutions
from tiny_families import Tiny, tiny_model

FAMILIES = {
    "grouped": Tiny("qwen3", heads=4, kv_heads=2, head_dim=40),
    "windows": Tiny("gemma3", layers=6, own={"attention.sliding_window": 64}),
    "convolutions": convolutions(4),
    "delta nets": DELTA_NETS,
}


def described(path: Path) -> DecoderModel:
    with open_gguf(path) as file:
        model = describe_model(file.metadata, frozenset(file.tensors))
    assert isinstance(model, DecoderModel)
    return model


@pytest.mark.parametrize("kv", ["f16", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_has_so_many_bytes(tmp_path: Path, family: str, kv: str) -> None:
    path = tiny_model(tmp_path / "tiny.gguf", FAMILIES[family])
    model = aboard.load(path, kv=kv)
    with model.session() as session:
        session.prefill([1] * 100)

        chunks = session.cache.chunk_bytes
        state = session.cache.state_bytes
        held = model.decoder.kv_memory()["used_bytes"]

    counted_bytes = sequence_bytes(described(path), 100, kv)
    convolutions = [layer.short_conv or layer.delta_net for layer in model.config.layers]
    taps = [block.taps.shape for block in convolutions if block is not None]
    recent = sum(width * 4 * 32 for width, _ in taps)
    assert held == 2 * chunks
    assert counted_bytes == held + recent + (2 * state - ends(taps) if state else 0)


def ends(taps: list[tuple[int, ...]]) -> int:
    """Bytes of what convolutions look back on, in whole cache lines."""
    return -(-sum(width * (n - 1) * 4 for width, n in taps) // 64) * 64


def test_a_window_bounds_the_keys_that_are_seen_and_not_those_that_are_kept(
    tmp_path: Path,
) -> None:
    near = described(tiny_model(tmp_path / "near.gguf", FAMILIES["windows"]))
    far = described(tiny_model(tmp_path / "far.gguf", Tiny("gemma3", layers=6, context=1024)))

    assert [n_keys for _, n_keys in attended(near, 1000)] == [*5 * [64], 1000]
    assert sequence_bytes(near, 1000, "f16") == sequence_bytes(far, 1000, "f16")


def test_the_engine_has_these_chunks_of_keys() -> None:
    assert counted._KEY_CHUNK == _native.KEY_CHUNK


MEASURE = """
import json, re, sys
import numpy, aboard, aboard._native, aboard.cli.app, aboard.cli.conversation, aboard.engine.loading
def kilobytes(key):
    return int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = kilobytes("VmRSS")
model = aboard.load(sys.argv[1], threads=2, kv=sys.argv[2])
with model.session() as session:
    session.prefill([i % 1000 for i in range(int(sys.argv[3]) - 1)])
    session.decode(7)
print(json.dumps(kilobytes("VmHWM") - before))
"""


@pytest.mark.model
@pytest.mark.parametrize(("kv", "context"), [("f16", 2048), ("int8", 256)])
def test_the_demo_model_takes_as_much_as_was_told(demo_model: Path, kv: str, context: int) -> None:
    with open_gguf(demo_model) as file:
        begin = min(each.offset for each in file.tensors.values())
        model = describe_model(file.metadata, frozenset(file.tensors))
    weights = aboard.load(demo_model).weights_bytes

    told = footprint(
        model, weights, header_bytes=begin, tokenizer="gpt2", context=context, kv=kv, threads=2
    )

    command = [sys.executable, "-c", MEASURE, str(demo_model), kv, str(context)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.peak - told.process == pytest.approx(json.loads(run.stdout), rel=0.05)
