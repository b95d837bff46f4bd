"""The steps of a tokenizer.json around its model: which are known, and what they come to.

A step that isn't listed here is refused by name, and so is a known one with settings that could
cost time or memory without bound: the file is a stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from aboard.checkpoint.huggingface_files import Fields
from aboard.checkpoint.pretokenizers import (
    GPT2,
    GPT4O,
    LLAMA3,
    QWEN2,
    QWEN35,
    TEKKEN,
    WORD_RULES,
)
from aboard.checkpoint.regex_safety import danger
from aboard.errors import TokenizerError

SPACE = "▁"
MAX_STEPS, MAX_DEPTH = 32, 8
# How much longer a text may get by replacing: `{"a": "aa"}` over and over doubles it each time.
MAX_GROWTH = 64

_REPORT = "The model needs a newer Aboard; report the model's name."
# Patterns that leave no character out: to remove what doesn't match removes nothing.
_COMPLETE = (GPT2, LLAMA3, QWEN2, QWEN35, TEKKEN, GPT4O)
_BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


@dataclass(frozen=True, slots=True)
class Decoder:
    """How tokens become text: 'bytes' of byte-level BPE, 'spaces', or 'metaspace'.

    With 'spaces' each mark becomes a space, `<0xXX>` a byte where `spells_bytes`, and the first
    space goes where `strips`. With 'metaspace' the marks of the first token go where `strips`.
    """

    kind: str
    strips: bool = False
    spells_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """The ids of the tokens that belong around every text; None where there are none."""

    first: int | None = None
    last: int | None = None


def normalizer_steps(fields: Fields) -> list[Fields]:
    """The steps of "normalizer", sequences taken apart."""
    steps = _flat(fields, "normalizer", "normalizers", _NORMALIZERS)
    growth = 1
    for step in steps:
        if step.members["type"] == "Replace":
            growth *= max(1, len(step.text("content")))
            growth *= 2 if "Regex" in step.members["pattern"] else 1  # it may match nothing
    if growth > MAX_GROWTH:
        raise TokenizerError(
            f"{fields.where}: normalizer may make a text {growth} times as long",
            hint="No model is known that needs it.",
        )
    return steps


def word_steps(fields: Fields) -> list[Fields]:
    """The steps of "pre_tokenizer", sequences taken apart."""
    return _flat(fields, "pre_tokenizer", "pretokenizers", _PRE_TOKENIZERS)


def find_pre(fields: Fields, *, whole_words_first: bool) -> str | None:
    """The name in `WORD_RULES` of what comes before the model, None where none is the same.

    Compared step by step, with the rule's own; never by a sample of texts.
    """
    normalizers = [step.members["type"] for step in normalizer_steps(fields)]
    nfc = normalizers == ["NFC"]
    if normalizers and not nfc:
        return None
    steps = _cuts(word_steps(fields))
    for name, rule in WORD_RULES.items():
        if (rule.nfc, rule.whole_words_first) == (nfc, whole_words_first) and steps == _known(name):
            return name
    return None


def spaces_before(fields: Fields) -> str | None:
    """How a space mark is put before a text, None where spaces don't simply become marks.

    'prepend': before every stretch between special tokens. 'always': the same, where it doesn't
    begin with one. 'first': only where the text begins. 'never'.
    """
    normalizers = [_without(step, "type") for step in normalizer_steps(fields)]
    steps = word_steps(fields)
    marks = {"pattern": {"String": " "}, "content": SPACE}
    if not normalizers and len(steps) == 1 and steps[0].members["type"] == "Metaspace":
        is_cut = steps[0].flag("split", default=True)
        return None if is_cut else prepend_scheme(steps[0])
    if any(step.members.get("pattern") != {"String": " "} for step in steps):
        return None  # to cut at spaces does nothing, as there are none left
    if normalizers == [{"prepend": SPACE}, marks]:
        return "prepend"
    return "never" if normalizers == [marks] else None


def _without(step: Fields, key: str) -> dict[str, Any]:
    return {name: value for name, value in step.members.items() if name != key}


def read_decoder(fields: Fields) -> Decoder:
    """What "decoder" is."""
    steps = _flat(fields, "decoder", "decoders", _DECODERS)
    kinds = [step.members["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return Decoder("bytes")
    if kinds == ["Metaspace"]:
        return Decoder("metaspace", strips=prepend_scheme(steps[0]) != "never")
    strips = kinds[-1:] == ["Strip"]
    if kinds[: len(kinds) - strips] in (
        ["Replace", "ByteFallback", "Fuse"],
        ["Replace", "Fuse"],
        ["ByteFallback", "Replace", "Fuse"],
        ["ByteFallback", "Fuse", "Replace"],
    ):
        return Decoder("spaces", strips=strips, spells_bytes="ByteFallback" in kinds)
    raise TokenizerError(
        f"{fields.where}: decoder is {' + '.join(kinds) or 'missing'}, and Aboard doesn't know it",
        hint=_REPORT,
    )


def read_template(fields: Fields) -> Template:
    """What "post_processor" puts around one text."""
    found = Template()
    for step in _flat(fields, "post_processor", "processors", _POST_PROCESSORS):
        if step.members["type"] == "ByteLevel":
            continue
        if found != Template():
            raise step.wrong("type", "one template")
        is_bert = step.members["type"] == "BertProcessing"
        found = _bert_template(step) if is_bert else _template(step)
    return found


def _template(step: Fields) -> Template:
    named: list[int | None] = []
    table = step.object("special_tokens") or Fields({}, step.where)
    for part in step.objects("single"):
        special = part.object("SpecialToken")
        if special is not None:
            named.append(_only_id(table, special.text("id")))
            continue
        named.append(None)
        if (part.object("Sequence") or part).text("id") != "A":
            raise part.wrong("Sequence", "the text A")
    if named.count(None) != 1 or len(named) > 3 or (len(named) == 3 and named[1] is not None):
        raise TokenizerError(
            f"{step.where}: single is {named}, expected at most one token before and one behind",
            hint=_REPORT,
        )
    return Template(first=named[0], last=named[-1] if len(named) > 1 else None)


def _bert_template(step: Fields) -> Template:
    """An older way to say the same: a token before and one behind, each with its id."""
    for key in ("cls", "sep"):
        pair = step.members.get(key)
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[1]) is not int or pair[1] < 0:
            raise step.wrong(key, "a token and its id")
    return Template(first=step.members["cls"][1], last=step.members["sep"][1])


def _only_id(table: Fields, name: str) -> int:
    """The id that a template has for a token; by it, not by the token's text, the library goes."""
    entry = table.object(name)
    ids = entry.members.get("ids") if entry is not None else None
    if not isinstance(ids, list) or len(ids) != 1 or type(ids[0]) is not int or ids[0] < 0:
        raise table.wrong(name, "an object with one id")
    return ids[0]


