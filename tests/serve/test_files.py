"""Files by the openai client: kept, listed, given back, each key's own; and what isn't taken."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from aboard.engine import Model
from aboard.serve.keeping.kept import Kept
from aboard.serve.keeping.quotas import Quotas
from aboard.serve.limits import Limits
from serve.running import Running, running
from waiting import until

DATA = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def shared(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for tests that leave nothing, or look at nothing else."""
    with (
        Kept(tmp_path_factory.mktemp("shared")) as kept,
        running(model, kept=kept) as server,
    ):
        yield server


def kept_names(server: Running) -> list[str]:
    return names_below(server.app.service.kept.folder)


def refused(call, **options) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**options)
    return caught.value


def names_below(folder: Path) -> list[str]:
    return sorted(path.name for part in ("blobs", "incoming") for path in (folder / part).iterdir())


def test_a_file_comes_back_as_it_was_sent(keeper: openai.OpenAI) -> None:
    sent = keeper.files.create(file=("a b.bin", DATA), purpose="user_data")

    assert (sent.object, sent.bytes, sent.filename) == ("file", len(DATA), "a b.bin")
    assert (sent.purpose, sent.status, sent.expires_at) == ("user_data", "processed", None)
    assert keeper.files.retrieve(sent.id) == sent
    assert keeper.files.content(sent.id).content == DATA


def test_a_file_that_is_deleted_is_gone_with_its_bytes(
    keeper: openai.OpenAI, kept: Kept, tmp_path: Path
) -> None:
    first, twin = (keeper.files.create(file=("x", DATA), purpose="user_data") for _ in range(2))
    assert len(names_below(tmp_path / "data")) == 1  # the same bytes are kept once

    assert keeper.files.delete(first.id).deleted is True

    assert refused(keeper.files.retrieve, file_id=first.id).status_code == 404
    assert refused(keeper.files.content, file_id=first.id).code == "file_not_found"
    assert refused(keeper.files.delete, file_id=first.id).status_code == 404
    assert keeper.files.content(twin.id).content == DATA
    keeper.files.delete(twin.id)
    assert names_below(tmp_path / "data") == []


def test_files_are_listed_by_pages_in_both_orders(keeper: openai.OpenAI) -> None:
    ids = [
        keeper.files.create(file=(f"{i}", b"x"), purpose="batch" if i == 3 else "user_data").id
        for i in range(5)
    ]

    page = keeper.files.list(limit=2)
    assert ([each.id for each in page.data], page.has_more) == (ids[:2:-1], True)
    assert [each.id for each in keeper.files.list(limit=2)] == ids[::-1]
    assert [each.id for each in keeper.files.list(limit=2, order="asc")] == ids
    assert [each.id for each in keeper.files.list(after=ids[1], order="asc")] == ids[2:]
    assert [each.id for each in keeper.files.list(purpose="batch")] == [ids[3]]
    assert list(keeper.files.list(purpose="vision")) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "file-none"}, "after"),
        ({"before": "x"}, "before"),
    ],
)
def test_a_list_that_cannot_be_given_names_why(
    shared: Running, query: dict[str, str], param: str
) -> None:
    with shared.http() as http:
        answer = http.get("/v1/files", params=query)

    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"purpose": "fine-tune"}, "invalid_value", "purpose"),
        ({"purpose": "batch_output"}, "invalid_value", "purpose"),
        ({"purpose": "user_data", "file": ("x", b"")}, "empty_file", "file"),
        (
            {"purpose": "user_data", "expires_after": {"anchor": "created_at", "seconds": 60}},
            "invalid_value",
            "expires_after.seconds",
        ),
        (
            {"purpose": "user_data", "expires_after": {"anchor": "now", "seconds": 3600}},
            "invalid_value",
            "expires_after.anchor",
        ),
        ({"purpose": "user_data", "extra_body": {"shared": "yes"}}, "unknown_parameter", "shared"),
        ({"purpose": "user_data", "file": ("x" * 256, b"x")}, "invalid_value", "file"),
    ],
)
def test_what_is_not_taken_is_refused_by_name_and_nothing_is_left(
    shared: Running, options: dict, code: str, param: str
) -> None:
    before = kept_names(shared)
    with shared.openai() as client:
        error = refused(client.files.create, **{"file": ("x", b"x")} | options)

    assert (error.status_code, error.code, error.param) == (400, code, param)
    assert kept_names(shared) == before


def form(*parts: tuple[str, bytes], end: bytes = b"--B--\r\n") -> bytes:
    return (
        b"".join(
            b"--B\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), data)
            for head, data in parts
        )
        + end
    )


FILE = ('name="file"; filename="f"', b"data")
PURPOSE = ('name="purpose"', b"user_data")


