"""Batches by the openai client: checked as a whole, answered as live requests are, to the end."""

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from aboard.engine import Model
from aboard.serve.keeping.kept import Kept
from aboard.serve.keeping.quotas import Quotas
from aboard.serve.limits import Limits
from serve.batch_asking import CHAT, begun, chat, ended, line, results, strict, written
from serve.running import Running, running

TEXTS = ["Name a colour.", "Tell of the sea.", "Ünïcode \u2028 line", "1, 2, 3"]


@pytest.fixture(scope="module")
def shared(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        Kept(tmp_path_factory.mktemp("shared"), Quotas(max_lines=5)) as kept,
        running(model, kept=kept, aliases=("gpt-4o-mini",)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def client(shared: Running) -> Iterator[openai.OpenAI]:
    with shared.openai() as client:
        yield client


def refused(call, **options) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**options)
    return caught.value


def test_lines_are_answered_as_live_requests_are(client: openai.OpenAI) -> None:
    bodies = [chat(text, logprobs=True, top_logprobs=2) for text in TEXTS]
    lines = [line(f"line {i}", body) for i, body in enumerate(bodies)]

    batch = ended(client, begun(client, lines, metadata={"for": "a test"}).id)

    assert (batch.object, batch.status, batch.endpoint) == ("batch", "completed", CHAT)
    assert (batch.model, batch.metadata, batch.completion_window) == (
        "tiny",
        {"for": "a test"},
        "24h",
    )
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (4, 4, 0)
    assert batch.expires_at == batch.created_at + 24 * 3600
    times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert times == sorted(times)
    assert (batch.errors, batch.error_file_id, batch.cancelled_at) == (None, None, None)
    output = client.files.retrieve(batch.output_file_id)
    assert (output.purpose, output.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    text = client.files.content(batch.output_file_id).text
    assert len(text.splitlines()) == 4  # by whatever ends a line
    told = results(client, batch.output_file_id)
    assert [each["custom_id"] for each in told] == [f"line {i}" for i in range(4)]
    assert len({each["id"] for each in told}) == 4
    for each, body in zip(told, bodies, strict=True):
        live = client.chat.completions.create(**body).model_dump(exclude_unset=True)
        answer = each["response"]["body"]
        for usage in (live["usage"], answer["usage"]):
            del usage["prompt_tokens_details"]  # what was cached differs
        assert strict(answer) == strict(live)
        assert (each["error"], each["response"]["status_code"]) == (None, 200)
        assert each["response"]["request_id"].startswith("req_")


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"model": "gpt-4o-mini", "prompt": "a", "max_tokens": 3, "seed": 5}),
        (CHAT, chat("x", seed=5, temperature=1.0, n=2)),
    ],
)
def test_every_route_that_asks_a_model_can_be_asked(
    client: openai.OpenAI, shared: Running, endpoint: str, body: dict
) -> None:
    batch = ended(client, begun(client, [line("a", body, endpoint)], endpoint).id)
    with shared.http() as http:
        live = http.post(endpoint, json=body).json()

    (told,) = results(client, batch.output_file_id)
    got = told["response"]["body"]
    assert strict(got)["choices"] == strict(live)["choices"]
    assert got.keys() == live.keys()


@pytest.mark.parametrize(
    ("endpoint", "body", "said"),
    [
        ("/v1/responses", {"input": "x", "max_output_tokens": 5}, "output"),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
            "content",
        ),
    ],
)
def test_other_protocols_can_be_asked_too(
    client: openai.OpenAI, shared: Running, endpoint: str, body: dict, said: str
) -> None:
    body = body | {"model": "gpt-4o-mini", "seed": 5, "temperature": 1}
    mistaken = body | {"foo": 1}
    lines = [line("a", body, endpoint), line("b", mistaken, endpoint)]

    batch = ended(client, begun(client, lines, endpoint).id)
    with shared.http() as http:
        live = http.post(endpoint, json=body).json()
        wrong = http.post(endpoint, json=mistaken).json()

    (told,) = results(client, batch.output_file_id)
    (refused,) = results(client, batch.error_file_id)
    answered = [without_id(each) for each in told["response"]["body"][said]]
    assert answered == [without_id(each) for each in live[said]]
    assert refused["response"]["body"]["error"] == wrong["error"]


