"""Whether the special tokens of a model agree: tokenizer, chat template and generation config.

Nothing here is refused: a model may run with any of it. Each finding is a sentence for its reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.huggingface_files import Folder
from aboard.checkpoint.huggingface_roles import generation_stops, role_texts
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TemplateError

# What is written like a special token. HTML-like tags are not: templates hold XML for the model.
_LOOKS_SPECIAL = re.compile(
    r"<\|[A-Za-z0-9_/:.-]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|<(?:start|end)_of_[a-z]{1,20}>|</?s>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\]"
)
_ANSWER, _ANY_DAY = "Aboard0Answer", date(2025, 1, 1)


def token_disagreements(metadata: Mapping[str, Any]) -> list[str]:
    """What in GGUF `metadata` contradicts itself about special tokens; empty where nothing does.

    Raises
    ------
    TokenizerError, TemplateError
        The tokenizer or the template is refused.
    """
    tokenizer = Tokenizer.from_gguf(metadata)
    found = [
        f"token {token_id} {tokenizer.piece(token_id).decode('utf-8', 'replace')!r} is {role} but "
        "not marked as special"
        for role, token_id in (("bos", tokenizer.bos_id), ("eos", tokenizer.eos_id))
        if token_id is not None and not tokenizer.is_control(token_id)
    ]
    if not tokenizer.stop_ids:
        found.append("no token ends an answer")
    template = ChatTemplate.from_gguf(metadata)
    return found if template is None else found + _of_template(tokenizer, template)


def folder_disagreements(folder: Path) -> list[str]:
    """What the files of a Hugging Face folder say differently about the end of an answer.

    Raises
    ------
    TokenizerError
        A file is damaged.
    """
    files = Folder(folder)
    tokens = files.json("tokenizer.json", 128 << 20)
    ids = {token.text("content"): token.number("id") for token in tokens.objects("added_tokens")}
    eos = role_texts(files).get("eos")
    where, stops = generation_stops(files, 1 << 31)
    found = []
    if eos in ids and stops and ids[eos] not in stops:
        found.append(
            f"tokenizer_config.json ends a sequence with {eos!r} ({ids[eos]}), "
            f"{where} ends an answer with {sorted(stops)}"
        )
    config, generation = files.json("config.json"), files.json("generation_config.json")
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if key in config and key in generation and _differ(config.members, generation.members, key):
            found.append(
                f"{key} is {config.members[key]} in config.json and {generation.members[key]} in "
                "generation_config.json"
            )
    return found


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    def as_set(value: Any) -> set[str]:
        return set(map(str, value if isinstance(value, list) else [value]))

    return not as_set(one[key]) <= as_set(other[key])


def _of_template(tokenizer: Tokenizer, template: ChatTemplate) -> list[str]:
    """What the template writes that the tokenizer doesn't read as it is meant."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": _ANSWER}]
    found = []
    try:
        text = template.render(messages, add_generation_prompt=False, now=_ANY_DAY)
        prompt = template.render(messages[:1], now=_ANY_DAY)
    except TemplateError as error:
        return [f"a question and its answer can't be rendered: {error}"]
    for written in sorted(set(_LOOKS_SPECIAL.findall(text + prompt))):
        ids = tokenizer.encode(written, add_special=False)
        if len(ids) != 1 or not tokenizer.is_special(ids[0]):
            found.append(f"the chat template writes {written!r}, which is no special token")
    behind = text.rpartition(_ANSWER)[2]
    ends = [i for i in tokenizer.encode(behind, add_special=False) if tokenizer.is_control(i)]
    if _ANSWER not in text:
        found.append("the chat template leaves an answer out")
    elif ends and ends[0] not in tokenizer.stop_ids:
        found.append(
            f"the chat template ends an answer with {tokenizer.piece(ends[0]).decode()!r} "
            f"({ends[0]}), which doesn't end generation"
        )
    return found
