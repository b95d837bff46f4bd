"""What a GGUF file says about its tokenizer, checked: the one place that reads `tokenizer.ggml.*`.

Contradictions are refused here, in time linear in the metadata, so that the two encoders
(`tokenizer_bpe`, `tokenizer_spm`) may trust what they get.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.gguf_strings import StringArray
from aboard.checkpoint.string_index import StringIndex
from aboard.checkpoint.tokenizer_fields import CONVERT_AGAIN, PREFIX, TokenizerFields, as_list
from aboard.errors import TokenizerError

EMBEDDED = "tokenizer.huggingface.json"
# Keys of ours, for what GGUF has no entry: by which of its ways a tokenizer.json puts a space mark
# before a text, and which special tokens swallow the white space to their right.
SPACES, STRIPS = "aboard.tokenizer.spaces", "aboard.tokenizer.strips_right"
SPACES_BEFORE = ("prepend", "always", "first", "never")
ARCHITECTURE = "general.architecture"

# Kinds of token, as `tokenizer.ggml.token_type` numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# Tokens that end an answer in the common families. They count only where the file marks them as
# control or user-defined: the same letters as an ordinary token are ordinary text.
END_OF_TURN = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
)
# An end where it is a control token; user-defined, as in Gemma 3, it is the HTML tag of that name.
_END_IF_CONTROL = "</s>"

MAX_SPECIAL_CHARS = 256
_MODELS = ("gpt2", "llama", "t5", "gemma4", "bert")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>\Z")
_UNDERSTOOD_BY = {
    "llama": ("remove_extra_whitespaces", "precompiled_charsmap"),
    "t5": ("remove_extra_whitespaces", "precompiled_charsmap"),
    "bert": ("add_sep_token", "normalizer.lowercase", "normalizer.strip_accents"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerMetadata:
    """The checked metadata of one tokenizer.

    `ids` finds the id of a token's text, `merges` the rank of "left right". `control`,
    `user_defined`: ids that only special parsing, or any parsing, finds in a text. `byte_ids`:
    byte value -> id of its `<0xXX>` token. `embedded`: the tokenizer.json that decides the ids,
    where the file holds one; `pre`, `scores` and `merges` then decide nothing. `spaces`: tokens of
    a 'llama' model are merged by `merges`, and this is how a space is put before a text.
    `strips_right`: the tokens that swallow the white space behind them, None where the file is
    silent.
    """

    model: str
    pre: str | None
    tokens: StringArray
    types: npt.NDArray[np.integer[Any]]
    ids: StringIndex
    scores: npt.NDArray[np.float64] | None
    merges: StringIndex | None
    control: frozenset[int]
    user_defined: frozenset[int]
    byte_ids: dict[int, int]
    bos_id: int | None
    eos_id: int | None
    unknown_id: int | None
    stop_ids: frozenset[int]
    add_bos: bool | None
    add_eos: bool | None
    add_space_prefix: bool | None
    removes_extra_spaces: bool
    charsmap: bytes
    embedded: str | None
    spaces: str | None
    strips_right: frozenset[int] | None


def read_tokenizer_metadata(metadata: Mapping[str, object]) -> TokenizerMetadata:
    """The tokenizer's part of GGUF `metadata`, checked for contradictions.

    Raises
    ------
    TokenizerError
        A key is missing, of the wrong type, or contradicts another.
    """
    fields = TokenizerFields(metadata)
    model, embedded = fields.text("model"), fields.other_text(EMBEDDED)
    if model not in _MODELS:
        raise TokenizerError(
            f"tokenizer model {model!r} is not supported: expected {', '.join(map(repr, _MODELS))}",
            hint="Aboard reads byte-level BPE ('gpt2'), SentencePiece's BPE ('llama') "
            "and Unigram ('t5'), BPE over characters ('gemma4') and WordPiece ('bert').",
        )
    spaces = fields.other_text(SPACES) if model == "llama" and embedded is None else None
    spaces = "never" if model == "gemma4" and embedded is None else spaces
    if spaces is not None and spaces not in SPACES_BEFORE:
        raise TokenizerError(
            f"{SPACES} is {spaces[:40]!r}, expected one of {', '.join(SPACES_BEFORE)}",
            hint="The model needs a newer Aboard.",
        )
    by_merges = embedded is None and (model == "gpt2" or spaces is not None)
    by_scores = embedded is None and model in ("llama", "t5") and not by_merges
    if embedded is None:
        fields.refuse_unknown_switches(_UNDERSTOOD_BY.get(model, ()) if not by_merges else ())
    tokens = fields.strings("tokens")
    ids = _index(tokens)
    types = fields.array("token_type", "iu", len(tokens))
    if types is None:
        raise fields.missing("token_type")
    if types.size and (types.min() < NORMAL or types.max() > BYTE):
        raise TokenizerError(
            f"{PREFIX}token_type holds {types.min()} to {types.max()}, expected 1 to 6",
            hint=CONVERT_AGAIN,
        )
    scores = fields.array("scores", "fiu", len(tokens))
    if scores is not None and not np.isfinite(scores).all():
        raise TokenizerError(f"{PREFIX}scores holds NaN or infinity", hint=CONVERT_AGAIN)
    if (model == "llama" or by_scores) and scores is None:
        raise fields.missing("scores")
    roles = {
        name: fields.token_id(f"{name}_token_id", len(tokens))
        for name in ("bos", "eos", "eot", "eom", "unknown", "padding")
    }
    if model == "bert":
        roles |= _bert_roles(fields, ids, len(tokens))
    special = frozenset(np.flatnonzero((types == CONTROL) | (types == USER_DEFINED)).tolist())
    control = frozenset(np.flatnonzero((types == CONTROL) | (types == UNKNOWN)).tolist())
    stop_ids = _stop_ids(ids, special, roles)
    stop_ids |= control & {ids.find(_END_IF_CONTROL)}
    # A user-defined token is found in any text. One that ends a turn or begins one must not be.
    named_roles = {roles[name] for name in ("bos", "eos", "eot", "eom")}
    control |= special & (stop_ids | named_roles)
    user_defined = special - control
    strips = fields.ids(STRIPS, len(tokens))
    if strips is not None and not strips <= control | user_defined:
        raise TokenizerError(f"{STRIPS} names a token that isn't special", hint=CONVERT_AGAIN)
    starts, ends = tokens.spans
    long = set(np.flatnonzero(ends - starts > MAX_SPECIAL_CHARS).tolist())  # that many bytes
    for special_id in sorted(long & (control | user_defined)):
        if len(tokens[special_id]) > MAX_SPECIAL_CHARS:
            raise TokenizerError(
                f"special token {special_id} has {len(tokens[special_id])} characters, "
                f"expected at most {MAX_SPECIAL_CHARS}",
                hint=CONVERT_AGAIN,
            )
    return TokenizerMetadata(
        model=model,
        pre=fields.optional_text("pre"),
        tokens=tokens,
        types=types,
        ids=ids,
        scores=None if scores is None else scores.astype(np.float64),
        merges=_merges(fields.strings("merges")) if by_merges else None,
        control=control,
        user_defined=user_defined,
        byte_ids=_byte_ids(tokens, np.flatnonzero(types == BYTE).tolist()),
        bos_id=roles["bos"],
        eos_id=roles["eos"],
        unknown_id=roles["unknown"],
        stop_ids=stop_ids,
        add_bos=_adds(fields, "add_bos_token", model),
        add_eos=_adds(fields, "add_eos_token", model),
        add_space_prefix=fields.flag("add_space_prefix"),
        removes_extra_spaces=bool(by_scores and fields.flag("remove_extra_whitespaces")),
        charsmap=fields.octets("precompiled_charsmap") if by_scores else b"",
        embedded=embedded,
        spaces=spaces,
        strips_right=strips,
    )


def tokenizer_sha256(metadata: Mapping[str, object]) -> str:
    """The hash of every `tokenizer.ggml.*` value, as 64 hexadecimal digits.

    Each key, in sorted order, adds its name, a type letter, a count and its value, each length as
    8 bytes little-endian. Integers and floats are widened to 64 bits first, so that the hash does
    not depend on the width a converter picked. Arrays of strings add the length of each string
    (in characters) before the text of all. A tokenizer.json that the file holds is part of it;
    chat templates are not.
    """
    digest = hashlib.sha256(b"aboard tokenizer 1\n")

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)

    # The one family in which the architecture decides ids too: see `Tokenizer`.
    also = [ARCHITECTURE] if metadata.get(ARCHITECTURE) == "phi3" else []
    also += [key for key in (EMBEDDED, SPACES, STRIPS) if key in metadata]
    for key in sorted([*(k for k in metadata if k.startswith(PREFIX)), *also]):
        value = metadata[key]
        add(key.encode("utf-8", "surrogatepass"))
        if isinstance(value, bool | np.bool_):
            add(b"b1" if value else b"b0")
        elif isinstance(value, str):
            add(b"s" + value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, int | float | np.integer | np.floating):
            add(b"n" + repr(value if isinstance(value, int | float) else value.item()).encode())
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
            wide = value.astype("<f8" if value.dtype.kind == "f" else "<i8")
            add(b"a" + wide.dtype.kind.encode() + wide.tobytes())
        else:
            items = [str(item) for item in as_list(value, key)]
            add(b"l" + np.array([len(item) for item in items], "<i8").tobytes())
            add("".join(items).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _index(tokens: StringArray) -> StringIndex:
    if not tokens:
        raise TokenizerError(f"{PREFIX}tokens is empty", hint=CONVERT_AGAIN)
    ids = StringIndex(tokens)
    if ids.repeated is not None:
        first, last = ids.repeated
        raise TokenizerError(
            f"token {tokens[first]!r} has two ids, {first} and {last}", hint=CONVERT_AGAIN
        )
    return ids


def _adds(fields: TokenizerFields, key: str, model: str) -> bool | None:
    """Whether a token stands around every text; None where the file is silent."""
    stated = fields.flag(key)
    if model == "t5" and stated is None:  # as llama.cpp takes it
        return key == "add_eos_token"
    return True if model == "bert" else stated


def _bert_roles(
    fields: TokenizerFields, ids: StringIndex, n_vocabulary: int
) -> dict[str, int | None]:
    """The tokens that stand around every text, and the unknown one; BERT's own by default."""
    found: dict[str, int | None] = {}
    for role, keys, text in (
        ("bos", ("bos_token_id", "cls_token_id"), "[CLS]"),
        ("eos", ("seperator_token_id", "eos_token_id"), "[SEP]"),  # spelled so in GGUF
        ("unknown", ("unknown_token_id",), "[UNK]"),
    ):
        stated = [fields.token_id(key, n_vocabulary) for key in keys]
        found[role] = next((i for i in [*stated, ids.find(text)] if i is not None), None)
        if found[role] is None:
            raise fields.missing(keys[-1])
    return found


