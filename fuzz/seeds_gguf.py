"""Writes the files from which fuzzing the GGUF reader starts: small, sound, one feature each.

python fuzz/seeds_gguf.py FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from aboard import formats  # noqa: E402
from checkpoint.handmade import (  # noqa: E402
    ARRAY,
    BOOL,
    F32,
    I8,
    I32,
    LAYOUTS,
    TEXT,
    U16,
    U32,
    array,
    gguf,
    key,
    tensor,
)


def seeds() -> Iterator[bytes]:
    """The files."""
    yield gguf()
    yield gguf(version=2)
    for kind in LAYOUTS:
        yield gguf([key("k", kind, 1)])
        yield gguf([key("k", ARRAY, array(kind, [0, 1, 1]))])
    yield gguf([key("general.name", TEXT, "Grüße, 世界 🌍")])
    yield gguf([key("tokens", ARRAY, array(TEXT, ["a", "", "é", "世", "🌍"]))])
    inner = array(I8, [1, -1])
    yield gguf([key("k", ARRAY, array(ARRAY, [inner, array(TEXT, ["x"])]))])
    yield gguf([key("k", ARRAY, array(ARRAY, [array(ARRAY, [inner]), inner]))])
    for number in range(2):
        yield gguf(
            [
                key("split.no", U16, number),
                key("split.count", U16, 2),
                key("split.tensors.count", I32, 0),
            ]
        )
    for name in formats.NAMES:
        fmt = formats.by_name(name)
        entry = tensor("t", [2 * fmt.BLOCK, 1], fmt.GGML_TYPE)
        yield gguf([], [entry], bytes(range(7)) * (2 * fmt.BLOCK_BYTES // 7 + 1))
    yield gguf(
        [key("general.alignment", U32, 8), key("x", F32, 0.5), key("y", BOOL, 0)],
        [tensor("a", [2], 0, 0), tensor("b", [3, 2, 1, 1], 1, 8), tensor("c", [4], 24, 24)],
        bytes(32),
        alignment=8,
    )


if __name__ == "__main__":
    from harness import write_seeds

    write_seeds(seeds())
