"""Writes the files from which fuzzing the safetensors reader starts: small, one feature each.

python fuzz/seeds_safetensors.py FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from aboard.checkpoint.safetensors_types import BITS  # noqa: E402
from checkpoint.handmade_safetensors import entry, safetensors  # noqa: E402


def seeds() -> Iterator[bytes]:
    """The files, headers with an "h" and a length before, and indexes with an "i"."""
    for content in _files():
        yield content
        n_header = int.from_bytes(content[:8], "little")
        yield b"h" + bytes([len(content) - 8 - n_header]) + content[8 : 8 + n_header]
    for weight_map in (
        {"a": "a.safetensors", "b": "b.safetensors"},
        {"a": "a.safetensors"},
        {"a": "../a.safetensors"},
    ):
        yield b"i" + json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def _files() -> Iterator[bytes]:
    yield safetensors({})
    yield safetensors({}, metadata={"format": "pt", "Grüße": "世界"}, pad=5)
    for form, bits in BITS.items():
        yield safetensors({"t": entry(form, [2, 4], 0, bits)}, bytes(range(bits)))
    scalar, empty = entry("F32", [], 0, 4), entry("F16", [0, 3], 4, 4)
    yield safetensors({"scalar": scalar, "empty": empty}, bytes(4))
    yield safetensors({"b": entry("U8", [3], 2, 5), "a": entry("BF16", [1], 0, 2)}, bytes(5))


if __name__ == "__main__":
    from harness import write_seeds

    write_seeds(seeds())
