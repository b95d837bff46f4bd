"""The tokenizer.json that vocab.json and merges.txt stand for, by the class that reads them.

The two files say nothing of how a text is cut into words; the class of transformers does, where the
tokens bear it out. Many makers write GPT2Tokenizer beside a tokenizer.json that cuts otherwise
(SmolLM, Granite, OLMo 2, Phi-4): there the tokens tell, as none of them lies across a cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aboard.checkpoint.huggingface_files import Fields, Folder
from aboard.checkpoint.huggingface_roles import role_texts
from aboard.checkpoint.pretokenizers import WORD_RULES, build_pre_tokenizer
from aboard.errors import TokenizerError

VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"
MAX_MERGES, MAX_MERGES_BYTES = 1 << 20, 64 << 20  # Gemma 3 has 514,000
MAX_VOCABULARY_BYTES, MAX_TOKEN_CHARS = 32 << 20, 1024  # Qwen3.5: 7 MB, 256
# Class of transformers (5.23) -> how it cuts words.
_CLASSES = {"GPT2Tokenizer": "gpt-2", "Qwen2Tokenizer": "qwen2", "Qwen3_5Tokenizer": "qwen35"}
_FAST = "Fast"
# What each of them has for unk, eos and, the first, bos, where the files are silent.
_END = "<|endoftext|>"
_DAMAGED = "The file is damaged or was made by a faulty tool: get it again."
_GET = "Get the tokenizer.json of the model, or save the tokenizer with transformers."


def merged_json(folder: Folder) -> Fields:
    """The tokenizer.json that a folder with vocab.json and merges.txt stands for.

    Raises
    ------
    TokenizerError
        A file is missing or damaged, or it isn't sure how the tokenizer cuts words.
    """
    for name, other in ((VOCABULARY_FILE, MERGES_FILE), (MERGES_FILE, VOCABULARY_FILE)):
        if not folder.has(name):
            raise TokenizerError(f"{folder.path}: has {other}, but no {name}", hint=_GET)
    config = folder.json("tokenizer_config.json")
    pre = _rule(folder, config)
    vocab = folder.json(VOCABULARY_FILE, MAX_VOCABULARY_BYTES)
    ids: dict[str, Any] = dict(vocab.members)
    if not set(map(type, ids.values())) <= {int}:
        raise TokenizerError(f"{vocab.where}: holds other values than ids", hint=_DAMAGED)
    if long := next((token for token in ids if len(token) > MAX_TOKEN_CHARS), None):
        raise TokenizerError(
            f"{vocab.where}: token {long[:40]!r} has {len(long)} characters, expected at most "
            f"{MAX_TOKEN_CHARS}",
            hint=_DAMAGED,
        )
    _check_words(ids, pre, vocab.where)
    where = f"{vocab.where} and {MERGES_FILE}"
    return Fields(_document(folder, ids, list(_merges(folder, ids)), pre, config), where)


def _rule(folder: Folder, config: Fields) -> str:
    """The name in `WORD_RULES` of how words are cut."""
    kind = config.optional_text("tokenizer_class")
    pre = _CLASSES.get((kind or "").removesuffix(_FAST))
    model_type = folder.json("config.json").optional_text("model_type") or ""
    if pre == "qwen2" and model_type.startswith("qwen3_5"):
        pre = "qwen35"  # to which transformers gives the class of its own, whatever the file says
    if pre is None:
        found = "no tokenizer_class" if kind is None else f"tokenizer_class {kind[:40]!r}"
        raise TokenizerError(
            f"{config.where}: has {found}, expected one of {', '.join(_CLASSES)}, as "
            f"{VOCABULARY_FILE} and {MERGES_FILE} don't say how words are cut",
            hint=_GET,
        )
    if config.flag("add_prefix_space"):
        raise TokenizerError(
            f"{config.where}: add_prefix_space is true, and a GGUF file can't say that", hint=_GET
        )
    return pre


def _check_words(ids: Mapping[str, int], pre: str, where: str) -> None:
    """Refuse a vocabulary that was made by cutting words in another way.

    Only tokens of ASCII are asked: those of Qwen were made with marks among the letters. One in
    10,000 may lie across a cut, as Qwen's `</s` does; of a vocabulary made otherwise it is 24.
    """
    pre_tokenizer = build_pre_tokenizer(WORD_RULES[pre])
    across: list[str] = []
    n_numbers = 0
    for token in ids:
        text = token.replace("Ġ", " ").replace("Ċ", "\n")
        if text.isascii() and not (text[:1] == "<" and text[-1:] == ">"):  # maybe an added one
            n_numbers += len(text) > 1 and text.isdecimal()
            if len(pre_tokenizer.pre_tokenize_str(text)) > 1:
                across.append(text)
    if len(across) > len(ids) // 10_000:
        reason = f"{len(across)} of its tokens lie across a cut, such as {across[0][:40]!r}"
        raise _other_rule(where, pre, reason)
    if pre == "gpt-2" and not n_numbers and len(ids) > 10_000:
        raise _other_rule(where, pre, "none of its tokens is a number of two digits")


def _other_rule(where: str, pre: str, reason: str) -> TokenizerError:
    name = next(name for name, rule in _CLASSES.items() if rule == pre)
    return TokenizerError(
        f"{where}: wasn't made by {name}, which tokenizer_config.json names: {reason}", hint=_GET
    )


def _merges(folder: Folder, ids: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The merges by rank."""
    where = str(folder.path / MERGES_FILE)
    own = {token: token for token in ids}  # one string for all that spell the same
    lines = folder.text(MERGES_FILE, MAX_MERGES_BYTES).removesuffix("\n").split("\n")
    if len(lines) > MAX_MERGES:
        raise TokenizerError(
            f"{where}: has {len(lines)} lines, expected at most {MAX_MERGES}", hint=_DAMAGED
        )
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("#version"):
            continue
        left, space, right = line.partition(" ")
        if not space or left not in own or right not in own or left + right not in own:
            raise TokenizerError(
                f"{where}: line {number} is {line[:80]!r}, expected two tokens of "
                f"{VOCABULARY_FILE} that give a token, and one space between",
                hint=_DAMAGED,
            )
        yield own[left], own[right]


