"""Typed access to the metadata of a tokenizer, as a GGUF file holds it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aboard.checkpoint.gguf_strings import StringArray
from aboard.errors import TokenizerError

PREFIX = "tokenizer.ggml."
CONVERT_AGAIN = "The file is damaged or was made by a faulty converter: get or convert it again."
_REFUSED_WHEN_SET = re.compile(r"(add_|remove_|normalizer|precompiled_)")
_UNDERSTOOD = ("add_bos_token", "add_eos_token", "add_space_prefix")


class TokenizerFields:
    """Typed access to `tokenizer.ggml.*`; a name stands for the key without that."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self._metadata = metadata

    def missing(self, name: str) -> TokenizerError:
        """The error for a key that must be there."""
        return TokenizerError(f"{PREFIX}{name} is missing", hint=CONVERT_AGAIN)

    def _wrong(self, name: str, value: object, expected: str) -> TokenizerError:
        return TokenizerError(
            f"{PREFIX}{name} is {type(value).__name__}, expected {expected}", hint=CONVERT_AGAIN
        )

    def optional_text(self, name: str) -> str | None:
        """A string, None where there is none."""
        value = self._metadata.get(PREFIX + name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return value

    def other_text(self, key: str) -> str | None:
        """The string of a whole key, None where there is none."""
        value = self._metadata.get(key)
        if value is not None and not isinstance(value, str):
            raise TokenizerError(
                f"{key} is {type(value).__name__}, expected a string", hint=CONVERT_AGAIN
            )
        return value

    def octets(self, name: str) -> bytes:
        """An array of bytes, empty where there is none."""
        value = self._metadata.get(PREFIX + name)
        array = np.asarray([] if value is None else value)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise self._wrong(name, value, "an array of bytes")
        if array.size and not 0 <= array.min() <= array.max() < 256:
            raise self._wrong(name, value, "an array of bytes")
        return array.astype(np.uint8).tobytes()

    def ids(self, key: str, n_vocab: int) -> frozenset[int] | None:
        """The ids that the array of a whole key holds, None where there is none."""
        value = self._metadata.get(key)
        if value is None:
            return None
        array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
        if array is None or array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TokenizerError(f"{key} is no array of ids", hint=CONVERT_AGAIN)
        if array.size and not 0 <= array.min() <= array.max() < n_vocab:
            raise TokenizerError(
                f"{key} holds ids up to {array.max()}, but the vocabulary has {n_vocab} tokens",
                hint=CONVERT_AGAIN,
            )
        return frozenset(array.tolist())

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise self.missing(name)
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean, None where there is none."""
        value = self._metadata.get(PREFIX + name)
        if value is not None and not isinstance(value, bool | np.bool_):
            raise self._wrong(name, value, "a boolean")
        return None if value is None else bool(value)

    def token_id(self, name: str, n_vocab: int) -> int | None:
        """An id below `n_vocab`, None where there is none."""
        value = self._metadata.get(PREFIX + name)
        if value is None:
            return None
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise self._wrong(name, value, "an integer")
        if not 0 <= value < n_vocab:
            raise TokenizerError(
                f"{PREFIX}{name} is {value}, but the vocabulary has {n_vocab} tokens",
                hint=CONVERT_AGAIN,
            )
        return int(value)

    def array(self, name: str, kinds: str, length: int) -> np.ndarray[Any, np.dtype[Any]] | None:
        """A flat array of `length` numbers of NumPy's `kinds`, None where there is none."""
        value = self._metadata.get(PREFIX + name)
        if value is None:
            return None
        if not isinstance(value, np.ndarray | list | tuple):
            raise self._wrong(name, value, "an array of numbers")
        try:
            array = np.asarray(value)
        except ValueError:
            raise self._wrong(name, value, "an array of numbers") from None
        if array.ndim != 1 or (array.dtype.kind not in kinds and array.size):
            raise self._wrong(name, value, "a flat array of numbers")
        if array.size != length:
            raise TokenizerError(
                f"{PREFIX}{name} has {array.size} entries, but there are {length} tokens",
                hint=CONVERT_AGAIN,
            )
        return array

    def strings(self, name: str) -> StringArray:
        """An array of strings that must be there."""
        value = self._metadata.get(PREFIX + name)
        if value is None:
            raise self.missing(name)
        if isinstance(value, StringArray):
            return value
        items = as_list(value, PREFIX + name)
        if not set(map(type, items)) <= {str}:
            raise self._wrong(name, value, "an array of strings")
        try:
            return StringArray.of(items)
        except UnicodeEncodeError:
            raise self._wrong(name, value, "an array of strings in UTF-8") from None

    def refuse_unknown_switches(self, understood: tuple[str, ...]) -> None:
        """Refuse what is set and changes the ids in a way that isn't known."""
        for key, value in self._metadata.items():
            name = key.removeprefix(PREFIX)
            if (
                name == key
                or name in (*_UNDERSTOOD, *understood)
                or not _REFUSED_WHEN_SET.match(name)
            ):
                continue
            is_set = len(value) > 0 if isinstance(value, Sequence | np.ndarray) else bool(value)
            if is_set:
                raise TokenizerError(
                    f"{key} is set, and Aboard doesn't know what it does to the tokens",
                    hint="The model needs a newer Aboard; report the model's name.",
                )


def as_list(value: object, key: str) -> list[Any]:
    """The items of a sequence or of a flat array."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return list(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return list(value.tolist())
    raise TokenizerError(f"{key} is {type(value).__name__}, expected an array", hint=CONVERT_AGAIN)
