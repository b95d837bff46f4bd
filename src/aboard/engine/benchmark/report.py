"""What a benchmark found, as data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prompt", "decode", "together"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all rounds: its median, its range, and what each round gave."""

    median: float
    lowest: float
    highest: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of `values`, of which there is at least one."""
        return cls(statistics.median(values), min(values), max(values), tuple(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What the machine allows with so many threads and this instruction set."""

    threads: int
    memory_bytes_per_s: Spread
    integer_ops_per_s: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Another engine at the same work in the same rounds.

    Attributes
    ----------
    name : str
        The engine.
    baseline : str
        Which of its variants was the fastest, by its median: the one that counts.
    tokens_per_s : Spread
        Of that variant.
    variants : dict
        The median of each variant, in tokens per second.
    ratio : Spread
        Our speed over that of the baseline, round by round.
    """

    name: str
    baseline: str
    tokens_per_s: Spread
    variants: dict[str, float]
    ratio: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one kind of work was done.

    Attributes
    ----------
    kind : "prompt", "decode" or "together"
        Tokens of a prompt; tokens decoded one by one; tokens of several sequences decoded together.
    threads, context, sequences : int
        Threads, tokens before the work began, and sequences.
    tokens_per_s : Spread
        Of all sequences together.
    bound_tokens_per_s : Spread or None
        What the machine allowed, measured before and after the work: for "decode" the bandwidth
        over the bytes that a token reads, for "prompt" the integer peak over the operations that
        the layers' weights need for a token.
    bound_fraction : Spread or None
        The speed over that bound, round by round.
    ratio_to_one : Spread or None
        For "together", the speed over that of one sequence, round by round.
    against : tuple of Against
        The other engines at the same work.
    """

    kind: Kind
    threads: int
    context: int
    sequences: int
    tokens_per_s: Spread
    bound_tokens_per_s: Spread | None
    bound_fraction: Spread | None
    ratio_to_one: Spread | None
    against: tuple[Against, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HugePages:
    """Which part of what is in memory lies on huge pages, 0 to 1; None where nobody can say.

    Attributes
    ----------
    weights, kv_cache, probe : float or None
        Of the packed weights, the KV cache, and the buffer that the bandwidth is measured on.
    setting : str or None
        The system's: "always", "madvise" or "never".
    """

    weights: float | None
    kv_cache: float | None
    probe: float | None
    setting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAbout:
    """Another engine that was measured."""

    name: str
    version: str
    load_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """All figures of one run.

    Attributes
    ----------
    model : str
        The file's name.
    processor : str
        The CPU's name, as the system gives it.
    cores : int
        CPUs that the process may run on.
    isa : str
        The instruction set in use.
    prompt, tokens, rounds : int
        Tokens of a prompt, tokens decoded, and rounds.
    load_s : float
        To read, hash and pack the file.
    first_token_s : float
        From the start of loading to the first token after a prompt of 16; the start of the process
        itself is not in it.
    peak_rss_bytes : int or None
        The largest memory that the process had when it had done all work once, before the bounds
        were measured; None where the system doesn't say.
    kv : str
        How keys and values were stored.
    weight_bytes_per_token, kv_bytes_per_token : int
        Bytes of weights that decoding a token reads, and bytes of keys and values that each token
        of context adds to that.
    huge_pages : HugePages
        Where weights and KV cache lie.
    ceilings : tuple of Ceiling
        For each number of threads from 1 on.
    speeds : tuple of Speed
        By context, threads and kind.
    peers : tuple of PeerAbout
        The other engines.
    """

    model: str
    processor: str
    cores: int
    isa: str
    prompt: int
    tokens: int
    rounds: int
    load_s: float
    first_token_s: float
    peak_rss_bytes: int | None
    kv: str
    weight_bytes_per_token: int
    kv_bytes_per_token: int
    huge_pages: HugePages
    ceilings: tuple[Ceiling, ...]
    speeds: tuple[Speed, ...]
    peers: tuple[PeerAbout, ...]
