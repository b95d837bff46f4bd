"""A loaded encoder: texts become vectors that are close where the texts mean the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from aboard.engine.arguments import (
    checked_flag,
    checked_several,
    checked_tokens,
    require_room,
)
from aboard.engine.device import checked_threads
from aboard.engine.encoder_assembly import build_encoder
from aboard.engine.model import Message, Model
from aboard.engine.prefix import PrefixCache
from aboard.engine.weights import Weights
from aboard.errors import NotEnoughMemory, NumericalError, UsageError
from aboard.models import EncoderModel

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer

Float32 = npt.NDArray[np.float32]
Tokens = Sequence[int] | npt.NDArray[np.int32]

# Tokens that are computed together: beyond so many nothing is gained.
_BATCH_TOKENS = 2048


class EmbeddingModel(Model):
    """A loaded encoder; made by `aboard.load`. Threads may share it.

    It has `embed`, and of what a `Model` has that which doesn't make text: `path`, `tokenizer`,
    `threads`, `weights_sha256`, `weights_bytes`, `context_length`. The rest is a `UsageError`.

    Attributes
    ----------
    config : EncoderModel
        Its hyper-parameters.
    context_length : int
        Tokens of a text at most, those that the tokenizer puts around it included.
    """

    config: EncoderModel  # type: ignore[assignment]  # what needs a decoder's asks for `decoder` first

    def __init__(
        self,
        path: Path,
        config: EncoderModel,
        weights: Weights,
        tokenizer: Tokenizer | None,
        context_length: int,
        threads: int,
        *,
        floats: bool = False,
    ) -> None:
        self.path = path
        self.config = config
        self.chat_template = None
        self.context_length = context_length
        self.weights_sha256 = weights.sha256
        self.weights_bytes = self.decode_weight_bytes = weights.size_bytes
        self.kv = "f32"
        self.prefix_cache = PrefixCache(0)
        self.encoder = build_encoder(config, weights, threads, floats=floats)
        self._floats = floats
        self._tokenizer = tokenizer

    @property
    def decoder(self) -> NoReturn:  # type: ignore[override]
        """It has none.

        Raises
        ------
        UsageError
            Always.
        """
        raise self._makes_no_text()

    @property
    def activations(self) -> str:
        """What its matrices are multiplied with: "int8" or "float32"."""
        return "float32" if self._floats else "int8"

    @property
    def rope(self) -> str:
        """Which of its ropes the context takes: it has none."""
        return "plain"

    @property
    def threads(self) -> int:
        """Threads that compute; may be set at any time. The vectors don't depend on it."""
        return self.encoder.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        self.encoder.threads = checked_threads(threads)

    def embed(
        self, texts: Iterable[str], *, normalize: bool | None = None, truncate: bool = False
    ) -> Float32:
        """The vectors of `texts`; see `Model.embed`."""
        encode, cut = self.tokenizer.encode, checked_flag("truncate", truncate)
        each = checked_several("texts", texts, "texts")
        return self.embed_tokens(
            (self._fitted(encode(text), cut) for text in each), normalize=normalize
        )

    def embed_tokens(
        self, sequences: Iterable[Tokens], *, normalize: bool | None = None
    ) -> Float32:
        """The vectors of texts that are token ids already, as `embed` gives them.

        Parameters
        ----------
        sequences : iterable of sequences or arrays of int
            Each with what belongs around a text, such as [CLS] and [SEP].
        normalize : bool, optional
            As for `embed`.

        Raises
        ------
        ContextOverflow
            One has more tokens than `context_length`.
        UsageError
            One is empty, or an id is not in the vocabulary.
        """
        wanted = (
            self.config.normalizes if normalize is None else checked_flag("normalize", normalize)
        )
        given = checked_several("sequences", sequences, "sequences of token ids")
        parts = [self._encode(batch, wanted) for batch in _batches(self._checked(given))]
        return np.concatenate(parts) if parts else np.empty((0, self.config.width), np.float32)

    def _fitted(self, ids: list[int], truncate: bool) -> list[int]:
        """`ids`; of too many the first, with what belongs behind a text behind them."""
        if not truncate or len(ids) <= self.context_length:
            return ids
        behind = [self.tokenizer.eos_id] if self.tokenizer.adds_eos else []
        return ids[: self.context_length - len(behind)] + ids[len(ids) - len(behind) :]

    def _checked(self, sequences: Iterable[Tokens]) -> Iterator[npt.NDArray[np.int32]]:
        for number, sequence in enumerate(sequences):
            ids = checked_tokens(sequence, self.config.n_vocabulary)
            if not ids.size:
                raise UsageError(f"text {number} has no tokens")
            require_room(ids.size, self.context_length)
            yield ids

    def _encode(self, batch: Sequence[npt.NDArray[np.int32]], normalize: bool) -> Float32:
        tokens = np.concatenate(batch)
        try:
            vectors = self.encoder.encode(tokens, [ids.size for ids in batch], normalize)
        except MemoryError:
            raise NotEnoughMemory(
                f"the system grants too little memory, or no {self.threads} threads, for "
                f"{tokens.size} tokens",
                hint="Free memory, or use fewer threads.",
            ) from None
        if not np.isfinite(vectors).all():
            raise NumericalError(
                f"{self.path}: the model computes NaN or infinity instead of a vector",
                hint="Its weights are damaged or beyond float32: get or convert the file again.",
            )
        return vectors

    def chat_text(self, messages: Sequence[Message], **options: Any) -> NoReturn:
        """It has no conversations: a UsageError."""
        raise self._makes_no_text()

    def batch(self, **options: Any) -> NoReturn:
        """It makes no answers: a UsageError."""
        raise self._makes_no_text()

    def _makes_no_text(self) -> UsageError:
        return UsageError(
            f"{self.path}: is an encoder ({self.config.architecture}), which makes no text",
            hint="It turns texts into vectors: `embed`.",
        )


def _batches(
    texts: Iterable[npt.NDArray[np.int32]],
) -> Iterator[list[npt.NDArray[np.int32]]]:
    batch: list[npt.NDArray[np.int32]] = []
    n_tokens = 0
    for text in texts:
        if batch and n_tokens + text.size > _BATCH_TOKENS:
            yield batch
            batch, n_tokens = [], 0
        batch.append(text)
        n_tokens += text.size
    if batch:
        yield batch
