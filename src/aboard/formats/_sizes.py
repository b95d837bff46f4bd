"""How many bytes weights of a format take: in a file, and packed for the kernels."""

from __future__ import annotations

import math

from aboard.formats._registry import by_name


def file_bytes(name: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor in a file, whose rows are whole blocks of the format `name`.

    Parameters
    ----------
    name : str
        Such as "Q4_K".
    shape : tuple of int
        Outermost first.

    Raises
    ------
    UnsupportedFile
        Aboard has no such format.
    """
    form = by_name(name)
    return math.prod(shape) // form.BLOCK * form.BLOCK_BYTES


def packed_bytes(name: str, rows: int, columns: int) -> int:
    """Bytes of a matrix in memory: panels of sixteen rows, as native/kernels/layout.h draws them.

    Raises
    ------
    ValueError
        The engine has no such format, or the rows are no whole blocks of it.
    """
    from aboard import _native

    return _native.packed_size(name, rows, columns)
