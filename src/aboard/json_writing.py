"""JSON that every reader takes: the standard knows neither NaN nor infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def json_of(value: object, *, indent: int | None = None) -> str:
    """The JSON of plain values; a number that is infinite or NaN is null.

    Parameters
    ----------
    value : object
        Mappings, sequences, texts, numbers, booleans, None; what else is in them is told by `str`.
    indent : int, optional
        Spaces for each level; None: all on one line.
    """
    return json.dumps(
        _finite(value), ensure_ascii=False, indent=indent, allow_nan=False, default=str
    )


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