def without_id(item: dict) -> dict:
    return {name: value for name, value in item.items() if name != "id"}


def test_without_a_seed_lines_have_one_of_their_own_that_stays(client: openai.OpenAI) -> None:
    import hashlib

    body = chat("x", temperature=1.5, max_tokens=20)
    batch = ended(client, begun(client, [line("a", body), line("b", body)]).id)

    answers = [
        each["response"]["body"]["choices"][0]["message"]["content"]
        for each in results(client, batch.output_file_id)
    ]
    assert answers[0] != answers[1]
    for number, answer in enumerate(answers, start=1):
        digest = hashlib.sha256(f"{batch.id}:{number}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") % 2**63
        live = client.chat.completions.create(**body, seed=seed)
        assert live.choices[0].message.content == answer


def test_lines_that_fail_are_in_a_file_of_their_own(client: openai.OpenAI) -> None:
    lines = [
        line("good", chat("x")),
        line("odd", chat("x", temperature=9)),
        line("long", chat("x" * 600)),
        line("streamed", chat("x", stream=True)),
        line("tools", chat("x", reasoning_effort="high")),
    ]

    batch = ended(client, begun(client, lines).id)

    counts = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 5, 1, 4)
    assert [each["custom_id"] for each in results(client, batch.output_file_id)] == ["good"]
    told = results(client, batch.error_file_id)
    assert [
        (
            each["custom_id"],
            each["response"]["status_code"],
            each["response"]["body"]["error"]["code"],
            each["response"]["body"]["error"]["param"],
        )
        for each in told
    ] == [
        ("odd", 400, "invalid_value", "temperature"),
        ("long", 400, "context_length_exceeded", "messages"),
        ("streamed", 400, "invalid_value", "stream"),
        ("tools", 400, "unsupported_parameter", "reasoning_effort"),
    ]


GOOD = line("a", chat("x"))


def test_a_byte_order_mark_and_ends_of_lines_of_any_kind_are_taken(client: openai.OpenAI) -> None:
    data = b"\xef\xbb\xbf" + written([GOOD, b"\r", line("b", chat("y"))])[:-1]

    file = client.files.create(file=("f", data.replace(b"}\n", b"}\r\n")), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")

    assert ended(client, batch.id).request_counts.completed == 2


def test_a_line_is_no_longer_for_its_letters(model: Model, kept: Kept) -> None:
    """What a live request may say, a line may: 1,000 letters of two bytes fit into 2,400 bytes."""
    body = chat("\u00e9" * 1000, max_tokens=1)
    text = json.dumps(line("a", body), ensure_ascii=False).encode()
    with (
        running(model, kept=kept, limits=Limits(max_body_bytes=2400)) as server,
        server.openai() as client,
    ):
        batch = ended(client, begun(client, [text]).id)
        told = results(client, batch.error_file_id)

    assert told[0]["response"]["body"]["error"]["code"] == "context_length_exceeded"


def test_lines_that_are_not_those_that_were_sent_are_not_answered(
    keeper: openai.OpenAI, kept: Kept
) -> None:
    lines = written([GOOD, line("b", chat("y"))])
    file = keeper.files.create(file=("f", lines), purpose="batch")
    kept.blobs.path(kept.files.get("", file.id).blob).write_bytes(written([GOOD]))

    batch = keeper.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    batch = ended(keeper, batch.id)

    assert batch.status == "failed"
    assert [(each.code, each.line) for each in batch.errors.data] == [("file_damaged", None)]


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        ([GOOD, b"{no json"], [("invalid_json_line", 2, None)]),
        ([b"", GOOD, b"", b"[]"], [("invalid_value", 4, None)]),
        ([GOOD, GOOD], [("duplicate_custom_id", 2, "custom_id")]),
        ([GOOD | {"custom_id": ""}], [("invalid_value", 1, "custom_id")]),
        ([GOOD | {"method": "GET"}], [("invalid_value", 1, "method")]),
        ([GOOD | {"url": "/v1/completions"}], [("url_mismatch", 1, "url")]),
        ([GOOD | {"more": 1}], [("unknown_parameter", 1, "more")]),
        ([GOOD | {"body": {}}], [("missing_required_parameter", 1, "body.model")]),
        ([line("a", chat("x", model="none"))], [("model_not_found", 1, "model")]),
        ([{"custom_id": "a"}], [("missing_required_parameter", 1, "method")]),
        (
            [line("a", {}), GOOD | {"method": "PUT"}],
            [
                ("missing_required_parameter", 1, "body.model"),
                ("invalid_value", 2, "method"),
            ],
        ),
        ([line(f"{i}", chat("x")) for i in range(6)], [("too_many_tasks", None, None)]),
        ([b"", b"  "], [("empty_file", None, None)]),
    ],
)
def test_lines_that_are_not_sound_fail_the_batch_before_any_is_answered(
    client: openai.OpenAI, lines: list, errors: list
) -> None:
    batch = ended(client, begun(client, lines).id)

    assert (batch.status, batch.output_file_id, batch.in_progress_at) == ("failed", None, None)
    assert batch.failed_at >= batch.created_at
    assert [(each.code, each.line, each.param) for each in batch.errors.data] == errors
    assert all(each.message for each in batch.errors.data)


