"""The GGUF entries `tokenizer.ggml.*` of a tokenizer.json, as llama.cpp's converter writes them.

Byte-level BPE is written in these entries alone where they say all of it. Of anything else they say
what they can, for other programs, and the whole file goes along under the key that the GGUF
specification has for it.
"""

from __future__ import annotations

import json
import logging
import re
from array import array
from dataclasses import dataclass, replace

import numpy as np

from aboard.checkpoint.gguf_strings import StringArray
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.checkpoint.tokenizer_json import AddedToken, TokenizerJson
from aboard.checkpoint.tokenizer_metadata import (
    BYTE,
    CONTROL,
    EMBEDDED,
    NORMAL,
    SPACES,
    STRIPS,
    UNUSED,
    USER_DEFINED,
)
from aboard.checkpoint.tokenizer_pipeline import (
    SPACE,
    Decoder,
    find_pre,
    normalizer_steps,
    prepend_scheme,
    read_decoder,
    read_template,
    spaces_before,
    word_steps,
)
from aboard.errors import TokenizerError

_log = logging.getLogger(__name__)

ADDED_SCORE, UNUSED_SCORE = -1000.0, -10000.0
_MODELS = {"BPE": "llama", "Unigram": "t5"}
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>\Z")
# What llama.cpp's converter takes for a control token though the file doesn't call it special.
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>\Z|<｜.*｜>\Z|<unused.*>\Z", re.DOTALL)
_NAMED_SPECIAL = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")


@dataclass(frozen=True, slots=True)
class TokenList:
    """The tokens of a vocabulary by id: texts, kinds and scores. Unused ones are named at last."""

    texts: list[str]
    types: array[int]
    scores: array[float]

    @classmethod
    def unused(cls, n_vocabulary: int) -> TokenList:
        """As many tokens as a model has rows, none of them used yet."""
        types, scores = array("i", [UNUSED]), array("f", [UNUSED_SCORE])
        return cls([""] * n_vocabulary, types * n_vocabulary, scores * n_vocabulary)

    def put(self, token_id: int, text: str, kind: int, score: float) -> None:
        """Set one token."""
        self.texts[token_id], self.types[token_id], self.scores[token_id] = text, kind, score

    def entries(self, model: str, *, with_scores: bool) -> dict[str, object]:
        """The entries that every tokenizer has; unused tokens get names that no other token has."""
        unused = {
            i: self.texts[i] or unused_name(i)
            for i, kind in enumerate(self.types)
            if kind == UNUSED
        }
        texts = list(self.texts)
        for i in unused:
            texts[i] = ""
        taken = set(unused.values()).intersection(texts)
        for i, name in unused.items():
            texts[i] = f"{unused_name(i)}_" if name in taken else name
        found: dict[str, object] = {
            f"{PREFIX}model": model,
            f"{PREFIX}tokens": texts,
            f"{PREFIX}token_type": np.array(self.types, np.int32),
        }
        if with_scores:
            found[f"{PREFIX}scores"] = np.array(self.scores, np.float32)
        return found


def unused_name(token_id: int) -> str:
    """What llama.cpp's converter calls a row that has no token."""
    return f"[PAD{token_id}]"


def added_kind(token: AddedToken) -> int:
    """The kind that llama.cpp's converter gives an added token."""
    looks_special = token.content in _NAMED_SPECIAL or _LOOKS_SPECIAL.match(token.content)
    return CONTROL if token.special or looks_special else USER_DEFINED


def fit(found: TokenizerJson, n_vocabulary: int) -> TokenizerJson:
    """`found` without the added tokens for which the model has no row.

    Raises
    ------
    TokenizerError
        An ordinary token has no row.
    """
    where, highest = found.fields.where, max(found.ids.values())
    if highest >= n_vocabulary:
        raise TokenizerError(
            f"{where}: has token {highest}, but the model has {n_vocabulary} rows for tokens",
            hint="The tokenizer belongs to another model, or config.json does.",
        )
    left_out = [token for token in found.added if token.token_id >= n_vocabulary]
    if not left_out:
        return found
    names = ", ".join(repr(token.content) for token in left_out[:8])
    _log.warning("%s: the model has no row for the added %s: left out", where, names)
    kept = tuple(token for token in found.added if token.token_id < n_vocabulary)
    return replace(found, added=kept)


def json_entries(
    found: TokenizerJson, n_vocabulary: int, scores: dict[int, float] | None = None
) -> dict[str, object]:
    """The entries for a checked tokenizer.json; roles and templates are not among them.

    Parameters
    ----------
    found : TokenizerJson
        What `fit` gave.
    n_vocabulary : int
        The rows of the model's embedding.
    scores : dict of int to float, optional
        Id -> score from a tokenizer.model that spells the same tokens.

    Raises
    ------
    TokenizerError
        A step of the tokenizer is unknown or unsafe.
    """
    decoder = read_decoder(found.fields)
    read_template(found.fields)
    is_byte_level = found.kind == "BPE" and decoder.kind == "bytes"
    if is_byte_level:
        scores = {}  # not told
    tokens = _tokens(found, n_vocabulary, scores, spaces=not is_byte_level)
    if not is_byte_level:
        return _with_spaces(found, tokens.entries(_MODELS[found.kind], with_scores=True))
    whole_words_first = found.model.flag("ignore_merges")
    pre = find_pre(found.fields, whole_words_first=whole_words_first)
    entries = tokens.entries("gpt2", with_scores=False)
    if pre is not None:
        entries[f"{PREFIX}pre"] = pre
    if merges := _merges(found):
        entries[f"{PREFIX}merges"] = merges
    if pre is None or merges is None or found.model.flag("byte_fallback") or not _is_plain(found):
        return entries | {EMBEDDED: _document(found)}
    return entries | _strips(found)


