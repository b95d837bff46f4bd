"""Weights on their way into the engine: hashed as they are, packed whole, refused where damaged."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from aboard import formats
from aboard.checkpoint.gguf import open_gguf
from aboard.engine import weights as weights_module
from aboard.engine.weights import Weights, load_weights
from aboard.errors import CheckpointError, CorruptTensor, MalformedFile, UnsupportedFile
from aboard.models import describe_model
from engine.made import made, ones, with_tensor, with_value, without
from tiny import FORMATS, tiny_llama
from tiny_blocks import Random, random_tensor
from tiny_families import Tiny, tiny_model
from tiny_gguf import Tensor


def loaded(path: Path, threads: int = 2) -> Weights:
    with open_gguf(path) as file:
        return load_weights(file, describe_model(file.metadata, frozenset(file.tensors)), threads)


def expected_sha256(path: Path) -> str:
    """From the bytes in the file, by the definition in `Weights`."""
    content = path.read_bytes()
    with open_gguf(path) as file:
        infos = sorted(file.tensors.values(), key=lambda info: info.name)
    lines = ""
    for info in infos:
        data = content[info.offset : info.offset + info.size_bytes]
        shape = "x".join(str(n) for n in info.shape)
        lines += f"{info.name}\t{info.format}\t{shape}\t{hashlib.sha256(data).hexdigest()}\n"
    return hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_hash_is_that_of_names_formats_shapes_and_bytes(fmt: str, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt=fmt, width=256, ffn=256, layers=1)

    assert loaded(path).sha256 == expected_sha256(path)


def test_the_hash_does_not_depend_on_threads_or_the_size_of_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")
    want = loaded(path).sha256

    found = {loaded(path, threads).sha256 for threads in (1, 3, 16)}
    monkeypatch.setattr(weights_module, "_CHUNK_BYTES", 1)
    found.add(loaded(path).sha256)

    assert found == {want}


def test_the_hash_does_not_depend_on_the_order_in_the_file(tmp_path: Path) -> None:
    def reverse(tensors: dict[str, Tensor]) -> None:
        pairs = list(tensors.items())
        tensors.clear()
        tensors.update(reversed(pairs))

    one, other = made(tmp_path / "one"), made(tmp_path / "other", change=reverse)

    assert loaded(one).sha256 == loaded(other).sha256
    assert one.read_bytes() != other.read_bytes()


def test_the_hash_does_not_depend_on_metadata(tmp_path: Path) -> None:
    one = made(tmp_path / "one")
    other = made(tmp_path / "other", metadata={"general.name": "another"})

    assert loaded(one).sha256 == loaded(other).sha256


def test_the_hash_changes_with_a_bit_of_any_tensor(tmp_path: Path) -> None:
    path = made(tmp_path / "tiny")
    with open_gguf(path) as file:
        last_bytes = [info.offset + info.size_bytes - 4 for info in file.tensors.values()]
    content = path.read_bytes()
    hashes = {loaded(path).sha256}

    for at in last_bytes:
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        hashes.add(loaded(path).sha256)

    assert len(hashes) == len(last_bytes) + 1


@pytest.mark.parametrize("chunk_bytes", [1, 5_000, 1 << 20])
@pytest.mark.parametrize("fmt", ["F32", "Q4_1", "Q6_K"])
def test_rows_are_whole_however_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: str, chunk_bytes: int
) -> None:
    monkeypatch.setattr(weights_module, "_CHUNK_BYTES", chunk_bytes)
    path = tiny_llama(tmp_path / "tiny.gguf", fmt=fmt, width=256, ffn=256, layers=1)
    form = formats.by_name(fmt)

    matrices = loaded(path).matrices

    with open_gguf(path) as file:
        for name, matrix in matrices.items():
            raw = file.read(name).reshape(matrix.rows, -1, form.BLOCK_BYTES)
            rows = np.stack([matrix.row(i) for i in range(matrix.rows)])
            assert rows.tobytes() == form.decode(raw).tobytes(), name


def test_vectors_come_as_float32_from_any_format(tmp_path: Path) -> None:
    stored = random_tensor("Q8_0", 1, 32, 1.0, Random(0))
    path = made(
        tmp_path / "tiny",
        change=with_tensor("output_norm.weight", Tensor("Q8_0", (32,), stored.data)),
    )

    vector = loaded(path).vectors["output_norm.weight"]

    raw = np.frombuffer(stored.data, np.uint8).reshape(1, -1)
    assert vector.dtype == np.float32
    assert vector.tobytes() == formats.by_name("Q8_0").decode(raw).tobytes()


def test_a_tied_head_is_packed_once(tmp_path: Path) -> None:
    path = made(tmp_path / "tiny", change=without("output.weight"))

    assert "output.weight" not in loaded(path).matrices


def test_matrices_that_share_a_tensor_are_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "_CHUNK_BYTES", 1000)
    path = tiny_model(tmp_path / "phi3.gguf", Tiny("phi3", head_dim=8, ffn=64), fmt="Q5_0")

    weights = loaded(path)

    with open_gguf(path) as file:
        raw = file.read("blk.0.attn_qkv.weight").reshape(
            64, -1, formats.by_name("Q5_0").BLOCK_BYTES
        )
    want = formats.by_name("Q5_0").decode(raw)
    for first, last in ((0, 32), (32, 48), (48, 64)):
        matrix = weights.matrices[f"blk.0.attn_qkv.weight[{first}:{last}]"]
        rows = np.stack([matrix.row(i) for i in range(matrix.rows)])
        assert rows.tobytes() == want[first:last].tobytes()
    assert weights.sha256 == expected_sha256(path)


# What is refused.


def test_a_damaged_row_of_a_part_is_counted_from_the_beginning_of_the_tensor(
    tmp_path: Path,
) -> None:
    path = tiny_model(tmp_path / "phi3.gguf", Tiny("phi3", head_dim=8, ffn=64))
    with open_gguf(path) as file:
        info = file.tensors["blk.1.attn_qkv.weight"]
    content = bytearray(path.read_bytes())
    at = info.offset + (50 * 64 + 7) * 4
    content[at : at + 4] = np.float32(np.nan).tobytes()
    path.write_bytes(content)

    with pytest.raises(CorruptTensor, match=r"'blk.1.attn_qkv.weight': row 50 holds NaN"):
        loaded(path)


@pytest.mark.parametrize(
    "name",
    ["token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_norm.weight"],
)
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "tiny", change=without(name))

    with pytest.raises(MalformedFile, match=rf"tiny: has no tensor '{name}'"):
        loaded(path)


@pytest.mark.parametrize(
    "name", ["blk.0.attn_norm.bias", "blk.0.attn_q_norm.weight", "blk.1.ffn_up.weight", "extra"]
)
def test_a_tensor_that_nothing_uses_is_named(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "tiny", change=with_tensor(name, ones(32)))

    with pytest.raises(UnsupportedFile, match=rf"1 tensors that .* doesn't use: '{name}'"):
        loaded(path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("token_embd.weight", (258, 32)),
        ("token_embd.weight", (32, 259)),
        ("token_embd.weight", (1, 259, 32)),
        ("output_norm.weight", (33,)),
        ("output_norm.weight", (1, 32)),
        ("blk.0.attn_k.weight", (32, 32)),
        ("blk.0.ffn_down.weight", (48, 32)),
    ],
)
def test_a_tensor_of_another_shape_is_named_with_both_shapes(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    path = made(tmp_path / "tiny", change=with_tensor(name, ones(*shape)))

    with pytest.raises(MalformedFile) as caught:
        loaded(path)

    assert f"tensor '{name}' is {shape}, expected (" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "at", "named"),
    [
        ("token_embd.weight", (258, 31), "row 258"),
        ("blk.0.ffn_down.weight", (17, 0), "row 17"),
        ("output_norm.weight", (31,), "value 31"),
        ("blk.0.attn_norm.weight", (0,), "value 0"),
    ],
)
def test_a_weight_that_is_no_number_is_found(
    tmp_path: Path, name: str, at: tuple[int, ...], named: str, bad: float
) -> None:
    path = made(tmp_path / "tiny", change=with_value(name, at, bad))

    with pytest.raises(CorruptTensor, match=rf"tiny: tensor '{name}': {named} "):
        loaded(path)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_cut_short_while_it_is_loaded_is_an_error(
    tmp_path: Path, threads: int, kept: float
) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt="Q8_0")
    with open_gguf(path) as file:
        model = describe_model(file.metadata, frozenset(file.tensors))
        os.truncate(path, int(kept * path.stat().st_size))

        with pytest.raises(CheckpointError, match=r"tiny\.gguf"):
            load_weights(file, model, threads)


def test_a_format_that_no_kernel_reads_is_refused_by_its_name(tmp_path: Path) -> None:
    path = made(tmp_path / "tiny")
    content = bytearray(path.read_bytes())
    kind_at = content.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 2 * 8
    assert content[kind_at : kind_at + 4] == b"\0\0\0\0"  # F32
    content[kind_at] = 16  # IQ2_XXS
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"token_embd\.weight.*(IQ2_XXS|16|256)"):
        loaded(path)
