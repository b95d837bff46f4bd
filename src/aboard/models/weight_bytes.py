"""How many bytes the weights of a model take, whatever type each of its tensors has.

>>> from aboard.models.weight_bytes import weight_bytes
>>> weight_bytes(model, {"token_embd.weight": "Q8_0", ...}).memory           # doctest: +SKIP
96576768
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aboard import formats
from aboard.models.decoder import DecoderModel, Weight
from aboard.models.encoder import EncoderModel

ALIGNMENT = 32  # of tensors in the GGUF files that Aboard writes


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBytes:
    """What the weights of a model take with one assignment of types to tensors.

    Attributes
    ----------
    file : int
        Bytes in a GGUF file, each tensor filled up to 32 bytes; the header comes on top.
    memory : int
        Bytes once loaded: matrices packed for the kernels, vectors in float32.
    read : mapping of str to int
        Bytes of memory that a forward pass reads, by type: all but tables of which each token
        takes one row, such as an embedding that is not the head.
    operations : mapping of str to int
        Products and sums of integers that a token takes in the layers' matrices, by type. The head
        is not among them: of a prompt only the last token goes through it.
    """

    file: int
    memory: int
    read: Mapping[str, int]
    operations: Mapping[str, int]


def weight_bytes(model: DecoderModel | EncoderModel, types: Mapping[str, str]) -> WeightBytes:
    """What the weights of `model` take.

    Parameters
    ----------
    model : DecoderModel or EncoderModel
        Whose layers name the tensors and give their shapes.
    types : mapping of str to str
        For each tensor, by its name, one of `aboard.formats.NAMES`.

    Raises
    ------
    ValueError
        The rows of a tensor are no whole blocks of its type.
    """
    tables = _tables(model)
    head = {model.head} if isinstance(model, DecoderModel) else set()
    file = {each.name: _in_file(each, types[each.name]) for each in model.vectors()}
    memory = sum(4 * math.prod(each.shape) for each in model.vectors())
    read: Counter[str] = Counter({"F32": memory})
    operations: Counter[str] = Counter()
    for matrix in model.matrices():
        form = types[matrix.name]
        rows, columns = matrix.shape
        packed = formats.packed_bytes(form, rows, columns)
        file[matrix.name] = _in_file(matrix, form)
        memory += packed
        read[form] += 0 if matrix in tables else packed
        operations[form] += 0 if matrix in tables | head else 2 * rows * columns
    return WeightBytes(
        file=sum(file.values()),
        memory=memory,
        read={form: n for form, n in read.items() if n},
        operations={form: n for form, n in operations.items() if n},
    )


def _tables(model: DecoderModel | EncoderModel) -> set[Weight]:
    """The matrices of which a token takes a row, and that aren't multiplied."""
    if isinstance(model, DecoderModel):
        by_layer = () if model.layer_embedding is None else (model.layer_embedding.table,)
        return {model.embedding, *by_layer} - {model.head}
    types = () if model.token_types is None else (model.token_types,)
    return {model.embedding, model.positions, *types}


def _in_file(weight: Weight, form: str) -> int:
    size = formats.file_bytes(form, weight.tensor_shape)
    return -(-size // ALIGNMENT) * ALIGNMENT
