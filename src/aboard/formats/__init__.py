"""The block formats of weights: one file each, with its byte layout and its reference in NumPy.

A format is a module of this folder whose name has no leading underscore; it is found by that name
(`q4_k` is "Q4_K"). `Format` says what such a module holds. To add one is to add one file. How
weights are rounded to blocks: plainly (`encode` of a module), or to scales that are searched
(`find_grid`, `nearest_codes`, `pack`, and all at once `round_to`).

>>> from aboard import formats
>>> formats.by_name("Q4_0").BLOCK_BYTES
18
"""

from __future__ import annotations

from aboard.formats._blocks import Blocks, check_scales
from aboard.formats._grid import Grid
from aboard.formats._parts import Parts
from aboard.formats._registry import (
    NAMES,
    Encoder,
    Format,
    bits_of,
    by_ggml_type,
    by_name,
    encoder,
    plainly_encodable,
)
from aboard.formats._search import (
    Packer,
    encodable,
    encode,
    find_grid,
    grid_of,
    is_affine,
    nearest_codes,
    pack,
    packer,
    round_to,
    searchable,
)
from aboard.formats._sizes import file_bytes, packed_bytes

__all__ = [
    "NAMES",
    "Blocks",
    "Encoder",
    "Format",
    "Grid",
    "Packer",
    "Parts",
    "bits_of",
    "by_ggml_type",
    "by_name",
    "check_scales",
    "encodable",
    "encode",
    "encoder",
    "file_bytes",
    "find_grid",
    "grid_of",
    "is_affine",
    "nearest_codes",
    "pack",
    "packed_bytes",
    "packer",
    "plainly_encodable",
    "round_to",
    "searchable",
]
