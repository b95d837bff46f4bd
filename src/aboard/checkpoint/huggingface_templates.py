"""The chat templates of a Hugging Face folder as GGUF entries.

As in transformers, files of their own go before what tokenizer_config.json holds.
"""

from __future__ import annotations

from string import ascii_letters, digits

from aboard.checkpoint.chat_template import KEY
from aboard.checkpoint.huggingface_files import Folder
from aboard.errors import TokenizerError

FOLDER, MAX_TEMPLATES, MAX_BYTES = "additional_chat_templates", 32, 1 << 20
_CONTRADICTION = "The files of the folder don't belong together: get them again."


def template_entries(folder: Folder) -> dict[str, object]:
    """The entries `tokenizer.chat_template`, of the named templates, and of their names.

    Raises
    ------
    TokenizerError
        A template is no text, or two have the same name in GGUF.
    """
    found = _of_files(folder) or _of_config(folder)
    entries: dict[str, object] = {}
    names: list[str] = []
    for name, source in found.items():
        if name == "default":
            entries[KEY] = source
            continue
        written = "".join(c if c in ascii_letters + digits else "_" for c in name)
        if not written or written in names:
            raise TokenizerError(
                f"{folder.path}: two chat templates are named {written!r}", hint=_CONTRADICTION
            )
        names.append(written)
        entries[f"{KEY}.{written}"] = source
    if names:
        entries[f"{KEY}s"] = sorted(names)
    return entries


def _of_files(folder: Folder) -> dict[str, str]:
    found: dict[str, str] = {}
    if folder.has("chat_template.jinja"):
        found["default"] = folder.text("chat_template.jinja", MAX_BYTES)
    further = folder.path / FOLDER
    if further.is_dir():
        files = sorted(further.glob("*.jinja"))
        if len(files) > MAX_TEMPLATES:
            raise TokenizerError(f"{further}: has more than {MAX_TEMPLATES} templates")
        for file in files:
            found[file.stem] = folder.text(f"{FOLDER}/{file.name}", MAX_BYTES)
    return found


def _of_config(folder: Folder) -> dict[str, str]:
    for name in ("tokenizer_config.json", "chat_template.json"):
        fields = folder.json(name)
        value = fields.members.get("chat_template")
        if isinstance(value, str):
            return {"default": value}
        if isinstance(value, list):
            parts = fields.objects("chat_template")[:MAX_TEMPLATES]
            return {part.text("name"): part.text("template") for part in parts}
        if value is not None:
            raise fields.wrong("chat_template", "a text or a list of named ones")
    return {}
