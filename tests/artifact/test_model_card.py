"""What a README.md and a LICENSE tell about a model."""

from pathlib import Path

import pytest

from aboard.artifact.model_card import card_entries, read_card

CARD = """---
license: llama3.2
license_name: "Llama 3.2 #1"
license_link: 'LICENSE: here'   # a comment
model_name: Tiny  # a comment
language:
- en
  - de
tags: [text-generation, "chat", ]
base_model:
  - meta/Llama-3.2-1B
  - no repository
  - other/Base_2
nested:
  license: gpl-3.0
widget:
  - text: "hello"
block: |
  license: mit
---
license: mit
"""


def card(folder: Path, text: str | bytes) -> Path:
    content = text.encode() if isinstance(text, str) else text
    (folder / "README.md").write_bytes(content)
    return folder


def test_what_a_card_tells_becomes_entries(tmp_path: Path) -> None:
    assert card_entries(card(tmp_path, CARD)) == {
        "general.name": "Tiny",
        "general.license": "llama3.2",
        "general.license.name": "Llama 3.2 #1",
        "general.license.link": "LICENSE: here",
        "general.tags": ["text-generation", "chat"],
        "general.languages": ["en", "de"],
        "general.base_model.count": 2,
        "general.base_model.0.name": "Llama-3.2-1B",
        "general.base_model.0.organization": "meta",
        "general.base_model.1.name": "Base_2",
        "general.base_model.1.organization": "other",
    }


@pytest.mark.parametrize(
    ("text", "license_id"),
    [
        ("---\nlicense: apache-2.0\n---\n", "Apache-2.0"),
        ("---\r\nlicense: MIT\r\n---\r\n", "MIT"),
        ("\ufeff---\nlicense: 'cc-by-nc-4.0'\n---\n", "CC-BY-NC-4.0"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "MIT AND Apache-2.0"),
        ("---\nlicense: gemma\n---\n", "gemma"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense:\n---\n", None),
        ("---\nlicense: mit\n", None),
        ("license: mit\n---\n", None),
        ("# Model\n---\nlicense: mit\n---\n", None),
        ("---\n license: mit\n---\n", None),
        ("---\nlicense: {a: b}\n---\n", None),
        ("---\nlicense: !!python/object:os.system mit\n---\n", None),
        ("---\nlicense: *anchor\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_is_an_spdx_identifier_where_there_is_one(
    tmp_path: Path, text: str, license_id: str | None
) -> None:
    assert card_entries(card(tmp_path, text)).get("general.license") == license_id


@pytest.mark.parametrize(
    ("name", "text", "license_id"),
    [
        ("LICENSE", "Apache-2.0\n", "Apache-2.0"),
        ("LICENSE.txt", "apache-2.0", "Apache-2.0"),
        ("LICENSE.md", "SPDX-License-Identifier: MIT OR Apache-2.0\n\nfull text", None),
        ("LICENSE", "SPDX-License-Identifier: GPL-3.0-only WITH GCC-exception-3.1", None),
        ("LICENSE", "SPDX-License-Identifier: MIT\nMore text.", "MIT"),
        ("LICENSE", "Permission is hereby granted, free of charge", None),
        ("LICENSE", "Proprietary", None),
        ("LICENSE", "SPDX-License-Identifier: LicenseRef-Ours", "LicenseRef-Ours"),
        ("LICENSE", "", None),
    ],
)
def test_a_licence_file_that_is_an_identifier_tells_the_licence(
    tmp_path: Path, name: str, text: str, license_id: str | None
) -> None:
    (tmp_path / name).write_text(text)

    found = card_entries(tmp_path).get("general.license")

    expected = license_id
    if " OR " in text or " WITH " in text:
        expected = text.partition("\n")[0].removeprefix("SPDX-License-Identifier: ")
    assert found == expected


def test_the_card_comes_before_the_licence_file(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("GPL-3.0")

    entries = card_entries(card(tmp_path, "---\nlicense: mit\n---\n"))

    assert entries["general.license"] == "MIT"


@pytest.mark.parametrize(
    "content",
    [
        b"---\n\xff\xfe: \x00\n---\n",
        b"---\n" + b"a" * 100_000 + b": b\n---",
        b"---\n- a\n- b\n---\n",
    ],
)
def test_a_card_that_makes_no_sense_tells_nothing_and_stops_nothing(
    tmp_path: Path, content: bytes
) -> None:
    assert "general.license" not in card_entries(card(tmp_path, content))


def test_long_lists_and_values_are_cut(tmp_path: Path) -> None:
    text = "---\ntags:\n" + "- t\n" * 5000 + f"license_name: {'x' * 5000}\n---\n"

    found = read_card(card(tmp_path, text) / "README.md")

    assert len(found["tags"]) == 200
    assert len(found["license_name"]) == 1000
