"""What is measured: numbers of threads, depths of context, tokens, rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aboard.engine.arguments import KV_FORMATS, checked_choice, checked_integer
from aboard.engine.device import MAX_THREADS, usable_cores
from aboard.errors import UsageError

_LONGEST = 1 << 24
_MOST_LISTED = 1024
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, in every round.

    Attributes
    ----------
    threads : tuple of int
        Numbers of threads; by default one number, that of the usable cores.
    contexts : tuple of int
        Tokens that are in the context before a prompt is processed, or tokens are decoded.
    prompt, tokens : int
        Tokens of prompt, and tokens decoded one by one; 0 leaves the one or the other out.
    sequences : int
        From 2 on, so many sequences are decoded together, too.
    rounds : int
        Rounds that count; one more, before them, warms up.
    kv : str
        How our engine stores keys and values, as for `aboard.load`.

    Raises
    ------
    UsageError
        A value is out of its range, or nothing is left to measure.
    """

    threads: tuple[int, ...] = ()
    contexts: tuple[int, ...] = (0,)
    prompt: int = 512
    tokens: int = 128
    sequences: int = 1
    rounds: int = 5
    kv: str = "f16"

    def __post_init__(self) -> None:
        threads = self.threads or (min(usable_cores(), MAX_THREADS),)
        object.__setattr__(self, "threads", _each("threads", threads, 1, MAX_THREADS))
        object.__setattr__(self, "contexts", _each("context", self.contexts, 0, _LONGEST))
        for name, lowest, highest in (
            ("prompt", 0, _LONGEST),
            ("tokens", 0, _LONGEST),
            ("sequences", 1, 1024),
            ("rounds", 1, 1000),
        ):
            checked_integer(name, getattr(self, name), lowest, highest)
        checked_choice("kv", self.kv, KV_FORMATS)
        if self.prompt == 0 and self.tokens == 0:
            raise UsageError(
                "neither a prompt nor tokens to decode: nothing is left to measure",
                hint="Give --prompt or --tokens.",
            )
        if self.sequences > 1 and self.tokens == 0:
            raise UsageError("sequences decode tokens together, but there are 0 tokens to decode")

    @property
    def longest(self) -> int:
        """Tokens that a sequence holds at most."""
        return max(self.contexts) + max(self.prompt, self.tokens)


def counts(text: str, last: int) -> tuple[int, ...]:
    """The numbers that `text` lists: "2", "1,2,4", "1..4", "1..N", where N is `last`.

    Raises
    ------
    UsageError
        It is no such list.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dots, end = (each.strip() for each in part.partition(".."))
        if not _is_number(first) or (dots and end != "N" and not _is_number(end)):
            raise UsageError(
                f"{text!r:.80} is no list of numbers", hint='Write it as in "2", "1,2,4" or "1..N".'
            )
        until = int(first) if not dots else last if end == "N" else int(end)
        if until < int(first):
            raise UsageError(f"{part.strip()!r} counts down", hint="Give the lower number first.")
        if len(found) + until - int(first) >= _MOST_LISTED:  # before any list of them is made
            raise UsageError(f"{text!r:.80} lists more than {_MOST_LISTED:,} numbers")
        found += range(int(first), until + 1)
    return tuple(found)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _each(name: str, values: Sequence[int], lowest: int, highest: int) -> tuple[int, ...]:
    """`values`, checked, sorted, each once."""
    for value in values:
        checked_integer(name, value, lowest, highest)
    if not values:
        raise UsageError(f"{name}: an empty list of numbers")
    return tuple(sorted(set(values)))
