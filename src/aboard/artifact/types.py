"""Which type each tensor of a new GGUF file has, and what the file says about it.

Vectors, and the taps of convolutions, are F32, as llama.cpp has them. Matrices have the type that
was asked for, or else that of the checkpoint; where their rows are no whole blocks of 256, one of
blocks of 32 that errs no more (`SHORTER`), and F16 where they are none of these either. The head,
which may be the embedding, has at least six bits: its errors go straight into the logits. It is
Q6_K beside the types of searched scales, where its rows allow, and Q8_0 otherwise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor
from aboard.errors import UsageError

TAPS = ("shortconv.conv.weight", "ssm_conv1d.weight")  # a few weights for each column
HEAD_BITS = 6.5  # of a weight, at least
HEAD, EMBEDDING = "output.weight", "token_embd.weight"
# Of encoders: small, added to what they never multiply, and F32 in every file.
ADDED = ("position_embd.weight", "token_types.weight")

# Instead of types of 256 weights a block. llama.cpp has Q4_0 for the first two, which errs more in
# as many bits, and Q5_0 for Q4_K, of more bits than need be (docs/experiments.md, searched scales).
SHORTER = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q4_K": "Q4_1",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}

# Exactly as they are, but for F64. All numbers of eight bits are numbers of float16.
OWN_TYPES = {
    "F64": "F32",
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "F8_E4M3": "F16",
    "F8_E5M2": "F16",
    "I8": "F16",
    "U8": "F16",
}

QUANTIZATION_VERSION = 2  # of ggml's block formats
# `general.file_type`, by what most weights are (ggml, docs/gguf.md).
_FILE_TYPES = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q8_0": 7,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q2_K": 10,
    "Q3_K": 12,
    "Q4_K": 15,
    "Q5_K": 17,
    "Q6_K": 18,
    "IQ4_NL": 25,
    "IQ4_XS": 30,
    "BF16": 32,
    "MXFP4": 38,
}


def checked_type(name: str | None) -> str | None:
    """`name`, in whatever case, as `aboard.formats` writes it; None stays.

    Raises
    ------
    UsageError
        Aboard can't write such a type.
    """
    if name is None:
        return None
    if name.upper() not in formats.encodable():
        names = ", ".join(each.lower() for each in formats.encodable())
        raise UsageError(f"the type is {name!r}, expected one of {names}")
    return name.upper()


def type_of(
    name: str, shape: tuple[int, ...], wanted: str | None, own: str, *, is_head: bool
) -> str:
    """The type of one tensor.

    Parameters
    ----------
    name : str
        In the GGUF file.
    shape : tuple of int
        Outermost first.
    wanted : str or None
        What was asked for.
    own : str
        What the checkpoint has, as a name of `aboard.formats`.
    is_head : bool
        Whether logits come out of it.
    """
    if len(shape) < 2 or name in ADDED or name.endswith(TAPS):
        return "F32"
    if wanted is None:
        return own
    if is_head and formats.bits_of(wanted) < HEAD_BITS:
        wanted = "Q8_0" if wanted in formats.plainly_encodable() else "Q6_K"
    return fitting(wanted, shape[-1])


def fitting(wanted: str, columns: int) -> str:
    """`wanted`, or what takes its place in rows of `columns` that are no whole blocks of it."""
    while columns % _block(wanted):
        wanted = SHORTER.get(wanted, "F16")
    return wanted


def _block(name: str) -> int:
    return formats.by_name(name).BLOCK


def type_entries(tensors: Iterable[NewTensor]) -> dict[str, object]:
    """The entries that tell what the weights of a file are made of."""
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[tensor.format] += math.prod(tensor.shape) if len(tensor.shape) > 1 else 0
    entries: dict[str, object] = {"general.quantization_version": QUANTIZATION_VERSION}
    if weights:
        entries["general.file_type"] = _FILE_TYPES[weights.most_common(1)[0][0]]
    return entries


def size_label(n_parameters: int) -> str:
    """`n_parameters` in short, as GGUF files write it: 135M, 1.2B."""
    units = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
    unit, name = next((each for each in units if n_parameters >= each[0]), units[-1])
    scaled = n_parameters / unit
    return f"{scaled:.{max(2 - len(str(round(scaled))), 0)}f}{name}"