def test_a_batch_asks_one_model_under_whatever_name(
    client: openai.OpenAI, model: Model, tmp_path: Path
) -> None:
    from aboard.serve.served import served

    same = [line("a", chat("x")), line("b", chat("x", model="gpt-4o-mini"))]
    assert ended(client, begun(client, same).id).status == "completed"
    with (
        Kept(tmp_path / "data") as kept,
        running(model, kept=kept, more=[served(model, "other")]) as server,
        server.openai() as own,
    ):
        batch = ended(own, begun(own, [GOOD, line("b", chat("x", model="other"))]).id)

    assert [(each.code, each.line) for each in batch.errors.data] == [("model_mismatch", 2)]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"endpoint": "/tokenize"}, "endpoint"),
        ({"endpoint": "/v1/batches"}, "endpoint"),
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, None),
        ({"metadata": {str(i): "v" for i in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, None),
        ({"input_file_id": "file-none"}, "input_file_id"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_by_name(
    client: openai.OpenAI, options: dict, param: str | None
) -> None:
    file = client.files.create(file=("f", written([GOOD])), purpose="batch")
    asked = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"} | options

    error = refused(client.batches.create, **asked)

    assert error.status_code in (400, 404)
    assert param is None or error.param == param


def test_only_files_for_batches_are_taken(client: openai.OpenAI) -> None:
    file = client.files.create(file=("f", written([GOOD])), purpose="user_data")

    error = refused(
        client.batches.create, input_file_id=file.id, endpoint=CHAT, completion_window="24h"
    )

    assert (error.status_code, error.param) == (400, "input_file_id")


def test_batches_are_listed_newest_first_by_pages(keeper: openai.OpenAI) -> None:
    ids = [begun(keeper, [GOOD]).id for _ in range(3)]

    page = keeper.batches.list(limit=2)

    assert ([each.id for each in page.data], page.has_more) == (ids[:0:-1], True)
    assert [each.id for each in keeper.batches.list(limit=1)] == ids[::-1]
    assert refused(keeper.batches.retrieve, batch_id="batch_none").status_code == 404


def test_what_batches_did_is_measured(client: openai.OpenAI, shared: Running) -> None:
    ended(client, begun(client, [GOOD]).id)

    with shared.http() as http:
        text = http.get("/metrics").text

    assert (
        'aboard_batch_lines_total{error_code="",http_response_status_code="200",'
        f'http_route="{CHAT}"}}' in text
    )
