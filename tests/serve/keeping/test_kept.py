"""A folder that is kept: one server's, of a known version, sound whatever ended the last server."""

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aboard.errors import Overloaded, StorageFull, UsageError
from aboard.serve.keeping.disk import RESERVE_BYTES
from aboard.serve.keeping.files import KeptFile, NewFile
from aboard.serve.keeping.kept import Kept
from aboard.serve.keeping.quotas import Quotas


def created(kept: Kept, data: bytes = b"x", **facts: object) -> KeptFile:
    new = NewFile(**{"owner": "me", "purpose": "batch", "filename": "f"} | facts)
    with kept.files.receive() as incoming:
        incoming.write(data)
        return kept.files.create(new, incoming)


def begun(kept: Kept, file: KeptFile) -> str:
    return kept.batches.create(file, endpoint="/u", metadata=None, keep_output_s=None).id


def test_a_server_killed_at_any_step_leaves_a_folder_that_the_next_goes_on_with(
    tmp_path: Path,
) -> None:
    program = Path(__file__).with_name("store_steps.py")

    done = subprocess.run(
        [sys.executable, program, tmp_path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["n_kills"] > 60  # each file that is opened, named or removed, each statement
    assert told["told"] == 8  # the last one came to its end


def test_two_servers_cannot_have_one_folder(tmp_path: Path) -> None:
    with Kept(tmp_path / "data"), pytest.raises(UsageError, match="another server"):
        Kept(tmp_path / "data")

    Kept(tmp_path / "data").close()


def test_what_was_kept_is_there_the_next_time(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        file = created(kept, b"abc")
        batch = begun(kept, file)

    with Kept(tmp_path) as kept:
        assert kept.files.get("me", file.id) == file
        assert kept.files.get("you", file.id) is None
        assert kept.blobs.path(file.blob).read_bytes() == b"abc"
        assert [each.id for each in kept.batches.under_way()] == [batch]
        assert kept.batches.get("you", batch) is None


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version = 2", "version 2"),
        ("PRAGMA application_id = 7", "another program"),
    ],
)
def test_a_database_that_is_not_understood_is_refused(
    tmp_path: Path, statement: str, message: str
) -> None:
    Kept(tmp_path).close()
    with sqlite3.connect(tmp_path / "kept.sqlite") as connection:
        connection.execute(statement)
    connection.close()

    with pytest.raises(UsageError, match=message):
        Kept(tmp_path)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="can't be used"):
        Kept(tmp_path / "file")

    Kept(tmp_path / "data").close()
    (tmp_path / "data" / "kept.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="can't be opened"):
        Kept(tmp_path / "data")


def test_bytes_that_nobody_names_are_swept_at_the_start(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        file = created(kept)
    (tmp_path / "blobs" / ("0" * 64)).write_bytes(b"orphan")
    (tmp_path / "incoming" / "cut.part").write_bytes(b"cut short")

    with Kept(tmp_path) as kept:
        assert [path.name for path in (tmp_path / "blobs").iterdir()] == [file.blob]
        assert list((tmp_path / "incoming").iterdir()) == []


def test_what_is_somebody_elses_is_never_removed(tmp_path: Path) -> None:
    theirs = tmp_path / "blobs" / ("0" * 64)
    theirs.parent.mkdir()
    theirs.write_bytes(b"of another program")
    with pytest.raises(UsageError, match=r"kept\.sqlite"):
        Kept(tmp_path)
    assert theirs.read_bytes() == b"of another program"

    with Kept(tmp_path / "own") as kept:
        created(kept)
    (tmp_path / "own" / "blobs" / "notes").mkdir()
    (tmp_path / "own" / "incoming" / "letter.txt").write_bytes(b"x")
    Kept(tmp_path / "own").close()
    assert (tmp_path / "own" / "blobs" / "notes").is_dir()
    assert (tmp_path / "own" / "incoming" / "letter.txt").exists()


@pytest.mark.parametrize("left", [None, b""])
def test_a_database_that_was_lost_does_not_take_the_files_with_it(
    tmp_path: Path, left: bytes | None
) -> None:
    with Kept(tmp_path) as kept:
        file = created(kept, b"abc")
    database = (tmp_path / "kept.sqlite").read_bytes()
    (tmp_path / "kept.sqlite").unlink()
    if left is not None:
        (tmp_path / "kept.sqlite").write_bytes(left)

    with pytest.raises(UsageError, match="tells of no files"):
        Kept(tmp_path)

    (tmp_path / "kept.sqlite").write_bytes(database)
    with Kept(tmp_path) as kept:
        assert kept.blobs.path(kept.files.get("me", file.id).blob).read_bytes() == b"abc"


def test_a_database_with_a_damaged_page_is_refused_before_anything_is_removed(
    tmp_path: Path,
) -> None:
    with Kept(tmp_path) as kept:
        files = [created(kept, b"%d" % i) for i in range(100)]
    data = bytearray((tmp_path / "kept.sqlite").read_bytes())
    at = data.find(files[0].blob.encode())  # in the table or in its index
    data[at : at + 64] = b"f" * 64
    (tmp_path / "kept.sqlite").write_bytes(data)

    with pytest.raises(UsageError, match="can't be opened"):
        Kept(tmp_path)

    assert len(list((tmp_path / "blobs").iterdir())) == 100


def test_of_batches_that_ended_the_last_are_remembered_of_each_owner(tmp_path: Path) -> None:
    with Kept(tmp_path, Quotas(max_ended=2)) as kept:
        files = {owner: created(kept, owner=owner) for owner in ("me", "you")}
        theirs = begun(kept, files["you"])
        kept.batches.fail(theirs, [])
        lasting = begun(kept, files["me"])
        ended = [begun(kept, files["me"]) for _ in range(4)]
        for each in ended:
            kept.batches.fail(each, [])

        newest = begun(kept, files["me"])

        mine = [each.id for each in kept.batches.page("me", after=None, limit=100)]
        assert mine == [newest, ended[3], ended[2], lasting]
        assert kept.batches.get("you", theirs) is not None


def test_files_expire_by_the_clock(tmp_path: Path) -> None:
    now = [1000.0]
    with Kept(tmp_path, clock=lambda: now[0]) as kept:
        file = created(kept, b"short-lived", keep_s=3600)
        lasting = created(kept, b"lasting")

        now[0] += 3599
        assert kept.files.get("me", file.id) == file
        now[0] += 1
        assert kept.files.get("me", file.id) is None
        assert kept.files.delete("me", file.id) is False
        assert kept.blobs.path(file.blob).exists()
        assert kept.files.purge() == 1
        assert not kept.blobs.path(file.blob).exists()
        assert kept.files.get("me", lasting.id) == lasting


def test_what_is_being_received_counts_and_no_longer_once_it_is_closed(tmp_path: Path) -> None:
    with Kept(tmp_path, Quotas(max_bytes=100, max_uploads=2)) as kept:
        first, second = kept.files.receive(), kept.files.receive()
        first.write(b"x" * 60)
        second.write(b"x" * 60)

        with pytest.raises(StorageFull, match="100"):
            kept.files.require_room()
        with pytest.raises(Overloaded):
            kept.files.receive()
        first.close()
        kept.files.require_room()
        second.close()
        assert list((tmp_path / "incoming").iterdir()) == []


def test_batches_under_way_are_bounded(tmp_path: Path) -> None:
    with Kept(tmp_path, Quotas(max_batches=2)) as kept:
        file = created(kept)
        batch = begun(kept, file)
        begun(kept, file)

        with pytest.raises(Overloaded):
            begun(kept, file)
        kept.batches.fail(batch, [])
        begun(kept, file)


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        file = created(kept)

        def half_done() -> None:
            with kept.database.transaction() as connection:
                connection.execute("DELETE FROM files")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            half_done()

        assert kept.files.get("me", file.id) == file


def test_a_database_that_may_not_grow_is_told_as_a_full_disk(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        file = created(kept)
        with kept.database.transaction() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(StorageFull):
            [begun(kept, file) for _ in range(1000)]

        assert kept.files.get("me", file.id) == file


def test_a_disk_that_is_full_has_room_to_delete_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = tmp_path / "reserve"
    with Kept(tmp_path) as kept:
        file = created(kept)
        assert reserve.stat().st_size == RESERVE_BYTES
        begin = kept.database.transaction

        def full_beside_the_reserve():
            if reserve.exists():
                raise StorageFull("full")
            return begin()

        monkeypatch.setattr(kept.database, "transaction", full_beside_the_reserve)
        assert kept.files.delete("me", file.id)

        assert kept.files.get("me", file.id) is None
        assert not kept.blobs.path(file.blob).exists()
        assert reserve.stat().st_size == RESERVE_BYTES


def test_threads_that_keep_and_delete_the_same_bytes_lose_none(tmp_path: Path) -> None:
    with Kept(tmp_path, Quotas(max_uploads=99)) as kept:

        def work() -> None:
            for _ in range(10):
                file = created(kept, b"the same")
                assert kept.blobs.path(file.blob).read_bytes() == b"the same"
                kept.files.delete("me", file.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = created(kept, b"the same")
        assert kept.blobs.path(last.blob).read_bytes() == b"the same"
