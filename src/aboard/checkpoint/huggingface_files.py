"""The small files of a Hugging Face folder, read as what a stranger wrote: bounded and typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aboard.checkpoint.file_bytes import is_there, read_whole
from aboard.checkpoint.json_text import parse_json
from aboard.errors import CheckpointError, TokenizerError

# The largest tokenizer.json known is that of Gemma 3, 33 MB.
MAX_JSON_BYTES = 128 << 20
MAX_SMALL_BYTES = 16 << 20
# What a value in memory costs is not the bytes it has in a file: `[]` takes 56. Gemma 3 has
# 1,300,000 strings and 515,000 lists.
_MAX_COUNTS = {b'"': 8_000_000, b",": 4_000_000, b"[": 1_500_000, b"{": 500_000}
_DAMAGED = "The file is damaged or was made by a faulty tool: get it again."


class Folder:
    """Typed access to the files of one folder; each refusal names the file and the key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return is_there(self.path / name)

    def read(self, name: str, max_bytes: int = MAX_SMALL_BYTES) -> bytes:
        """The bytes of a file."""
        try:
            return read_whole(self.path / name, max_bytes)
        except CheckpointError as error:
            raise TokenizerError(str(error), hint=error.hint) from None

    def text(self, name: str, max_bytes: int = MAX_SMALL_BYTES) -> str:
        """The text of a file, which must be UTF-8."""
        try:
            return self.read(name, max_bytes).decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise TokenizerError(
                f"{self.path / name}: byte {error.start} is no UTF-8", hint=_DAMAGED
            ) from None

    def json(self, name: str, max_bytes: int = MAX_SMALL_BYTES) -> Fields:
        """The object that a file holds; an empty one where there is no such file."""
        if not self.has(name):
            return Fields({}, str(self.path / name))
        where = str(self.path / name)
        return Fields(parse_object(self.read(name, max_bytes), where), where)


class Fields:
    """Typed access to the members of a JSON object.

    Attributes
    ----------
    members : mapping
        The object itself.
    where : str
        What an error names: the file, and the key that led here.
    """

    def __init__(self, members: Mapping[str, Any], where: str) -> None:
        self.members = members
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self.members.get(key) is not None

    def wrong(self, key: str, expected: str) -> TokenizerError:
        """The error that says what `key` should have been."""
        found = self.members.get(key)
        shown = json.dumps(found)[:60] if isinstance(found, str | int | float) else ""
        kind = "missing" if found is None else type(found).__name__
        return TokenizerError(
            f"{self.where}: {key} is {shown or kind}, expected {expected}", hint=_DAMAGED
        )

    def text(self, key: str) -> str:
        """A string that must be there."""
        found = self.members.get(key)
        if not isinstance(found, str):
            raise self.wrong(key, "a string")
        return found

    def optional_text(self, key: str) -> str | None:
        """A string, None where it is null or missing."""
        return self.text(key) if key in self else None

    def flag(self, key: str, default: bool = False) -> bool:
        """A boolean, `default` where it is null or missing."""
        found = self.members.get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.wrong(key, "true or false")
        return found

    def number(self, key: str) -> int:
        """An integer from 0 on that must be there."""
        found = self.members.get(key)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 31:
            raise self.wrong(key, "an integer from 0 to 2147483647")
        return found

    def objects(self, key: str) -> list[Fields]:
        """The objects of a list, none where it is null or missing."""
        found = self.members.get(key)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.wrong(key, "a list of objects")
        return [Fields(item, f"{self.where}: {key}[{i}]") for i, item in enumerate(found)]

    def object(self, key: str) -> Fields | None:
        """An object, None where it is null or missing."""
        found = self.members.get(key)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.wrong(key, "an object")
        return Fields(found, f"{self.where}: {key}")


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """The JSON object that `content` is; no text in it holds half a surrogate pair.

    Raises
    ------
    TokenizerError
        It is something else, or holds more than any tokenizer known.
    """
    for mark, limit in _MAX_COUNTS.items():
        if content.count(mark) > limit:
            raise TokenizerError(
                f"{where}: has more than {limit} of {mark.decode()}",
                hint="No model is known that needs it.",
            )
    try:
        found = parse_json(
            content,
            f"{where}:",
            max_values=sum(_MAX_COUNTS.values()),
            max_rich_bytes=MAX_JSON_BYTES,
            whole_pairs=True,
        )
    except CheckpointError as error:
        raise TokenizerError(str(error), hint=_DAMAGED) from None
    if not isinstance(found, dict):
        raise TokenizerError(
            f"{where}: holds {type(found).__name__}, expected an object", hint=_DAMAGED
        )
    return found