def _flat(
    fields: Fields, key: str, inner: str, known: Mapping[str, Callable[[Fields], None]]
) -> list[Fields]:
    """The steps of `key`, each checked by what `known` has for its type."""
    first = fields.object(key)
    found: list[Fields] = []

    def walk(step: Fields, depth: int) -> None:
        kind = step.text("type")
        if kind == "Sequence" and depth < MAX_DEPTH:
            for part in step.objects(inner):
                walk(part, depth + 1)
        elif kind in known and len(found) < MAX_STEPS:
            known[kind](step)
            found.append(step)
        else:
            raise TokenizerError(
                f"{step.where}: type is {kind[:40]!r}, and Aboard doesn't know it", hint=_REPORT
            )

    if first is not None:
        walk(first, 0)
    return found


def _nothing(step: Fields) -> None:
    """A step whose settings cost nothing: the library checks them."""


def _pattern(step: Fields) -> None:
    pattern = step.object("pattern")
    if pattern is None or len(pattern.members) != 1:
        raise step.wrong("pattern", "an object with String or Regex")
    if "Regex" not in pattern:
        if not pattern.text("String"):
            raise pattern.wrong("String", "at least one character")
        return
    regex = pattern.text("Regex")
    reason = danger(regex)
    if reason is not None:
        raise TokenizerError(
            f"{pattern.where}: Regex {regex[:60]!r} isn't run: {reason}",
            hint="It may take time without bound. " + _REPORT,
        )


