"""The entries `tokenizer.ggml.*` of a tokenizer.model, as llama.cpp's converter writes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from aboard.checkpoint.huggingface_entries import ADDED_SCORE, TokenList, added_kind
from aboard.checkpoint.sentencepiece_model import SentencePieceModel
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.checkpoint.tokenizer_json import AddedToken
from aboard.checkpoint.tokenizer_metadata import USER_DEFINED
from aboard.checkpoint.tokenizer_pipeline import SPACE
from aboard.errors import TokenizerError

_log = logging.getLogger(__name__)


def sentencepiece_entries(
    model: SentencePieceModel, added: Iterable[AddedToken], n_vocabulary: int, where: str
) -> dict[str, object]:
    """The entries for a tokenizer.model and the tokens that other files add.

    Raises
    ------
    TokenizerError
        The model has fewer rows than there are pieces.
    """
    if len(model.pieces) > n_vocabulary:
        raise TokenizerError(
            f"{where}: has {len(model.pieces)} pieces, but the model has {n_vocabulary} rows",
            hint="The tokenizer belongs to another model, or config.json does.",
        )
    tokens = TokenList.unused(n_vocabulary)
    for token_id, piece in enumerate(model.pieces):
        spaced = piece.kind == USER_DEFINED
        text = piece.text.replace(SPACE, " ") if spaced else piece.text
        tokens.put(token_id, text, piece.kind, piece.score)
    for token in added:
        if token.token_id >= n_vocabulary:
            _log.warning("%s: the model has no row for %r: left out", where, token.content)
            continue
        if token.strips_left or token.single_word:
            raise TokenizerError(
                f"{where}: added token {token.content!r} strips white space to its left or is a "
                "single word, and a GGUF file can't say that",
                hint="Save the tokenizer as tokenizer.json with transformers and import that.",
            )
        kind = added_kind(token)
        text = token.content.replace(SPACE, " ") if kind == USER_DEFINED else token.content
        tokens.put(token.token_id, text, kind, ADDED_SCORE)
    entries = tokens.entries("t5" if model.kind == "Unigram" else "llama", with_scores=True)
    entries |= {f"{PREFIX}pre": "default", f"{PREFIX}add_space_prefix": model.adds_space}
    if model.removes_extra_spaces:
        entries[f"{PREFIX}remove_extra_whitespaces"] = True
    if model.charsmap:
        entries[f"{PREFIX}precompiled_charsmap"] = np.frombuffer(model.charsmap, np.uint8)
    return entries