def _with_spaces(found: TokenizerJson, entries: dict[str, object]) -> dict[str, object]:
    """`entries` of a tokenizer whose spaces are marks, and how it is encoded exactly."""
    entries[f"{PREFIX}add_space_prefix"] = _puts_space(found)
    if found.kind != "BPE":
        return entries | {EMBEDDED: _document(found)}
    entries[f"{PREFIX}pre"] = "default"
    spaces, merges = spaces_before(found.fields), _merges(found)
    decoder = read_decoder(found.fields)
    if (
        spaces is None
        or merges is None
        or decoder != Decoder("spaces", strips=spaces != "never", spells_bytes=True)
        or not _spells_bytes(found)
        or any(token.normalized or " " in token.content for token in found.added)
        or not _is_plain(found)
    ):
        return entries | {EMBEDDED: _document(found)}
    return entries | {f"{PREFIX}merges": merges, SPACES: spaces} | _strips(found)


def _merges(found: TokenizerJson) -> StringArray | None:
    """The merges as GGUF has them, None where there are none or it can't hold them."""
    merges = found.merges
    if not merges or any(" " in half for pair in merges for half in pair):
        return None
    return merges.joined


def _strips(found: TokenizerJson) -> dict[str, object]:
    ids = [token.token_id for token in found.added if token.strips_right]
    return {STRIPS: np.array(sorted(ids), np.int32)} if ids else {}


def _spells_bytes(found: TokenizerJson) -> bool:
    """Whether every character has a token or is spelled in bytes, and bytes merge with nothing."""
    if not found.model.flag("byte_fallback") or found.model.flag("ignore_merges"):
        return False
    names = {f"<0x{byte:02X}>" for byte in range(256)}
    merged = any(not names.isdisjoint((one, other, one + other)) for one, other in found.merges)
    return names <= found.ids.keys() and not merged


def _tokens(
    found: TokenizerJson, n_vocabulary: int, scores: dict[int, float] | None, *, spaces: bool
) -> TokenList:
    tokens = TokenList.unused(n_vocabulary)
    spells_bytes = found.model.flag("byte_fallback")
    own = scores if scores is not None else _scores(found)
    for text, token_id in found.ids.items():
        is_byte = spells_bytes and _BYTE_TOKEN.match(text) is not None
        tokens.put(token_id, text, BYTE if is_byte else NORMAL, own.get(token_id, 0.0))
    for token in found.added:
        kind, text = added_kind(token), token.content
        if spaces and kind == USER_DEFINED:
            # So llama.cpp finds it; unless that is another token already.
            plain = text.replace(SPACE, " ")
            text = text if plain in found.ids else plain
        tokens.put(token.token_id, text, kind, ADDED_SCORE)
    return tokens


def _scores(found: TokenizerJson) -> dict[int, float]:
    """Id -> score; of byte pairs, the rank of the merge that makes a token."""
    if found.kind == "Unigram":
        return dict(enumerate(found.scores))
    ranks: dict[int, float] = {}
    for rank, (one, other) in enumerate(found.merges):
        ranks.setdefault(found.ids[one + other], float(-rank))
    return {token_id: float(-len(found.merges)) for token_id in found.ids.values()} | ranks


def _puts_space(found: TokenizerJson) -> bool:
    """Whether a space is put before a text."""
    prepends = any(step.members["type"] == "Prepend" for step in normalizer_steps(found.fields))
    steps = [step for step in word_steps(found.fields) if step.members["type"] == "Metaspace"]
    return prepends or any(prepend_scheme(step) != "never" for step in steps)


def _is_plain(found: TokenizerJson) -> bool:
    """Whether GGUF's entries say all there is of the merging and of the added tokens."""
    added = found.added
    if any(token.strips_left or token.single_word for token in added):
        return False
    if any(token.strips_right for token in added) and any(t.content[0].isspace() for t in added):
        return False  # what is swallowed could be a token of its own
    special = {token.content for token in added if added_kind(token) == CONTROL}
    if any(one + other in special for one, other in found.merges):
        return False
    raw = [token.content for token in added if not token.normalized]
    late = [token.content for token in added if token.normalized]
    if late and normalizer_steps(found.fields):
        return False
    return not any(_may_differ(first, second) for first in raw for second in late)


def _may_differ(first: str, second: str) -> bool:
    """Whether a text can hold `second` from further left on than `first`, and over it.

    The library looks for all of one sort before it looks for any of the other; we look for both
    at once, from left to right.
    """
    if first in second:
        return True
    shorter = min(len(first), len(second))
    return any(second.endswith(first[:length]) for length in range(1, shorter))


def _document(found: TokenizerJson) -> str:
    """The tokenizer.json with every added token, and without what belongs to one call."""
    members = dict(found.fields.members)
    members |= {"truncation": None, "padding": None}
    members["added_tokens"] = [token.as_json() for token in found.added]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
