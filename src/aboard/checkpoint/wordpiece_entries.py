"""The GGUF entries `tokenizer.ggml.*` of a WordPiece vocabulary, as llama.cpp writes them.

Everything around the model must be what BERT has, for GGUF has no entries for it; but letters may
stay large and keep their accents.
"""

from __future__ import annotations

from typing import Any

from aboard.checkpoint.huggingface_entries import TokenList, unused_name
from aboard.checkpoint.huggingface_files import Fields, Folder
from aboard.checkpoint.huggingface_roles import ROLES
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.checkpoint.tokenizer_json import TokenizerJson
from aboard.checkpoint.tokenizer_metadata import CONTROL, NORMAL, UNUSED
from aboard.checkpoint.tokenizer_pipeline import normalizer_steps, read_template, word_steps
from aboard.checkpoint.tokenizer_wordpiece import (
    LOWERCASE,
    MAX_WORD_CHARS,
    STRIP_ACCENTS,
    marked,
    original,
)
from aboard.errors import TokenizerError

VOCABULARY = "vocab.txt"
_MAX_BYTES = 16 << 20
_SPECIAL = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
_REPORT = "The model needs a newer Aboard; report the model's name."


def wordpiece_entries(folder: Folder, found: TokenizerJson, n_vocabulary: int) -> dict[str, object]:
    """The entries for a checked tokenizer.json; roles are not among them.

    Raises
    ------
    TokenizerError
        A step is another than BERT's, or the files disagree.
    """
    template = read_template(found.fields)
    lowercase, strips_accents = _normalizer(found)
    _check_config(folder, lowercase, strips_accents)
    if None in (template.first, template.last):
        raise _unsupported(
            found.fields, "post_processor", "[CLS] before a text and [SEP] behind it"
        )
    if [step.members["type"] for step in word_steps(found.fields)] != ["BertPreTokenizer"]:
        raise _unsupported(found.fields, "pre_tokenizer", "BertPreTokenizer")
    tokens = TokenList.unused(n_vocabulary)
    for text, token_id in found.ids.items():
        if original(marked(text)) != text:
            raise TokenizerError(
                f"{found.fields.where}: token {text[:40]!r} can't be told from another one in GGUF",
                hint=_REPORT,
            )
        tokens.put(token_id, marked(text), NORMAL, 0.0)
    for token in found.added:
        if not token.special or token.normalized or token.strips_left or token.strips_right:
            raise TokenizerError(
                f"{found.fields.where}: added token {token.content[:40]!r} is no plain special "
                "token, and GGUF has no entry for it",
                hint=_REPORT,
            )
        tokens.put(token.token_id, token.content, CONTROL, 0.0)
    for token_id, kind in enumerate(tokens.types):
        if kind == UNUSED:
            tokens.texts[token_id] = marked(unused_name(token_id))
    entries = tokens.entries("bert", with_scores=False)
    entries |= {PREFIX + LOWERCASE: lowercase, PREFIX + STRIP_ACCENTS: strips_accents}
    # llama.cpp takes the ids of BERT's own vocabulary where a file has none.
    roles = {ROLES[role.removesuffix("_token")]: text for role, text in _SPECIAL.items()}
    found_ids = {role: found.id_of(text) for role, text in roles.items()}
    found_ids["seperator"] = template.last
    return entries | {
        f"{PREFIX}{role}_token_id": i for role, i in found_ids.items() if i is not None
    }


def vocabulary_json(folder: Folder) -> Fields:
    """The tokenizer.json that a folder with vocab.txt stands for: BERT's own tokenizer.

    Raises
    ------
    TokenizerError
        The file is damaged, or tokenizer_config.json asks for another tokenizer.
    """
    where = str(folder.path / VOCABULARY)
    lines = folder.text(VOCABULARY, _MAX_BYTES).removesuffix("\n").split("\n")
    ids = {line.removesuffix("\r"): i for i, line in enumerate(lines)}
    if len(ids) != len(lines):
        raise TokenizerError(f"{where}: a token stands there twice", hint="Get the file again.")
    config = folder.json("tokenizer_config.json")
    kind = config.optional_text("tokenizer_class")
    if kind not in (None, "BertTokenizer", "BertTokenizerFast"):
        raise _unsupported(config, "tokenizer_class", "BertTokenizer")
    special = {role: ids.get(text) for role, text in _SPECIAL.items()}
    missing = [_SPECIAL[role] for role, token_id in special.items() if token_id is None]
    if missing:
        raise TokenizerError(f"{where}: has no {', '.join(missing)}", hint="Get the file again.")
    return Fields(_as_json(ids, config), where)


def _as_json(ids: dict[str, int], config: Fields) -> dict[str, Any]:
    first, last = _SPECIAL["cls_token"], _SPECIAL["sep_token"]
    return {
        "added_tokens": [
            {"id": ids[text], "content": text, "special": True, "normalized": False}
            for text in _SPECIAL.values()
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars", True),
            "strip_accents": config.members.get("strip_accents"),
            "lowercase": config.flag("do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "cls": [first, ids[first]],
            "sep": [last, ids[last]],
        },
        "model": {
            "type": "WordPiece",
            "unk_token": _SPECIAL["unk_token"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": MAX_WORD_CHARS,
            "vocab": ids,
        },
    }


def _normalizer(found: TokenizerJson) -> tuple[bool, bool]:
    """Whether letters become small, and whether they lose their accents."""
    steps = normalizer_steps(found.fields)
    if [step.members["type"] for step in steps] != ["BertNormalizer"]:
        raise _unsupported(found.fields, "normalizer", "BertNormalizer")
    step = steps[0]
    for key in ("clean_text", "handle_chinese_chars"):
        if not step.flag(key, True):
            raise _unsupported(step, key, "true")
    lowercase = step.flag("lowercase", True)
    return lowercase, step.flag("strip_accents", lowercase)


def _check_config(folder: Folder, lowercase: bool, strips_accents: bool) -> None:
    """Refuse a tokenizer_config.json that says otherwise than the tokenizer itself."""
    config = folder.json("tokenizer_config.json")
    expected = {"do_lower_case": lowercase, "strip_accents": strips_accents}
    expected |= {"tokenize_chinese_chars": True, "do_basic_tokenize": True}
    for key, value in expected.items():
        if config.flag(key, value) != value:
            raise _unsupported(config, key, str(value).lower())
    if config.members.get("never_split"):
        raise _unsupported(config, "never_split", "nothing")


def _unsupported(fields: Fields, key: str, expected: str) -> TokenizerError:
    found = fields.members.get(key)
    shown = found.get("type") if isinstance(found, dict) else found
    return TokenizerError(
        f"{fields.where}: {key} is {str(shown)[:40]!r}, and Aboard knows {expected} alone",
        hint=_REPORT,
    )
