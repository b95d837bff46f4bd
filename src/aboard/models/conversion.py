"""How a checkpoint's tensors become those of a GGUF file, as data: which ones, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor of the checkpoint: its name and the shape it must have."""

    name: str
    shape: tuple[int, ...]


class Transform(Protocol):
    """What is done to rows: some at once, each (R, columns) float32, of a vector (R, 1)."""

    @property
    def rows_at_once(self) -> int:
        """Rows belong together by so many; each source has a multiple of it."""
        ...

    def __call__(self, rows: Float32, /) -> Float32:
        """`rows`, a multiple of `rows_at_once`, as GGUF has them; of the same shape."""
        ...


@dataclass(frozen=True, slots=True)
class AdjacentPairs:
    """Rows of heads reordered: row i and row i + head_dim / 2 of a head become neighbours.

    Rotary embedding turns the halves of a head in transformers; GGUF's `llama` turns neighbours.
    """

    head_dim: int

    @property
    def rows_at_once(self) -> int:
        """A head."""
        return self.head_dim

    def __call__(self, rows: Float32) -> Float32:
        """`rows`, whole heads, in GGUF's order."""
        pairs = rows.reshape(-1, 2, self.head_dim // 2, rows.shape[1])
        return pairs.swapaxes(1, 2).reshape(rows.shape)


@dataclass(frozen=True, slots=True)
class Plus:
    """A number added to each weight: norms that multiply by 1 + weight are stored as the sum.

    `times`: what the sum is multiplied by.
    """

    number: float
    times: float = 1.0
    rows_at_once: int = 1

    def __call__(self, rows: Float32) -> Float32:
        """`rows` and the number, in float32."""
        return (rows + np.float32(self.number)) * np.float32(self.times)


@dataclass(frozen=True, slots=True)
class TensorRule:
    """One tensor of the GGUF file.

    Attributes
    ----------
    name : str
        In the GGUF file.
    sources : tuple of Source
        Whose rows it has, one after another.
    shape : tuple of int
        In the GGUF file, outermost first: the same rows and columns as the sources together.
    transform : Transform, optional
        What is done to the rows.
    """

    name: str
    sources: tuple[Source, ...]
    shape: tuple[int, ...]
    transform: Transform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A checkpoint as a GGUF file.

    Attributes
    ----------
    architecture : str
        `general.architecture`.
    metadata : mapping of str to object
        The hyper-parameters, under the names that llama.cpp's converter gives them.
    n_vocabulary : int
        Rows of the embedding.
    tensors : tuple of TensorRule
        In the order of the file.
    made : mapping of str to array
        Tensors that follow from the hyper-parameters; after the others in the file.
    copies : mapping of str to str
        Tensors of the checkpoint that may be there and must equal another one.
    heads : tuple of TensorRule
        The head, where nothing says whether it is the embedding: it is, unless the checkpoint has
        another one. Such a checkpoint's own tensor stands in `copies`, too.
    unused : frozenset of str
        Tensors of the checkpoint that may be there and say nothing.
    unused_parts : tuple of str
        Beginnings of the names of such tensors.
    towers : tuple of str
        Beginnings of the names of tensors that see or hear. They change no answer to a text, and
        are left out where that is asked for; otherwise they are refused.
    rename : callable
        What a tensor of the checkpoint is called in all of these, None where it says nothing: some
        architectures are published under several sets of names.
    tokenizer : callable
        Gives the entries of the tokenizer the names that other programs have for them with this
        architecture.
    embedding_width : int or None
        Of the vectors that texts become, which files beside config.json say how; None: they don't.
    """

    architecture: str
    metadata: Mapping[str, object]
    n_vocabulary: int
    tensors: tuple[TensorRule, ...]
    made: Mapping[str, Float32] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    heads: tuple[TensorRule, ...] = ()
    unused: frozenset[str] = frozenset()
    unused_parts: tuple[str, ...] = ()
    towers: tuple[str, ...] = ()
    rename: Callable[[str], str | None] = str
    tokenizer: Callable[[dict[str, object]], dict[str, object]] = dict
    embedding_width: int | None = None
