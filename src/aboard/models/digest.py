"""The hash of hyper-parameters: what tells two models apart whose tensors are the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from typing import Any

from aboard.models.decoder import DecoderModel
from aboard.models.encoder import EncoderModel


@lru_cache(maxsize=64)
def config_sha256(config: DecoderModel | EncoderModel) -> str:
    """The SHA-256 of all hyper-parameters and of the names and shapes of weights, 64 digits.

    It is that of JSON with sorted keys and no white space: of each part its fields, but for those
    that have their defaults, so that a field that is new changes no hash of a model without it.
    Tensors that change no answer (`unused`) don't count.
    """
    text = json.dumps(_plain(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name != "unused" and getattr(value, field.name) != field.default
        }
        return {"part": type(value).__name__, **fields}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
