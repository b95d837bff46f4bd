"""`resolve`: a path or a pulled name; never a download, never a guess."""

import os
from pathlib import Path

import pytest

from aboard.errors import StoreError
from aboard.store import CATALOGUE, Store, default_store, pull, resolve
from store.tiny import MODEL


def test_a_pulled_name_gives_its_file(store: Store, wheel: Path) -> None:
    path = pull("tiny", source=wheel, store=store)

    assert resolve("tiny", store) == path


def test_a_path_gives_itself(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")

    assert resolve(str(path), store) == path


def test_a_name_not_pulled_yet_says_how_to_pull_it(store: Store) -> None:
    with pytest.raises(StoreError, match="tiny was not pulled yet") as caught:
        resolve("tiny", store)

    assert caught.value.hint == "Run `aboard pull tiny`."


@pytest.mark.parametrize("content", [MODEL[:-1], MODEL[:-1] + b"!"], ids=["short", "changed"])
def test_a_file_altered_since_the_pull_is_refused(
    store: Store, wheel: Path, content: bytes
) -> None:
    path = pull("tiny", source=wheel, store=store)
    path.write_bytes(content)
    os.utime(path, (0, 0))

    with pytest.raises(StoreError, match="is not the file that was pulled"):
        resolve("tiny", store)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_broken_record_only_costs_a_hash(store: Store, wheel: Path, record: bytes) -> None:
    path = pull("tiny", source=wheel, store=store)
    (store.folder / "tiny.gguf.json").write_bytes(record)

    assert resolve("tiny", store) == path


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        ("tny", "tny: no such file, and no model of the catalogue", "Did you mean tiny?"),
        ("quite-else", "no model of the catalogue", "or one of: tiny."),
        ("gone.gguf", "gone.gguf: no such file$", "or one of: tiny."),
        (".", r"\.: a folder, expected a GGUF file", "or one of: tiny."),
    ],
)
def test_what_is_neither_says_what_to_do(store: Store, model: str, message: str, hint: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        resolve(model, store)

    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"ABOARD_HOME": "/a", "XDG_DATA_HOME": "/x"}, "/a/models"),
        ({"XDG_DATA_HOME": "/x"}, "/x/aboard/models"),
        ({"XDG_DATA_HOME": "relative"}, "/h/.local/share/aboard/models"),
        ({}, "/h/.local/share/aboard/models"),
    ],
)
def test_the_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("ABOARD_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/h"} | variables).items():
        monkeypatch.setenv(name, value)

    assert default_store().folder == Path(folder)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_row_of_the_catalogue_is_complete(entry) -> None:
    assert CATALOGUE[entry.name] is entry
    assert len(bytes.fromhex(entry.sha256)) == len(bytes.fromhex(entry.wheel_sha256)) == 32
    assert entry.wheel.startswith(f"{entry.package.replace('-', '_')}-{entry.version}-")
    assert entry.license
    assert entry.wheel_size_bytes > 0
    assert 0 < entry.n_parameters < 8 * entry.size_bytes
