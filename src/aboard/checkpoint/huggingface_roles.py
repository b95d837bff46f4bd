"""Which tokens begin, end and pad a sequence, by the files of a Hugging Face folder.

Where files disagree, what holds is what transformers makes of them (5.23): special_tokens_map.json
and added_tokens.json count only where tokenizer_config.json has no `added_tokens_decoder`;
tokenizer.json says what goes around a text; generation_config.json says where an answer ends, and
config.json where that is silent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aboard.checkpoint.huggingface_files import Fields, Folder
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.checkpoint.tokenizer_json import AddedToken, TokenizerJson, read_added_token
from aboard.checkpoint.tokenizer_metadata import read_tokenizer_metadata
from aboard.checkpoint.tokenizer_pipeline import Template
from aboard.errors import TokenizerError

_log = logging.getLogger(__name__)

# The name of each role in a Hugging Face folder, and in GGUF, where one is misspelled.
ROLES = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",
    "pad": "padding",
    "cls": "cls",
    "mask": "mask",
}
MAX_STOPS = 64
_CONTRADICTION = "The files of the folder don't belong together: get them again."


def with_further_tokens(folder: Folder, found: TokenizerJson) -> TokenizerJson:
    """`found` with the added tokens that other files name, as transformers adds them.

    Raises
    ------
    TokenizerError
        A file gives such a token an id that isn't the one it gets.
    """
    config = folder.json("tokenizer_config.json")
    found = found.with_added(added_elsewhere(folder))
    further = [*role_texts(folder).values()]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        items = config.members.get(key) or []
        items = list(items.values()) if isinstance(items, dict) else items
        if not isinstance(items, list):
            raise config.wrong(key, "a list of tokens")
        further += [_text_of(item, config, key) for item in items]
    return found.with_special(further)


def role_texts(folder: Folder) -> dict[str, str]:
    """The text of the token for each role of `ROLES` that the tokenizer's own files fill."""
    config = folder.json("tokenizer_config.json")
    sources = [config]
    if "added_tokens_decoder" not in config:
        sources.append(folder.json("special_tokens_map.json"))
    found: dict[str, str] = {}
    for fields in sources:
        for role in ROLES:
            value = fields.members.get(f"{role}_token")
            if value is not None:
                found[role] = _text_of(value, fields, f"{role}_token")
    return found


def role_entries(
    folder: Folder,
    find: Callable[[str], int | None],
    template: Template,
    n_vocabulary: int,
    defaults: Mapping[str, int] | None = None,
) -> dict[str, object]:
    """The entries `tokenizer.ggml.<role>_token_id`, `add_bos_token` and `add_eos_token`.

    Parameters
    ----------
    folder : Folder
        Where the files are.
    find : callable
        The id of a token's text, None where the model has no such token.
    template : Template
        What belongs around a text.
    n_vocabulary : int
        The rows of the model's embedding.
    defaults : mapping of str to int, optional
        Role -> id, by the tokenizer itself, for roles that the files around it don't fill.

    Raises
    ------
    TokenizerError
        A token that begins or ends texts isn't there, or files contradict each other.
    """
    ids: dict[str, int] = {}
    for role, text in role_texts(folder).items():
        token_id = find(text)
        if token_id is not None:
            ids[role] = token_id
        elif role in ("bos", "eos"):
            raise TokenizerError(
                f"{folder.path}: {role}_token is {text!r}, which the tokenizer doesn't have",
                hint=_CONTRADICTION,
            )
    ids = {**(defaults or {}), **ids}
    _around(folder, template, n_vocabulary, ids)
    config = folder.json("config.json")
    for role in ROLES:
        key = f"{role}_token_id"
        if role not in ids and key in config:
            ids.update((role, i) for i in token_ids(config, key, n_vocabulary)[:1])
    entries: dict[str, object] = {
        f"{PREFIX}{ROLES.get(role, role)}_token_id": i for role, i in ids.items()
    }
    entries[f"{PREFIX}add_bos_token"] = template.first is not None
    entries[f"{PREFIX}add_eos_token"] = template.last is not None
    return entries


