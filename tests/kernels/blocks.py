"""Blocks of weights made to hurt: any bytes, codes at their ends, scales of every kind."""

from collections.abc import Sequence

import numpy as np

from aboard import _native, formats

# Where the float16 scales of a block stand, in bytes.
SCALE_FIELDS = {
    **dict.fromkeys(("Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "IQ4_XS", "F16"), (0,)),
    **dict.fromkeys(("Q4_1", "Q5_1", "Q4_K", "Q5_K"), (0, 2)),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q6_K": (208,),
}
LARGEST_HALF, SMALLEST_HALF = 65504.0, 2.0**-24
EDGE_SCALES = (0.0, -0.0, SMALLEST_HALF, -SMALLEST_HALF, 1.0, -1.0, LARGEST_HALF, -LARGEST_HALF)
EDGE_BYTES = (0x00, 0xFF, 0x80, 0x7F, 0x0F, 0xF0, 0x55, 0xAA)


def random_blocks(name: str, rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """(rows, n_blocks, bytes) uint8: any bytes but for the scales, which are of moderate size."""
    form = formats.by_name(name)
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (rows, cols // form.BLOCK, form.BLOCK_BYTES), np.uint8)
    return with_scales(name, packed, rng.standard_normal(packed.shape[:2]).astype(np.float32))


def edge_blocks(name: str, rows: int, cols: int) -> np.ndarray:
    """Like `random_blocks`, all bytes of a row the same, and each block with another edge scale."""
    form = formats.by_name(name)
    packed = np.zeros((rows, cols // form.BLOCK, form.BLOCK_BYTES), np.uint8)
    packed[:] = np.resize(EDGE_BYTES, rows)[:, None, None]
    # Row r starts r // 8 scales later, so that every byte meets every scale.
    turns = np.arange(rows)[:, None] // len(EDGE_BYTES) + np.arange(packed.shape[1])
    return with_scales(name, packed, np.array(EDGE_SCALES)[turns % len(EDGE_SCALES)])


def with_scales(name: str, packed: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """`packed` with these scales, (rows, n_blocks), in every field that holds one."""
    packed = packed.copy()
    if name == "MXFP4":
        exponents = np.clip(127 + np.log2(np.maximum(np.abs(scales), 2.0**-127)), 0, 252)
        packed[..., 0] = exponents.astype(np.uint8)
    elif name == "F32":
        packed[...] = scales.astype("<f4")[..., None].view(np.uint8)
    elif name == "BF16":
        packed[...] = scales.astype("<f4")[..., None].view(np.uint8)[..., 2:]
    for at in SCALE_FIELDS.get(name, ()):
        packed[..., at : at + 2] = scales.astype("<f2")[..., None].view(np.uint8)
    return packed


def matrix(name: str, packed: np.ndarray) -> _native.Matrix:
    """The native matrix of blocks `packed`, (rows, n_blocks, bytes) uint8."""
    rows, cols = len(packed), packed.shape[1] * formats.by_name(name).BLOCK
    arena = _native.Arena(_native.packed_size(name, rows, cols))
    made = _native.Matrix(arena, name, rows, cols)
    refused = made.pack(packed.reshape(-1), 0)
    assert refused is None, f"row {refused} was refused"
    return made


def columns(name: str) -> Sequence[int]:
    """Widths to try: one block, ragged rows, and rows beyond the 1024 columns of one stretch."""
    return {1: (5, 172, 1060), 32: (32, 64, 2080), 256: (256, 1280, 2304)}[
        formats.by_name(name).BLOCK
    ]