def _merges(merges: StringArray) -> StringIndex:
    starts, ends = merges.spans
    spaces = space_marks(merges)
    first_space = np.searchsorted(spaces, starts)
    n_spaces = np.searchsorted(spaces, ends) - first_space
    at = np.append(spaces, -1)[first_space]
    bad = np.flatnonzero((n_spaces != 1) | (at == starts) | (at == ends - 1))
    if bad.size:
        raise TokenizerError(
            f"{PREFIX}merges[{bad[0]}] is {merges[int(bad[0])][:80]!r}, "
            "expected two tokens and one space between",
            hint=CONVERT_AGAIN,
        )
    ranks = StringIndex(merges)
    if ranks.repeated is not None:
        raise TokenizerError(f"{PREFIX}merges names a pair twice", hint=CONVERT_AGAIN)
    return ranks


def space_marks(merges: StringArray) -> npt.NDArray[np.int64]:
    """Where in its octets an array has spaces."""
    return np.flatnonzero(merges.octets == ord(" "))


def _byte_ids(tokens: StringArray, byte_typed: list[int]) -> dict[int, int]:
    found = {}
    for token_id in byte_typed:
        match = _BYTE_TOKEN.match(tokens[token_id])
        if match is None:
            raise TokenizerError(
                f"token {token_id} is marked as a byte but reads {tokens[token_id][:40]!r}, "
                "expected <0x00> to <0xFF>",
                hint=CONVERT_AGAIN,
            )
        found[int(match[1], 16)] = token_id
    return found


def _stop_ids(
    ids: StringIndex, special: frozenset[int], roles: dict[str, int | None]
) -> frozenset[int]:
    """The ids after which nothing more is generated.

    The file's own end-of-sequence, end-of-turn and end-of-message tokens, and those of
    `END_OF_TURN` that it marks as special. Where `<|return|>` and `<|call|>` exist, `<|end|>` only
    ends a part of the answer.
    """
    stop = {roles[name] for name in ("eos", "eot", "eom")} - {None}
    found = {name: ids.find(name) for name in END_OF_TURN}
    named = {name: token_id for name, token_id in found.items() if token_id in special}
    if "<|return|>" in named and "<|call|>" in named:
        named.pop("<|end|>", None)
    return frozenset(stop | set(named.values()))  # type: ignore[arg-type]  # None was taken out