def encoded(encoding: str) -> bytes:
    """A form whose file is said to be encoded."""
    more = f'filename="f"\r\nContent-Transfer-Encoding: {encoding}\r\n'.encode()
    return form(FILE, PURPOSE).replace(b'filename="f"\r\n', more)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (form(FILE, PURPOSE), 200, None),
        (form(PURPOSE, FILE), 200, None),
        (form(FILE), 400, "missing_required_parameter"),
        (form(PURPOSE), 400, "missing_required_parameter"),
        (form(FILE, FILE, PURPOSE), 400, "invalid_form"),
        (form(('name="file"', b"data"), PURPOSE), 400, "invalid_value"),
        (form(FILE, PURPOSE, end=b""), 400, "invalid_form"),
        (form(FILE, ('name="purpose"', b"x" * 2000)), 400, "invalid_value"),
        (form(*((f'name="{i}"', b"x") for i in range(20)), FILE), 400, "invalid_form"),
        (b"no form", 400, "invalid_form"),
        (b"", 400, "invalid_form"),
        (form(FILE, PURPOSE)[:70], 400, "invalid_form"),
        (form(FILE, PURPOSE, PURPOSE), 400, "invalid_form"),
        (form(FILE, ('name="purpose"', b"\xff")), 400, "invalid_form"),
        (form(('name="file"; filename="a\0b"', b"data"), PURPOSE), 400, "invalid_value"),
        (form(('name="file"; filename="a\x1b[1m"', b"data"), PURPOSE), 400, "invalid_value"),
        (form(FILE, PURPOSE).replace(b'filename="f', b'filename="\xff'), 400, "invalid_form"),
        (encoded("base64"), 400, "invalid_form"),
        (encoded("Binary"), 200, None),
    ],
)
def test_a_form_is_whole_or_refused(
    shared: Running, body: bytes, status: int, code: str | None
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=B"}
    before = kept_names(shared)
    with shared.http() as http:
        answer = http.post("/v1/files", content=body, headers=headers)
        healthy = http.get("/health")
        after = kept_names(shared)
        if status == 200:
            http.delete(f"/v1/files/{answer.json()['id']}")

    assert answer.status_code == status
    assert answer.json().get("error", {}).get("code") == code
    assert healthy.status_code == 200
    assert len(after) == len(before) + (status == 200)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "multipart/form-data", "multipart/form-data; boundary=" + "B" * 999],
)
def test_what_is_no_form_by_its_headers_is_refused(shared: Running, kind: str) -> None:
    with shared.http() as http:
        answer = http.post("/v1/files", content=b"{}", headers={"content-type": kind})

    assert answer.status_code == (415 if "json" in kind else 400)


@pytest.mark.parametrize("n", [1, 7, 65])
def test_a_form_may_come_in_pieces_of_any_size(shared: Running, n: int) -> None:
    body = form(('name="file"; filename="f"', b"\r\n--B-\r\n--\r\n" * 20), PURPOSE)
    headers = {"content-type": "multipart/form-data; boundary=B"}
    pieces = iter([body[i : i + n] for i in range(0, len(body), n)])
    with shared.http() as http:
        sent = http.post("/v1/files", content=pieces, headers=headers).json()
        got = http.get(f"/v1/files/{sent['id']}/content").content
        http.delete(f"/v1/files/{sent['id']}")

    assert got == b"\r\n--B-\r\n--\r\n" * 20


def test_a_file_that_does_not_come_is_not_waited_for(model: Model, tmp_path: Path) -> None:
    with (
        Kept(tmp_path / "data") as kept,
        running(model, kept=kept, limits=Limits(body_timeout_s=0.05)) as server,
        socket.create_connection(server.address) as connection,
    ):
        connection.sendall(
            b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + form(FILE, end=b"")
        )
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert names_below(tmp_path / "data") == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large_is_refused_while_it_comes(
    model: Model, tmp_path: Path, announced: bool
) -> None:
    body = form(('name="file"; filename="f"', b"x" * 300_000), PURPOSE)
    content = body if announced else iter([body[:200_000], body[200_000:]])
    headers = {"content-type": "multipart/form-data; boundary=B"}
    with (
        Kept(tmp_path / "data", Quotas(max_file_bytes=150_000)) as kept,
        running(model, kept=kept) as server,
        server.http() as http,
    ):
        answer = http.post("/v1/files", content=content, headers=headers)

        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "file_too_large")
        assert names_below(tmp_path / "data") == []


def test_quotas_bound_what_is_kept_and_deleting_makes_room(model: Model, tmp_path: Path) -> None:
    quotas = Quotas(max_bytes=1000, max_files=3)
    with (
        Kept(tmp_path / "data", quotas) as kept,
        running(model, kept=kept) as server,
        server.openai() as client,
    ):
        first = client.files.create(file=("a", b"x" * 600), purpose="user_data")
        error = refused(client.files.create, file=("b", b"y" * 600), purpose="user_data")
        assert (error.status_code, error.code) == (507, "storage_full")
        client.files.delete(first.id)
        for _ in range(3):
            client.files.create(file=("b", b"y" * 300), purpose="user_data")
        error = refused(client.files.create, file=("b", b"y"), purpose="user_data")
        assert (error.status_code, error.code) == (507, "storage_full")
        assert len(list(client.files.list())) == 3


