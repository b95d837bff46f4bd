"""What a model's README.md and LICENSE say about it, as the `general.*` entries of a GGUF file.

A README.md on a model hub begins with a few lines of YAML between two `---`. Only what cards hold
is understood: `key: text`, and lists as `[a, b]` or as lines of `- a`; the rest is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from aboard.checkpoint.file_bytes import read_whole
from aboard.errors import CheckpointError

MAX_CARD_BYTES = 4 << 20
MAX_LICENSE_BYTES = 1 << 20
MAX_VALUE_CHARS, MAX_ITEMS = 1000, 200

# The names that model hubs give to licences which SPDX writes otherwise than in lower case.
_SPDX = {
    name.lower(): name
    for name in (
        *("AFL-3.0", "AGPL-3.0", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause"),
        *("BSD-3-Clause-Clear", "BSL-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0"),
        *("CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0"),
        *("CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-3.0"),
        *(
            "CC-BY-SA-4.0",
            "CC0-1.0",
            "CDLA-Permissive-1.0",
            "CDLA-Permissive-2.0",
            "CDLA-Sharing-1.0",
        ),
        *("ECL-2.0", "EPL-1.0", "EPL-2.0", "EUPL-1.1", "EUPL-1.2", "GPL-2.0", "GPL-3.0", "ISC"),
        *("LGPL-2.1", "LGPL-3.0", "MIT", "MPL-2.0", "MS-PL", "NCSA", "ODbL-1.0", "OFL-1.1"),
        *("OSL-3.0", "PostgreSQL", "Unlicense", "WTFPL", "Zlib"),
    )
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*")
_LINE = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?:\s+(?P<value>.*))?$")
_ITEM = re.compile(r"\s*-\s+(?P<value>[^\s{\[].*)$")
_REPOSITORY = re.compile(r"(?P<organization>[\w.-]+)/(?P<name>[\w.-]+)")

Card = dict[str, str | list[str]]


def card_entries(folder: Path) -> dict[str, object]:
    """The entries `general.*` that `folder` tells of: licence, languages, base models."""
    card = read_card(folder / "README.md")
    entries: dict[str, object] = {}
    if name := _text(card, "model_name"):
        entries["general.name"] = name
    if license_id := _license(card, folder):
        entries["general.license"] = license_id
    for key, entry in (("license_name", "license.name"), ("license_link", "license.link")):
        if value := _text(card, key):
            entries[f"general.{entry}"] = value
    for key, entry in (("tags", "tags"), ("language", "languages")):
        if values := _list(card, key):
            entries[f"general.{entry}"] = values
    return entries | dict(_base_models(_list(card, "base_model")))


def read_card(path: Path) -> Card:
    """The texts and lists of texts at the top of a README.md; empty where it has none."""
    lines = _front_matter(_read(path, MAX_CARD_BYTES))
    card: Card = {}
    open_list: list[str] | None = None
    for line in lines:
        item = _ITEM.match(line)
        if item is not None and open_list is not None:
            open_list += [_plain(item["value"])] if len(open_list) < MAX_ITEMS else []
            continue
        open_list = None
        found = _LINE.match(line)
        if found is None or found["key"] in card:
            continue
        value = (found["value"] or "").strip()
        if not value:
            card[found["key"]] = open_list = []
        elif value.startswith("[") and value.endswith("]"):
            parts = value[1:-1].split(",")[:MAX_ITEMS]
            card[found["key"]] = [plain for part in parts if (plain := _plain(part))]
        elif value[0] not in "{[|>&*!":
            card[found["key"]] = _plain(value)
    return card


def _front_matter(text: str) -> list[str]:
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return []
    stripped = [line.rstrip() for line in lines]
    end = stripped.index("---", 1) if "---" in stripped[1:] else 0
    return stripped[1:end]


def _plain(value: str) -> str:
    """A value without its quotes or the comment behind it."""
    value = value.strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0][:MAX_VALUE_CHARS]
    return re.split(r"\s#", value)[0].strip()[:MAX_VALUE_CHARS]


def _license(card: Mapping[str, str | list[str]], folder: Path) -> str | None:
    """The licence's SPDX identifier, or the hub's own name for one that SPDX doesn't have."""
    stated = _list(card, "license")
    if stated:
        return " AND ".join(_SPDX.get(each.lower(), each) for each in stated)
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
        text = _read(folder / name, MAX_LICENSE_BYTES).strip()
        tag = re.match(r"SPDX-License-Identifier:\s*(.+)", text)
        identifier = (tag[1] if tag else "").strip()
        if len(identifier) < 100 and _IDENTIFIER.fullmatch(identifier):
            return _SPDX.get(identifier.lower(), identifier)
        if text.lower() in _SPDX:  # any other word may be anything
            return _SPDX[text.lower()]
    return None


def _base_models(repositories: list[str]) -> Iterator[tuple[str, object]]:
    found = [match for each in repositories if (match := _REPOSITORY.fullmatch(each))]
    if not found:
        return
    yield "general.base_model.count", len(found)
    for i, match in enumerate(found):
        yield f"general.base_model.{i}.name", match["name"]
        yield f"general.base_model.{i}.organization", match["organization"]


def _text(card: Mapping[str, str | list[str]], key: str) -> str | None:
    value = card.get(key)
    return value if isinstance(value, str) and value else None


def _list(card: Mapping[str, str | list[str]], key: str) -> list[str]:
    value = card.get(key, [])
    return [value] if isinstance(value, str) else value


def _read(path: Path, max_bytes: int) -> str:
    """The text of a file that nothing depends on; "" where it can't be read."""
    if not path.is_file():
        return ""
    try:
        return read_whole(path, max_bytes).decode("utf-8", "replace")
    except CheckpointError:
        return ""