def _template(
    ids: Mapping[str, int], texts: Mapping[str, str], config: Fields
) -> dict[str, Any] | None:
    """What puts tokens around a text, where the config wants any."""
    around: list[str | None] = [None]
    if config.flag("add_bos_token") and "bos" in texts:
        around.insert(0, texts["bos"])
    if config.flag("add_eos_token") and "eos" in texts:
        around.append(texts["eos"])
    named = [text for text in around if text is not None]
    for text in named:
        if text not in ids:
            raise TokenizerError(
                f"{config.where}: puts {text[:40]!r} around a text, which {VOCABULARY_FILE} lacks",
                hint=_GET,
            )
    if not named:
        return None
    text_itself = {"Sequence": {"id": "A"}}
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": each}} if each else text_itself for each in around],
        "special_tokens": {text: {"ids": [ids[text]]} for text in named},
    }


def _document(
    folder: Folder, ids: dict[str, int], merges: list[tuple[str, str]], pre: str, config: Fields
) -> dict[str, Any]:
    rule = WORD_RULES[pre]
    steps = [json.loads(step.__getstate__()) for step in rule.build()]
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "use_regex": False})
    roles = ("unk", "eos", "bos") if pre == "gpt-2" else ("unk", "eos")
    silent = [role for role in roles if f"{role}_token" not in config.members and _END in ids]
    texts = dict.fromkeys(silent, _END) | role_texts(folder)
    return {
        "added_tokens": [{"id": ids[_END], "content": _END, "special": True}] if silent else [],
        "normalizer": {"type": "NFC"} if rule.nfc else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": _template(ids, texts, config),
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": ids, "merges": merges},
    }
