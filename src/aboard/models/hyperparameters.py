"""A model's hyper-parameters: typed, bounded, and none left unread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized

import numpy as np

from aboard.errors import ConfigError

_LARGEST = 2**31 - 1
MAX_LAYERS = 10_000
_DAMAGED = "The file is damaged or was made by a faulty converter: get or convert it again."


def finite(value: object) -> float | None:
    """`value` as a finite number; None where it is none, or an integer beyond float64."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def of_period(period: int, n_layers: int) -> tuple[bool, ...]:
    """Which layers are of a kind where of `period` layers all but the last are; 0: all."""
    return tuple(period == 0 or i % period < period - 1 for i in range(n_layers))


class Entries:
    """Entries of a file that nobody vouches for, read by name; `finish` refuses what was not read.

    Parameters
    ----------
    values : mapping
        The entries.
    prefix : str
        What messages put before a name.
    hint : str
        What to do where an entry is missing or of a wrong type.
    """

    def __init__(self, values: Mapping[str, object], prefix: str, hint: str = _DAMAGED) -> None:
        self._values = dict(values)
        self._prefix = prefix
        self._hint = hint
        self._read: set[str] = set()

    def integer(self, name: str, default: int | None = None, *, low: int = 1) -> int:
        """An integer from `low` to 2^31 - 1; `default` where the file has none.

        Raises
        ------
        ConfigError
            It is missing without a default, of another type, or out of range.
        """
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _LARGEST:
            raise self._wrong(name, value, f"an integer from {low} to {_LARGEST}")
        return value

    def n_layers(self, name: str) -> int:
        """A number of layers, from 1 to 10,000.

        Raises
        ------
        ConfigError
            It is missing, of another type, or out of range.
        """
        found = self.integer(name)
        if found > MAX_LAYERS:
            raise ConfigError(
                f"{self._prefix}{name} is {found}, expected at most {MAX_LAYERS}", hint=self._hint
            )
        return found

    def number(self, name: str, default: float | None = None, *, zero: bool = False) -> float:
        """A finite number above 0, or with `zero` from 0; `default` where the file has none.

        Raises
        ------
        ConfigError
            It is missing without a default, of another type, or out of range.
        """
        value = self._take(name, default)
        number = finite(value)
        if number is not None and (number > 0 or (zero and number == 0)):
            return number
        raise self._wrong(name, value, f"a finite number {'from' if zero else 'above'} 0")

    def text(self, name: str, default: str) -> str:
        """A text; `default` where the file has none.

        Raises
        ------
        ConfigError
            It is of another type.
        """
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean; `default` where the file has none.

        Raises
        ------
        ConfigError
            It is of another type.
        """
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def pattern(self, name: str, n_layers: int, default_period: int) -> tuple[bool, ...]:
        """Which layers are of a kind: a list of flags, or a period, whose last layer is not.

        Raises
        ------
        ConfigError
            It is neither, or the list has another length.
        """
        value = self._take(name, default_period)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
            return of_period(value, n_layers)
        if isinstance(value, Sequence | np.ndarray) and len(value) == n_layers:
            flags = [int(flag) for flag in value if isinstance(flag, int | np.integer | np.bool_)]
            if len(flags) == n_layers and set(flags) <= {0, 1}:
                return tuple(flag == 1 for flag in flags)
        raise self._wrong(name, value, f"an integer from 0 or {n_layers} flags")

    def integers(self, name: str, count: int) -> tuple[int, ...]:
        """A list of `count` integers from 0 to 2^31 - 1; one integer stands for as many equal ones.

        Raises
        ------
        ConfigError
            It is missing, or something else.
        """
        value = self._take(name, None)
        listed = value if isinstance(value, Sequence | np.ndarray) else [value] * count
        if isinstance(listed, str) or len(listed) != count:
            raise self._wrong(name, value, f"{count} integers")
        found = [int(each) for each in listed if isinstance(each, int | np.integer)]
        if len(found) != count or not all(0 <= each <= _LARGEST for each in found):
            raise self._wrong(name, value, f"{count} integers from 0")
        return tuple(found)

    def has(self, name: str) -> bool:
        """Whether the file has this entry."""
        return name in self._values

    def ignore(self, *names: str) -> None:
        """Accept these entries unread: they say nothing that changes an answer."""
        self._read.update(names)

    def must_be(self, name: str, *accepted: object) -> None:
        """Read an entry that Aboard understands with these values only, or absent.

        Raises
        ------
        ConfigError
            It has another value.
        """
        value = self._take(name, accepted[0])
        # An array compares element by element: `in` would fail, or take [0] for 0.
        if not isinstance(value, bool | int | float | str) or value not in accepted:
            raise ConfigError(
                f"{self._prefix}{name} is {str(value)[:60]!r}, Aboard understands "
                f"{' or '.join(repr(each) for each in accepted)}",
                hint="It would change the answer, so the model is not run as if it weren't there.",
            )

    def finish(self) -> None:
        """Refuse entries that nobody read: they may change the answer.

        Raises
        ------
        ConfigError
            There are such entries.
        """
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            shown = ", ".join(self._prefix + each[:60] for each in unknown[:5])
            more = f" and {len(unknown) - 5} more" if unknown[5:] else ""
            raise ConfigError(
                f"unknown hyper-parameters: {shown}{more}",
                hint="They may change the answer, so the model is not run without them.",
            )

    def _take(self, name: str, default: object) -> object:
        self._read.add(name)
        value = self._values.get(name, default)
        if value is None:
            raise ConfigError(f"{self._prefix}{name} is missing", hint=self._hint)
        return value

    def _wrong(self, name: str, value: object, expected: str) -> ConfigError:
        return ConfigError(
            f"{self._prefix}{name} is {str(value)[:60]!r}, expected {expected}", hint=self._hint
        )


class Hyperparameters(Entries):
    """The entries of a GGUF file under `<architecture>.`.

    Parameters
    ----------
    metadata : mapping
        Of the file.
    architecture : str
        The prefix of the keys.
    """

    def __init__(self, metadata: Mapping[str, object], architecture: str) -> None:
        prefix = f"{architecture}."
        values = {
            key.removeprefix(prefix): value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }
        super().__init__(values, prefix)
        self._tokens = metadata.get("tokenizer.ggml.tokens")

    def n_vocabulary(self) -> int:
        """The tokens of the model: as the file says, or those of its tokenizer.

        Raises
        ------
        ConfigError
            Nothing says it, or the two differ.
        """
        tokens = self._tokens
        known = len(tokens) if isinstance(tokens, Sized) else None
        stated = self.integer("vocab_size", known)
        if known is not None and known != stated:
            raise ConfigError(
                f"{self._prefix}vocab_size is {stated}, but the tokenizer has {known} tokens",
                hint=self._hint,
            )
        return stated
