"""JSON from files that nobody vouches for: what the standard leaves open is refused.

Keys that stand twice, NaN and Infinity, numbers beyond what a float or an integer holds, nesting
without end, and texts that would take many times their size in memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

from aboard.checkpoint.file_bytes import CUT_SHORT, read_whole, shown
from aboard.errors import MalformedFile, UnsupportedFile

Pairs = list[tuple[str, object]]

MAX_FILE_BYTES = 64 << 20
# Every value becomes a Python object of at least 32 bytes, most of more.
MAX_VALUES = 1 << 20
# One character beyond ASCII makes a text take up to four bytes for each of its characters.
MAX_RICH_BYTES = 8 << 20

_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")

MAX_DIGITS = 640  # to read a number takes time by the square of its length


class RepeatedKey(ValueError):
    """A key stands twice in one object."""


def read_json(path: Path, max_bytes: int = MAX_FILE_BYTES) -> dict[str, object]:
    """The JSON object that the file at `path` holds.

    Raises
    ------
    CheckpointError
        The file can't be read, or is no such object.
    """
    found = parse_json(read_whole(path, max_bytes), f"{path}:")
    if not isinstance(found, dict):
        raise MalformedFile(f"{path}: is {type(found).__name__}, expected a JSON object")
    return found


def unique(pairs: Pairs) -> dict[str, object]:
    """The object of these keys and values.

    Raises
    ------
    RepeatedKey
        A key stands there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKey(f"the key {shown(repeated_key(pairs))} stands there twice")
    return found


def repeated_key(pairs: Pairs) -> str:
    """The first key that stands twice in `pairs`."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise ValueError("no key stands there twice")


def parse_json(
    data: bytes,
    where: str,
    *,
    mapping: Callable[[Pairs], object] = unique,
    max_values: int = MAX_VALUES,
    max_rich_bytes: int = MAX_RICH_BYTES,
    whole_pairs: bool = False,
) -> object:
    """The value that `data`, JSON in UTF-8, holds.

    Parameters
    ----------
    data : bytes
        The text.
    where : str
        What messages begin with.
    mapping : callable
        What an object becomes, from its keys and values.
    max_values, max_rich_bytes : int
        How many values, and how long a text with characters beyond ASCII, may be.
    whole_pairs : bool
        Refuse texts with half a surrogate pair, which are no Unicode.

    Raises
    ------
    MalformedFile
        It is no JSON in UTF-8, a key stands twice, a number can't be told exactly, or a text is
        none.
    UnsupportedFile
        It has more values, or a longer text, than Aboard reads.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > max_values:
        raise UnsupportedFile(f"{where} has more than {max_values} values, the most Aboard reads")
    if len(data) > max_rich_bytes and not (data.isascii() and b"\\" not in data):
        raise UnsupportedFile(
            f"{where} has {len(data)} bytes with characters beyond ASCII; Aboard reads at most "
            f"{max_rich_bytes} of such"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedFile(f"{where} is not UTF-8 text, at byte {error.start}") from None
    try:
        found: object = json.loads(
            text,
            object_pairs_hook=mapping,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_integer,
        )
    except RecursionError:
        raise MalformedFile(f"{where} nests values too deeply") from None
    except json.JSONDecodeError as error:
        found = f"{error.msg}, at character {error.pos}"
        raise MalformedFile(f"{where} is no JSON: {found}", hint=CUT_SHORT) from None
    except ValueError as error:
        raise MalformedFile(f"{where} {str(error)[:160]}") from None
    if whole_pairs and _HALF_PAIR.search(data):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise MalformedFile(f"{where} holds half a surrogate pair") from None
    return found


def _constant(name: str) -> object:
    raise ValueError(f"holds {name}, which is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:  # Python's own limit can be set by the environment
        raise ValueError(f"holds a number of {len(digits)} digits, expected at most {MAX_DIGITS}")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"holds the number {digits[:20]}, which is beyond a float's range")
    return number
