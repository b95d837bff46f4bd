"""Faults that converters and engines have had, put into the demo model: each is found.

docs/guide/check.md tells which are not.
"""

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aboard.checkpoint.gguf import GgufFile, open_gguf
from aboard.evaluate import Outcome, check

pytestmark = [pytest.mark.model, pytest.mark.slow]

HEAD_DIM = 64
Rows = np.ndarray


class Patch:
    """A copy of a model whose bytes can be changed where they lie."""

    def __init__(self, path: Path, file: GgufFile) -> None:
        self.path, self.file = path, file

    def rows(self, name: str) -> Rows:
        return self.file.read(name).reshape(self.file.tensors[name].shape[0], -1)

    def write(self, name: str, data: np.ndarray) -> None:
        with self.path.open("r+b") as raw:
            raw.seek(self.file.tensors[name].offset)
            raw.write(np.ascontiguousarray(data).tobytes())

    def write_number(self, key: str, value: float) -> None:
        """A float32 of the metadata: it follows its key and its type."""
        stored = key.encode() + struct.pack("<I", 6)
        with self.path.open("r+b") as raw:
            raw.seek(raw.read(1 << 20).index(stored) + len(stored))
            raw.write(struct.pack("<f", value))


@pytest.fixture
def patch(demo_model: Path, tmp_path: Path) -> Iterator[Patch]:
    path = tmp_path / "broken.gguf"
    shutil.copyfile(demo_model, path)
    with open_gguf(path) as file:
        yield Patch(path, file)
    path.unlink()


def swap_rope_pairs(patch: Patch) -> None:
    """Queries and keys in the order of a family that rotates halves of a head."""
    for name in patch.file.tensors:
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            rows = patch.rows(name)
            pairs = rows.reshape(-1, HEAD_DIM // 2, 2, rows.shape[1])
            patch.write(name, pairs.swapaxes(1, 2))


def exchange_layers(patch: Patch) -> None:
    for name in patch.file.tensors:
        if name.startswith("blk.0."):
            other = name.replace("blk.0.", "blk.1.")
            first, second = patch.rows(name), patch.rows(other)
            patch.write(name, second)
            patch.write(other, first)


def shift_tokens(patch: Patch) -> None:
    patch.write("token_embd.weight", np.roll(patch.rows("token_embd.weight"), 1, axis=0))


def take_one_from_norms(patch: Patch) -> None:
    """As where a family that stores 1 + weight is taken for one that doesn't."""
    for name in patch.file.tensors:
        if "norm" in name:
            patch.write(name, patch.file.read(name).view("<f4") - 1)


def raise_epsilon(patch: Patch) -> None:
    patch.write_number("llama.attention.layer_norm_rms_epsilon", 0.1)


FOUND = {
    "rope pairs swapped": (swap_rope_pairs, {"perplexity", "word-order"}),
    "two layers exchanged": (exchange_layers, {"perplexity", "word-order"}),
    "tokens shifted by one": (shift_tokens, {"greedy-text", "perplexity", "word-order"}),
    "norms without their one": (take_one_from_norms, {"perplexity", "word-order"}),
    "epsilon of 0.1": (raise_epsilon, {"greedy-text", "perplexity", "word-order"}),
}


@pytest.mark.parametrize(("fault", "failing"), FOUND.values(), ids=FOUND)
def test_a_fault_fails(patch: Patch, fault: Callable[[Patch], None], failing: set[str]) -> None:
    fault(patch)

    assert {*check(patch.path).named(Outcome.FAIL)} == failing


def zero_a_tensor(patch: Patch) -> None:
    patch.write("blk.15.ffn_down.weight", np.zeros_like(patch.rows("blk.15.ffn_down.weight")))


def raise_rope_base(patch: Patch) -> None:
    patch.write_number("llama.rope.freq_base", 1e6)  # it is 1e5


TOLD = {
    "one tensor zeroed": (zero_a_tensor, {"zero-weights", "copying"}),
    "rope base of another version": (raise_rope_base, {"copying"}),
}


@pytest.mark.parametrize(("fault", "warning"), TOLD.values(), ids=TOLD)
def test_a_small_fault_warns(
    patch: Patch, fault: Callable[[Patch], None], warning: set[str]
) -> None:
    fault(patch)

    report = check(patch.path)

    assert report.sound
    assert {*report.named(Outcome.WARN)} == warning


def test_the_demo_model_is_sound(demo_model: Path) -> None:
    report = check(demo_model)

    assert report.named(Outcome.FAIL) == report.named(Outcome.WARN) == ()
    assert report.named(Outcome.SKIP) == ("tools",)