def test_uploads_at_once_are_bounded_and_one_that_is_cut_off_leaves_nothing(
    model: Model, tmp_path: Path
) -> None:
    with (
        Kept(tmp_path / "data", Quotas(max_uploads=1)) as kept,
        running(model, kept=kept) as server,
        server.openai() as client,
    ):
        with socket.create_connection(server.address) as connection:
            connection.sendall(
                b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
                b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + form(FILE, end=b"")
            )
            until(lambda: names_below(tmp_path / "data"))
            error = refused(client.files.create, file=("b", b"y"), purpose="user_data")
            assert (error.status_code, error.code) == (429, "queue_full")
        until(lambda: not names_below(tmp_path / "data"))
        assert client.files.create(file=("b", b"y"), purpose="user_data").bytes == 1


def test_each_key_sees_its_own_files_alone(model: Model, kept: Kept) -> None:
    keys = ["a" * 16, "b" * 16]
    with running(model, kept=kept, keys=keys) as server:
        mine, other = (server.openai(api_key=key) for key in keys)
        with mine, other:
            file = mine.files.create(file=("x", b"x"), purpose="user_data")

            assert [each.id for each in mine.files.list()] == [file.id]
            assert list(other.files.list()) == []
            for call in (other.files.retrieve, other.files.content, other.files.delete):
                assert refused(call, file_id=file.id).status_code == 404
    with running(model, kept=kept, keys=keys[::-1]) as server, server.openai(api_key=keys[0]) as c:
        assert [each.id for each in c.files.list()] == [file.id]  # wherever the key stands
    told = b"".join(path.read_bytes() for path in kept.blobs.path("x").parents[1].glob("kept*"))
    assert keys[0].encode() not in told


def test_nothing_is_kept_where_no_folder_was_given(client: openai.OpenAI, server: Running) -> None:
    error = refused(client.files.create, file=("x", b"x"), purpose="batch")
    assert (error.status_code, error.code) == (404, "nothing_is_kept")
    assert "--data" in error.message
    with server.http() as http:
        for method, path in [
            ("GET", "/v1/files"),
            ("GET", "/v1/files/file-1"),
            ("GET", "/v1/files/file-1/content"),
            ("DELETE", "/v1/files/file-1"),
            ("GET", "/v1/batches"),
            ("POST", "/v1/batches/batch_1/cancel"),
        ]:
            assert http.request(method, path).json()["error"]["code"] == "nothing_is_kept"


def test_a_full_disk_is_told_and_leaves_nothing(
    keeper: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = refused(keeper.files.create, file=("x", DATA), purpose="user_data")
    assert (error.status_code, error.code) == (507, "storage_full")
    assert error.response.headers["x-should-retry"] == "false"
    assert names_below(tmp_path / "data") == []
    assert list(keeper.files.list()) == []
    monkeypatch.undo()

    assert keeper.files.create(file=("x", DATA), purpose="user_data").bytes == len(DATA)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"ab")])
def test_bytes_that_were_lost_are_told_as_that(
    keeper: openai.OpenAI, kept: Kept, harm: Callable[[Path], object]
) -> None:
    file = keeper.files.create(file=("x", b"abc"), purpose="user_data")
    for path in kept.blobs.path("x").parent.iterdir():
        harm(path)

    error = refused(keeper.files.content, file_id=file.id)

    assert (error.status_code, error.code) == (500, "file_damaged")


def test_a_file_deleted_while_it_is_asked_for_is_not_found(
    keeper: openai.OpenAI, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = keeper.files.create(file=("x", b"abc"), purpose="user_data")
    path_of = kept.blobs.path

    def deleted_first(name: str) -> Path:
        monkeypatch.undo()
        kept.files.delete("", file.id)
        return path_of(name)

    monkeypatch.setattr(kept.blobs, "path", deleted_first)
    error = refused(keeper.files.content, file_id=file.id)

    assert (error.status_code, error.code) == (404, "file_not_found")


def test_a_large_file_never_is_in_memory(shared: Running) -> None:
    """What Python's own allocator holds at most while 64 MiB go in and out."""
    import tracemalloc

    part = os.urandom(1 << 20)
    head, end = form(FILE, end=b"")[:-6], b"\r\n" + form(PURPOSE)
    headers = {"content-type": "multipart/form-data; boundary=B"}
    with shared.http() as http:
        http.post("/v1/files", content=iter([head, end]), headers=headers)
        tracemalloc.start()
        sent = http.post("/v1/files", content=iter([head, *[part] * 64, end]), headers=headers)
        with http.stream("GET", f"/v1/files/{sent.json()['id']}/content") as answer:
            n_bytes = sum(len(each) for each in answer.iter_raw())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert n_bytes == sent.json()["bytes"] == 64 << 20
    assert json.loads(sent.content)["purpose"] == "user_data"
    assert peak < 16 << 20