def _split(step: Fields) -> None:
    _pattern(step)
    if step.text("behavior") not in _BEHAVIORS:
        raise step.wrong("behavior", f"one of {', '.join(_BEHAVIORS)}")
    step.flag("invert")


def _replace(step: Fields) -> None:
    _pattern(step)
    step.text("content")


def _prepend(step: Fields) -> None:
    if len(step.text("prepend")) > 8:
        raise step.wrong("prepend", "at most 8 characters")


def _metaspace(step: Fields) -> None:
    if step.text("replacement") != SPACE:
        raise step.wrong("replacement", f"{SPACE!r}")
    prepend_scheme(step)


def prepend_scheme(step: Fields) -> str:
    """Where a Metaspace step puts a mark: 'always', 'first' or 'never'."""
    scheme = step.text("prepend_scheme") if "prepend_scheme" in step else "always"
    # Older files have `add_prefix_space` instead; with both, the library wants them to agree.
    if not step.flag("add_prefix_space", default=True):
        scheme = "never"
    if scheme not in ("always", "first", "never"):
        raise step.wrong("prepend_scheme", "always, first or never")
    return scheme


def _decoder_replace(step: Fields) -> None:
    pattern = step.object("pattern")
    if pattern is None or pattern.members != {"String": SPACE} or step.text("content") != " ":
        raise step.wrong("pattern", f"{SPACE!r}, which becomes a space")


def _strip(step: Fields) -> None:
    if (step.text("content"), step.number("start"), step.number("stop")) != (" ", 1, 0):
        raise step.wrong("content", "one space, at the start")


_NORMALIZERS: dict[str, Callable[[Fields], None]] = {
    **dict.fromkeys(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip"), _nothing),
    "BertNormalizer": _nothing,
    "Replace": _replace,
    "Prepend": _prepend,
}
_PRE_TOKENIZERS: dict[str, Callable[[Fields], None]] = {
    **dict.fromkeys(
        ("ByteLevel", "Digits", "Whitespace", "WhitespaceSplit", "Punctuation", "BertPreTokenizer"),
        _nothing,
    ),
    "Split": _split,
    "Metaspace": _metaspace,
}
_DECODERS: dict[str, Callable[[Fields], None]] = {
    **dict.fromkeys(("ByteLevel", "ByteFallback", "Fuse"), _nothing),
    "Replace": _decoder_replace,
    "Metaspace": _metaspace,
    "Strip": _strip,
}
_POST_PROCESSORS: dict[str, Callable[[Fields], None]] = {
    **dict.fromkeys(("ByteLevel", "TemplateProcessing", "BertProcessing"), _nothing)
}


def _cuts(steps: list[Fields]) -> list[tuple[object, ...]] | None:
    """What steps do to a text, as plain values; None where it isn't cut for byte-level BPE."""
    found: list[tuple[object, ...]] = []
    for i, step in enumerate(steps):
        kind = step.members["type"]
        if kind == "Split":
            how = step.text("behavior"), step.flag("invert")
            pattern = step.members["pattern"]
            if how == ("Removed", True) and pattern.get("Regex") in _COMPLETE:
                how = ("Isolated", False)
            found.append(("Split", *pattern.items(), *how))
        elif kind == "ByteLevel" and i == len(steps) - 1:
            if step.flag("add_prefix_space", default=True):
                return None
            if step.flag("use_regex", default=True):
                found.append(("Split", ("Regex", GPT2), "Isolated", False))
        elif kind == "Digits":
            found.append(("Digits", step.flag("individual_digits")))
        else:
            return None
    return found if steps and steps[-1].members["type"] == "ByteLevel" else None


@cache
def _known(name: str) -> list[tuple[object, ...]]:
    """What `_cuts` gives for a tokenizer.json with the rule `name`."""
    made = [json.loads(step.__getstate__()) for step in WORD_RULES[name].build()]
    made.append({"type": "ByteLevel", "add_prefix_space": False, "use_regex": False})
    return _cuts([Fields(step, name) for step in made]) or []
