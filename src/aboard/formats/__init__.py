"""The block formats of weights: one file each, with its byte layout and its reference in NumPy.

A format is a module of this folder whose name has no leading underscore; it is found by that name
(`q4_k` is "Q4_K"). `Format` says what such a module holds. To add one is to add one file.

>>> from aboard import formats
>>> formats.by_name("Q4_0").BLOCK_BYTES
18
"""

from __future__ import annotations

from aboard.formats._blocks import Blocks, check_scales
from aboard.formats._registry import (
    NAMES,
    Encoder,
    Format,
    by_ggml_type,
    by_name,
    encodable,
    encoder,
)
from aboard.formats._sizes import file_bytes, packed_bytes

__all__ = [
    "NAMES",
    "Blocks",
    "Encoder",
    "Format",
    "by_ggml_type",
    "by_name",
    "check_scales",
    "encodable",
    "encoder",
    "file_bytes",
    "packed_bytes",
]
