"""What a tokenizer.json says, checked: the tokens, how they are merged, and the added ones.

The rules of what may stand there are those of the `tokenizers` library, which reads such files;
`tokenizer_pipeline` knows the steps before and after. The library itself never sees a file that
wasn't checked here: it panics, runs out of time or takes all memory on some.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aboard.checkpoint.huggingface_files import Fields
from aboard.checkpoint.merge_list import MergeCollector, MergeList
from aboard.errors import TokenizerError

MAX_ADDED_CHARS = 256
_DAMAGED = "The file is damaged or was made by a faulty tool: get it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedToken:
    """A token that is cut out of a text before anything else happens to it.

    `normalized`: looked for in the normalised text. `strips_left`, `strips_right`: swallows the
    white space there. `single_word`: not found within a word.
    """

    token_id: int
    content: str
    special: bool
    normalized: bool
    strips_left: bool = False
    strips_right: bool = False
    single_word: bool = False

    def as_json(self) -> dict[str, object]:
        """The object that tokenizer.json holds for it."""
        return {
            "id": self.token_id,
            "content": self.content,
            "single_word": self.single_word,
            "lstrip": self.strips_left,
            "rstrip": self.strips_right,
            "normalized": self.normalized,
            "special": self.special,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerJson:
    """A checked tokenizer.json.

    `model`: its object "model". `kind`: 'BPE', 'WordPiece' or 'Unigram'. `ids`: text -> id, without
    added tokens. `merges`: pairs in order of rank. `scores`: log-probabilities of a Unigram model.
    """

    fields: Fields
    model: Fields
    kind: str
    ids: Mapping[str, int]
    merges: MergeList
    scores: tuple[float, ...]
    added: tuple[AddedToken, ...]

    @property
    def tokens(self) -> dict[int, str]:
        """Id -> text, added tokens included."""
        found = {token_id: text for text, token_id in self.ids.items()}
        found.update((token.token_id, token.content) for token in self.added)
        return found

    def id_of(self, text: str) -> int | None:
        """The id of a token, added ones included; None where there is none."""
        found = next((token.token_id for token in self.added if token.content == text), None)
        return self.ids.get(text) if found is None else found

    def with_added(self, tokens: Iterable[AddedToken]) -> TokenizerJson:
        """The same with further added tokens; whose text is added already is left out.

        Raises
        ------
        TokenizerError
            An id isn't the one that the library would give.
        """
        added = {token.content: token for token in self.added}
        highest = max((token.token_id for token in self.added), default=-1)
        for token in tokens:
            if not token.content or token.content in added:
                continue
            expected = self.ids.get(token.content, max(highest + 1, len(self.ids)))
            if token.token_id != expected:
                raise TokenizerError(
                    f"{self.fields.where}: added token {token.content!r} has id {token.token_id}, "
                    f"but {expected} is the one it gets",
                    hint=_DAMAGED,
                )
            added[token.content] = token
            highest = max(highest, expected)
        return replace(self, added=tuple(added.values()))

    def with_special(self, texts: Iterable[str]) -> TokenizerJson:
        """The same with each of `texts` as a special token; a new one gets the next id."""
        found = self
        for text in texts:
            highest = max((token.token_id for token in found.added), default=-1)
            token_id = self.ids.get(text, max(highest + 1, len(self.ids)))
            token = AddedToken(token_id=token_id, content=text, special=True, normalized=False)
            found = found.with_added([token])
        return found


def read_tokenizer_json(fields: Fields) -> TokenizerJson:
    """The checked content of a tokenizer.json.

    Raises
    ------
    TokenizerError
        Something is missing, of the wrong type, or of a kind that Aboard doesn't read.
    """
    model = fields.object("model")
    if model is None:
        raise fields.wrong("model", "an object")
    kind = model.optional_text("type")
    if kind is None and "merges" in model:
        kind = "BPE"
    if kind not in ("BPE", "WordPiece", "Unigram"):
        raise TokenizerError(
            f"{model.where}: type is {kind!r}, expected 'BPE', 'WordPiece' or 'Unigram'",
            hint="The model needs a newer Aboard; report the model's name.",
        )
    if kind == "WordPiece":
        _check_wordpiece(model)
    else:
        for key in ("continuing_subword_prefix", "end_of_word_suffix"):
            if kind == "BPE" and model.optional_text(key):
                raise _unsupported(model, key)
    ids, scores = _pieces(model) if kind == "Unigram" else (_vocabulary(model), ())
    if not ids:
        raise model.wrong("vocab", "at least one token")
    found = TokenizerJson(
        fields=fields,
        model=model,
        kind=kind,
        ids=ids,
        merges=_merges(model, ids) if kind == "BPE" else MergeCollector().collected(),
        scores=scores,
        added=(),
    )
    return found.with_added(map(read_added_token, fields.objects("added_tokens")))


def read_added_token(fields: Fields, token_id: int | None = None) -> AddedToken:
    """The added token of one object; `token_id` where the object doesn't hold it."""
    content = fields.text("content")
    if len(content) > MAX_ADDED_CHARS:
        raise TokenizerError(
            f"{fields.where}: content has {len(content)} characters, expected at most "
            f"{MAX_ADDED_CHARS}",
            hint=_DAMAGED,
        )
    special = fields.flag("special")
    return AddedToken(
        token_id=fields.number("id") if token_id is None else token_id,
        content=content,
        special=special,
        normalized=fields.flag("normalized", default=not special),
        strips_left=fields.flag("lstrip"),
        strips_right=fields.flag("rstrip"),
        single_word=fields.flag("single_word"),
    )


