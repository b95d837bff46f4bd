"""The served description is whole, asks for nothing elsewhere, and says what the server does."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from aboard.artifact.importing import import_checkpoint
from aboard.engine import Model, load
from aboard.serve.keeping.kept import Kept
from aboard.serve.served import served
from serve.batch_asking import begun, chat, ended, line
from serve.running import Running, running
from tiny_encoders import TinyBert, bert_folder


@pytest.fixture(scope="module")
def server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    import_checkpoint(bert_folder(folder / "bert", TinyBert()), folder / "bert.gguf")
    encoder = served(load(folder / "bert.gguf", threads=1))
    with (
        Kept(folder / "data") as kept,
        running(model, kept=kept, more=[encoder]) as server,
        server.openai() as client,
    ):
        begun(client, [line("a", chat("x")), line("b", chat("x", temperature=9))])
        begun(client, [b"no json"])
        yield server


@pytest.fixture(scope="module")
def document(server: Running) -> dict[str, Any]:
    with server.http() as http:
        return http.get("/openapi.json").json()


def test_every_route_is_described(server: Running, document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    }

    assert described == {
        (each.method, each.path.replace(":path", "")) for each in server.app.endpoints
    }
    operations = [
        each["operationId"] for path in document["paths"].values() for each in path.values()
    ]
    assert len(set(operations)) == len(operations) == 30


def test_a_key_is_described_where_one_is_needed(model: Model, document: dict[str, Any]) -> None:
    key = {"authorization": "Bearer " + "k" * 16}
    with running(model, keys=["k" * 16]) as server, server.http(headers=key) as http:
        locked = http.get("/openapi.json").json()

    assert document["security"] == []
    assert "securitySchemes" not in document["components"]
    assert locked["security"] == [{"key": []}, {"x_api_key": []}]
    assert locked["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert locked["paths"]["/health"]["get"]["security"] == []


def test_every_reference_leads_within_the_document(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    references = set(re.findall(r'"\$ref": "([^"]*)"', text))

    assert references
    for each in references:
        place = document
        for part in each.removeprefix("#/").split("/"):
            place = place[part]
    assert "http://" not in text
    assert "https://" not in text


def test_requests_refuse_what_is_not_named(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    open_ones = [
        name
        for name, each in schemas.items()
        if each.get("type") == "object" and each.get("additionalProperties") is not False
    ]
    assert open_ones == []
    chat = schemas["ChatRequest"]
    assert sorted(chat["required"]) == ["messages"]
    assert "functions" not in chat["properties"]
    bounds = {
        name: (each["anyOf"][0].get("minimum"), each["anyOf"][0].get("maximum"))
        for name, each in chat["properties"].items()
        if each.get("anyOf", [{}])[0].get("type") in ("integer", "number")
    }
    assert bounds.pop("repetition_penalty") == (None, 10)
    assert bounds == {
        "n": (1, 128),
        "seed": (-(2**63), 2**63 - 1),
        "top_k": (0, 2**31 - 1),
        "max_tokens": (1, None),
        "max_completion_tokens": (1, None),
        "top_logprobs": (0, 20),
        "temperature": (0, 2),
        "top_p": (0, 1),
        "min_p": (0, 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
    }


def test_null_is_described_as_taken_for_what_may_be_left_out(document: dict[str, Any]) -> None:
    for name in (
        "ChatRequest",
        "CompletionRequest",
        "EmbeddingRequest",
        "BatchRequest",
        "StreamOptions",
    ):
        schema = document["components"]["schemas"][name]
        for field, each in schema["properties"].items():
            assert ({"type": "null"} in each.get("anyOf", [])) is (
                field not in schema.get("required", [])
            ), (name, field)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("GET", "/props", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/tiny", None),
        ("GET", "/v1/models/none", None),
        ("POST", "/tokenize", {"content": "a"}),
        ("POST", "/tokenize", {"content": "a", "with_pieces": True}),
        ("POST", "/tokenize", {"content": 1}),
        ("POST", "/detokenize", {"tokens": [97]}),
        (
            "POST",
            "/v1/completions",
            {"model": "tiny", "prompt": "a", "logprobs": 2, "echo": True, "seed": 1},
        ),
        ("POST", "/v1/completions", {"model": "none", "prompt": "a"}),
        (
            "POST",
            "/v1/chat/completions",
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "x"}],
                "max_tokens": 3,
                "temperature": 0,
                "logprobs": True,
                "top_logprobs": 2,
            },
        ),
        ("POST", "/v1/chat/completions", {"model": "tiny", "messages": []}),
        ("POST", "/v1/responses", {"model": "tiny", "input": "x", "max_output_tokens": 3}),
        ("POST", "/v1/responses", {"model": "tiny", "input": "x", "top_logprobs": 2}),
        ("POST", "/v1/responses", {"model": "tiny"}),
        ("GET", "/v1/responses/none", None),
        ("DELETE", "/v1/responses/none", None),
        ("GET", "/v1/responses/none/input_items", None),
        (
            "POST",
            "/v1/messages",
            {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 3},
        ),
        ("POST", "/v1/messages", {"model": "tiny", "messages": []}),
        (
            "POST",
            "/v1/messages/count_tokens",
            {"model": "tiny", "messages": [{"role": "user", "content": "x"}]},
        ),
        ("POST", "/v1/embeddings", {"model": "bert", "input": ["sea", "boat"]}),
        ("POST", "/v1/embeddings", {"model": "bert", "input": "sea", "encoding_format": "base64"}),
        ("POST", "/v1/embeddings", {"model": "tiny", "input": "sea"}),
        ("GET", "/v1/files", None),
        ("GET", "/v1/files?limit=0", None),
        ("GET", "/v1/files/file-none", None),
        ("GET", "/v1/files/file-none/content", None),
        ("DELETE", "/v1/files/file-none", None),
        ("POST", "/v1/files", {}),
        ("GET", "/v1/batches", None),
        ("GET", "/v1/batches?after=none", None),
        ("GET", "/v1/batches/batch_none", None),
        ("POST", "/v1/batches", {"input_file_id": "none"}),
        ("POST", "/v1/batches/batch_none/cancel", None),
    ],
)
def test_what_the_server_gives_is_what_is_described(
    server: Running, document: dict[str, Any], method: str, path: str, body: object
) -> None:
    with server.http() as http:
        answer = http.request(method, path, json=body)

    template = re.sub(r"(/v1/models)/.*", r"\1/{model}", path.partition("?")[0])
    template = re.sub("file-[^/]+", "{file_id}", template)
    template = re.sub("batch_[^/]+", "{batch_id}", template)
    template = re.sub("responses/none", "responses/{response_id}", template)
    responses = document["paths"][template][method.lower()]["responses"]
    content = responses[str(answer.status_code)]["content"]
    schema = content[answer.headers["content-type"]]["schema"]
    assert mismatches(document, schema, answer.json()) == []


def test_files_and_batches_are_what_is_described(server: Running, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    with server.openai() as client:
        batches = [ended(client, each.id) for each in client.batches.list()]
    with server.http() as http:
        for batch in batches:
            told = http.get(f"/v1/batches/{batch.id}").json()
            assert mismatches(document, schemas["BatchObject"], told) == []
        file = http.get(f"/v1/files/{batches[-1].output_file_id}").json()
        content = http.get(f"/v1/files/{file['id']}/content")
        deleted = http.delete(f"/v1/files/{file['id']}").json()

    assert {each.status for each in batches} == {"completed", "failed"}
    assert mismatches(document, schemas["FileObject"], file) == []
    assert mismatches(document, schemas["FileDeleted"], deleted) == []
    operation = document["paths"]["/v1/files/{file_id}/content"]["get"]
    assert list(operation["responses"]["200"]["content"]) == [content.headers["content-type"]]
    form = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    assert list(form) == ["multipart/form-data"]
    query = {each["name"] for each in document["paths"]["/v1/files"]["get"]["parameters"]}
    assert query == {"after", "limit", "order", "purpose"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "a", "logprobs": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ],
)
def test_what_a_stream_gives_is_what_is_described(
    server: Running, document: dict[str, Any], path: str, body: dict
) -> None:
    body |= {"model": "tiny", "max_tokens": 3, "temperature": 0, "stream": True}
    with server.http() as http:
        answer = http.post(path, json=body | {"stream_options": {"include_usage": True}})

    content = document["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    schema = content["schema"]["properties"]["data"]["contentSchema"]
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert len(events) >= 3  # text that comes together is one event
    for event in events[:-1]:
        assert mismatches(document, schema, json.loads(event)) == []


@pytest.mark.parametrize(
    ("path", "body", "last"),
    [
        ("/v1/responses", {"input": "x", "max_output_tokens": 3, "top_logprobs": 1}, "[DONE]"),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "x"}], "max_tokens": 3},
            '{"type":"message_stop"}',
        ),
    ],
)
def test_what_a_stream_of_named_events_gives_is_what_is_described(
    server: Running, document: dict[str, Any], path: str, body: dict, last: str
) -> None:
    with server.http() as http:
        answer = http.post(path, json=body | {"model": "tiny", "stream": True})

    content = document["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    assert list(content["schema"]["properties"]) == ["event", "data"]
    schema = content["schema"]["properties"]["data"]["contentSchema"]
    lines = answer.text.splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == last
    for event in events[: -1 if last == "[DONE]" else None]:
        assert mismatches(document, schema, json.loads(event)) == []


def mismatches(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """Where a value isn't as its schema says; the few keywords that answers use."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return mismatches(document, document["components"]["schemas"][name], value)
    if "anyOf" in schema or "oneOf" in schema:
        forms = schema.get("anyOf") or schema["oneOf"]
        found = [mismatches(document, each, value) for each in forms]
        return [] if [] in found else [f"none of {len(found)}: {found}"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{value!r} is not {schema['const']!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{value!r} is not in {schema['enum']}"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if not isinstance(value, kinds[schema["type"]]):
        return [f"{value!r} is no {schema['type']}"]
    if isinstance(value, list):
        return [each for item in value for each in mismatches(document, schema["items"], item)]
    if not isinstance(value, dict):
        return []
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    missing = [f"{name} is missing" for name in schema.get("required", []) if name not in value]
    inside = [
        each
        for name, item in value.items()
        for each in (
            mismatches(document, known[name], item)
            if name in known
            else mismatches(document, more, item)
            if isinstance(more, dict)
            else []
            if more
            else [f"{name} is unknown"]
        )
    ]
    return missing + inside