def stop_entries(
    folder: Folder, entries: Mapping[str, object], n_vocabulary: int
) -> dict[str, object]:
    """The entries for further tokens that end an answer: `eot_token_id`, `eom_token_id`.

    GGUF has these two beside the end of a sequence; the well-known ones need no entry.

    Raises
    ------
    TokenizerError
        There are more than can be written.
    """
    where, wanted = generation_stops(folder, n_vocabulary)
    found: dict[str, object] = {}
    for key in ("eos_token_id", "eot_token_id", "eom_token_id"):
        left = wanted - read_tokenizer_metadata({**entries, **found}).stop_ids
        if not left:
            break
        if PREFIX + key not in entries:
            found[PREFIX + key] = min(left)
    left = wanted - read_tokenizer_metadata({**entries, **found}).stop_ids
    if left:
        raise TokenizerError(
            f"{where}: eos_token_id has {len(wanted)} tokens, and a GGUF file can't hold "
            f"{sorted(left)} besides",
            hint="Take those that never end an answer out of the list.",
        )
    return found


def generation_stops(folder: Folder, n_vocabulary: int) -> tuple[str, set[int]]:
    """The file that says where an answer ends, and the tokens it names; none where none does."""
    for name in ("generation_config.json", "config.json"):
        whole = folder.json(name)
        for fields in (whole, whole.object("text_config")):  # a part of one that sees says it there
            if fields is not None and "eos_token_id" in fields:
                return fields.where, set(token_ids(fields, "eos_token_id", n_vocabulary))
    return str(folder.path), set()


def _around(folder: Folder, template: Template, n_vocabulary: int, ids: dict[str, int]) -> None:
    """Hold the tokens that go around a text against the roles; fill the roles that are empty."""
    for role, token_id in (("bos", template.first), ("eos", template.last)):
        if token_id is None:
            continue
        other = ids.get(role, token_id)
        if token_id >= n_vocabulary or (other != token_id and role == "bos"):
            raise TokenizerError(
                f"{folder.path}: post_processor of tokenizer.json begins or ends a text with token "
                f"{token_id}, but {role}_token is {other} and the model has {n_vocabulary} rows",
                hint=_CONTRADICTION,
            )
        if other != token_id:  # as in Qwen3-Embedding: an answer would end with the other
            ids["eot"] = other
        ids[role] = token_id


def added_elsewhere(folder: Folder) -> Iterator[AddedToken]:
    """The added tokens of tokenizer_config.json, or else of added_tokens.json, by id."""
    config = folder.json("tokenizer_config.json")
    decoder = config.object("added_tokens_decoder")
    if decoder is not None:
        for key in sorted(decoder.members, key=lambda key: _as_id(decoder, key)):
            fields = decoder.object(key)
            if fields is None:
                raise decoder.wrong(key, "an object")
            yield read_added_token(fields, _as_id(decoder, key))
        return
    added = folder.json("added_tokens.json")
    special = set(role_texts(folder).values())
    for text in sorted(added.members, key=added.number):
        yield AddedToken(
            token_id=added.number(text),
            content=text,
            special=text in special,
            normalized=text not in special,
        )


def _as_id(decoder: Fields, key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) < 10):
        raise TokenizerError(
            f"{decoder.where} has the key {key[:40]!r}, expected an id", hint=_CONTRADICTION
        )
    return int(key)


def _text_of(value: Any, fields: Fields, key: str) -> str:
    """The text of a token that is given as such or as an object."""
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, str):
        raise fields.wrong(key, "the text of a token")
    return content


def token_ids(fields: Fields, key: str, n_vocabulary: int) -> list[int]:
    """One id or a list of them; -1 stands for none."""
    value = fields.members[key]
    items = value if isinstance(value, list) else [value]
    found = [item for item in items if item != -1]
    if len(found) > MAX_STOPS or not set(map(type, found)) <= {int}:
        raise fields.wrong(key, f"an id, or at most {MAX_STOPS} of them")
    if any(not 0 <= item < n_vocabulary for item in found):
        raise fields.wrong(key, f"ids below {n_vocabulary}")
    return found