def _vocabulary(model: Fields) -> dict[str, int]:
    """Text -> id of a byte-pair model, whose other settings are checked too."""
    if model.members.get("dropout"):
        raise _unsupported(model, "dropout")
    for key in ("fuse_unk", "byte_fallback", "ignore_merges"):
        model.flag(key)
    vocab = model.members.get("vocab")
    if not isinstance(vocab, dict):
        raise model.wrong("vocab", "an object")
    if not set(map(type, vocab.values())) <= {int}:
        raise model.wrong("vocab", "an object of ids")
    texts = {token_id: text for text, token_id in vocab.items()}
    if min(texts, default=0) < 0 or max(texts, default=0) >= 1 << 31:
        text = next(text for text, i in vocab.items() if not 0 <= i < 1 << 31)
        raise TokenizerError(
            f"{model.where}: vocab gives {text[:40]!r} the id {vocab[text]}, expected 0 to "
            "2147483647",
            hint=_DAMAGED,
        )
    if len(texts) < len(vocab):
        text, i = next((text, i) for text, i in vocab.items() if texts[i] != text)
        raise TokenizerError(
            f"{model.where}: vocab gives {text[:40]!r} and {texts[i][:40]!r} the same id, {i}",
            hint=_DAMAGED,
        )
    unknown = model.optional_text("unk_token")
    if unknown is not None and unknown not in vocab:
        raise model.wrong("unk_token", "a token of vocab")
    return vocab


def _check_wordpiece(model: Fields) -> None:
    """Refuse settings that GGUF has no entry for: they must be BERT's."""
    model.text("unk_token")
    if (model.optional_text("continuing_subword_prefix") or "##") != "##":
        raise _unsupported(model, "continuing_subword_prefix")
    if model.members.get("max_input_chars_per_word", 100) != 100:
        raise _unsupported(model, "max_input_chars_per_word")


def _merges(model: Fields, ids: Mapping[str, int]) -> MergeList:
    found = model.members.get("merges")
    if not isinstance(found, list):
        raise model.wrong("merges", "a list")
    collector = MergeCollector()
    for i, merge in enumerate(found):
        pair = tuple(merge.split(" ")) if isinstance(merge, str) else merge
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TokenizerError(
                f"{model.where}: merges[{i}] is {str(merge)[:80]!r}, expected two tokens",
                hint=_DAMAGED,
            )
        one, other = pair
        if not (isinstance(one, str) and isinstance(other, str)) or not (
            one in ids and other in ids and one + other in ids
        ):
            raise TokenizerError(
                f"{model.where}: merges[{i}] joins {str(one)[:40]!r} and {str(other)[:40]!r}, "
                "expected tokens that give a token",
                hint=_DAMAGED,
            )
        collector.append(one, other, ids[one], ids[other])
    return collector.collected()


def _pieces(model: Fields) -> tuple[dict[str, int], tuple[float, ...]]:
    """Text -> id, and the scores, of a Unigram model."""
    vocab = model.members.get("vocab")
    if not isinstance(vocab, list) or not all(map(_is_piece, vocab)):
        raise model.wrong("vocab", "a list of texts and scores")
    ids = {text: i for i, (text, _) in enumerate(vocab)}
    if len(ids) != len(vocab):
        raise model.wrong("vocab", "a list of texts, each given once")
    model.flag("byte_fallback")
    if "unk_id" in model and model.number("unk_id") >= len(ids):
        raise model.wrong("unk_id", "the index of a token")
    return ids, tuple(float(score) for _, score in vocab)


def _is_piece(item: Any) -> bool:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
        return False
    score = item[1]
    return (type(score) is int and abs(score) < 1 << 53) or (
        isinstance(score, float) and math.isfinite(score)
    )


def _unsupported(fields: Fields, key: str) -> TokenizerError:
    return TokenizerError(
        f"{fields.where}: {key} is {str(fields.members[key])[:40]!r}, and Aboard doesn't know it",
        hint="The model needs a newer Aboard; report the model's name.",
    )
