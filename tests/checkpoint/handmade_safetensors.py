"""safetensors files put together byte by byte, so that each rule can be broken by itself.

Independent of the reader: written from the format's text alone.
"""

import json
import struct
from collections.abc import Iterable


def entry(dtype: object, shape: object, begin: object, end: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw(header: str | bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with this header, as it stands; `length`: what it claims to be, where it is to lie."""
    octets = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(octets) if length is None else length) + octets + data


def safetensors(
    tensors: dict[str, object], data: bytes = b"", *, metadata: object = None, pad: int = 0
) -> bytes:
    """A file whose header has these entries; `pad`: spaces after it."""
    entries = tensors if metadata is None else {"__metadata__": metadata, **tensors}
    return raw(json.dumps(entries) + " " * pad, data)


def texts(pairs: Iterable[tuple[str, str]]) -> str:
    """A JSON object of these keys and JSON values, keys that stand twice included."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"
