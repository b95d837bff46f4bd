"""What the server tells of itself: models, tokens, health, measurements."""

import gc
import hashlib
import json
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

import aboard
from aboard.engine import Model
from aboard.engine.attest import attest
from serve.running import Running, running
from waiting import until


@pytest.fixture(scope="module")
def http(server: Running) -> Iterator[httpx2.Client]:
    with server.http() as http:
        yield http


def test_models_are_listed_with_their_aliases(client: openai.OpenAI, server: Running) -> None:
    listed = client.models.list().data

    assert [each.id for each in listed] == ["tiny", "gpt-4o-mini"]
    assert {each.owned_by for each in listed} == {"aboard"}
    assert listed[0].model_dump()["system_fingerprint"] == server.served.fingerprint
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("an/other")
    assert caught.value.code == "model_not_found"


def test_an_alias_of_a_star_is_any_name(model: Model) -> None:
    with running(model, aliases=("*",)) as server, server.openai() as client:
        answer = client.completions.create(model="whatever/it-is", prompt="a", max_tokens=1)

        assert answer.model == "tiny"
        assert [each.id for each in client.models.list()] == ["tiny"]


def test_the_fingerprint_is_the_hash_of_all_that_decides_the_answers(
    http: httpx2.Client, model: Model
) -> None:
    told = http.get("/props").json()["models"][0]

    text = json.dumps(told["identity"], sort_keys=True, separators=(",", ":"))
    want = hashlib.sha256(text.encode()).hexdigest()
    attested = attest(model)
    assert told["system_fingerprint"] == f"fp_{want[:32]}"
    assert told["identity"] == {
        "weights_sha256": attested.weights_sha256,
        "config_sha256": attested.config_sha256,
        "tokenizer_sha256": attested.tokenizer_sha256,
        "template_sha256": attested.template_sha256,
        "numerics_version": attested.numerics_version,
        "kv": "f16",
        "activations": "int8",
        "rope": "plain",
    }


def test_props_tell_what_is_served(http: httpx2.Client, model: Model) -> None:
    props = http.get("/props").json()

    told = props["models"][0]
    assert props["version"] == aboard.__version__
    assert (told["id"], told["aliases"], told["file"]) == ("tiny", ["gpt-4o-mini"], "tiny.gguf")
    assert (told["context_length"], told["n_vocabulary"]) == (512, 259)
    assert (told["bos_token"], told["eos_token"]) == ("<|endoftext|>", "<|im_end|>")
    assert "<|im_start|>" in told["chat_template"]
    assert str(model.path.parent) not in json.dumps(props)


@pytest.mark.parametrize("text", ["", "a", "h\u00e9 \U0001f642", "<|im_start|>x"])
@pytest.mark.parametrize("special", [True, False])
def test_texts_become_tokens_and_texts_again(
    http: httpx2.Client, model: Model, text: str, special: bool
) -> None:
    asked = {"content": text, "parse_special": special}
    tokens = http.post("/tokenize", json=asked).json()["tokens"]
    pieces = http.post("/tokenize", json=asked | {"with_pieces": True}).json()["tokens"]
    again = http.post("/detokenize", json={"tokens": tokens, "model": "tiny"}).json()

    assert tokens == model.tokenizer.encode(text, add_special=False, parse_special=special)
    assert [each["id"] for each in pieces] == tokens
    joined = b"".join(
        each["piece"].encode() if isinstance(each["piece"], str) else bytes(each["piece"])
        for each in pieces
    )
    assert joined == text.encode()
    assert again == {"content": text}


def test_pieces_of_a_large_text_are_looked_up_once_each_and_beside_the_event_loop(
    http: httpx2.Client, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    real = model.tokenizer.piece

    def piece(token: int) -> bytes:
        asked.append((token, threading.current_thread().name))
        return real(token)

    monkeypatch.setattr(model.tokenizer, "piece", piece)
    text = "ab" * 40_000
    answer = http.post("/tokenize", json={"content": text, "with_pieces": True}).json()["tokens"]

    assert "".join(each["piece"] for each in answer) == text
    assert sorted(token for token, _ in asked) == sorted({each["id"] for each in answer})
    assert {name.rpartition("_")[0] for _, name in asked} == {"aboard-serve"}


def test_a_token_that_is_none_is_refused(http: httpx2.Client) -> None:
    answer = http.post("/detokenize", json={"tokens": [999]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_told_as_an_error_object(
    http: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = http.request(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert status == 404 or answer.headers["allow"]


def test_every_response_has_a_number_and_is_taken_for_nothing_else(http: httpx2.Client) -> None:
    answers = [http.get(path) for path in ("/health", "/health", "/nothing", "/metrics")]

    numbers = {each.headers["x-request-id"] for each in answers}
    assert len(numbers) == 4
    assert all(each.headers["x-content-type-options"] == "nosniff" for each in answers)
    assert all("server" not in each.headers for each in answers)


def samples(http: httpx2.Client) -> dict[str, dict[frozenset, float]]:
    text = http.get("/metrics").text
    return {
        sample.name: {
            frozenset(each.labels.items()): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if each.name == sample.name
        }
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_measurements_are_those_of_the_requests_that_were_made(model: Model) -> None:
    with running(model) as server, server.http() as http, server.openai() as client:
        options = {"model": "tiny", "max_tokens": 5, "temperature": 0}
        messages = [{"role": "user", "content": "x"}]
        usage = client.chat.completions.create(messages=messages, **options).usage
        list(client.chat.completions.create(messages=messages, stream=True, **options))
        client.completions.create(prompt="abc", **options)
        http.post("/v1/completions", json={"model": "another", "prompt": "x"})
        http.get("/nothing/at/all")
        decoder, cache = model.decoder, model.prefix_cache
        gc.collect()  # keys of requests that failed in other tests: their errors lead to them
        # the thread that computes still holds the last answer's keys for a moment
        until(lambda: decoder.kv_memory()["used_bytes"] == cache.stats.size_bytes)
        found = samples(http)

    def of(operation: str, **more: str) -> frozenset:
        labels = {"gen_ai_operation_name": operation, "gen_ai_request_model": "tiny"}
        return frozenset((labels | more).items())

    duration = found["gen_ai_server_request_duration_seconds_count"]
    assert duration == {
        of("chat", error_type=""): 2,
        of("text_completion", error_type=""): 1,
    }
    assert found["gen_ai_server_time_to_first_token_seconds_count"][of("chat")] == 2
    assert found["gen_ai_server_time_per_output_token_seconds_count"][of("chat")] == 2
    tokens = found["gen_ai_client_token_usage_tokens_sum"]
    assert tokens[of("chat", gen_ai_token_type="input")] == 2 * usage.prompt_tokens
    assert tokens[of("chat", gen_ai_token_type="output")] == 10
    assert tokens[of("text_completion", gen_ai_token_type="input")] == 3
    responses = {
        (labels["http_route"], labels["http_response_status_code"]): value
        for labels, value in (
            (dict(each), value) for each, value in found["aboard_http_responses_total"].items()
        )
    }
    assert responses[("/v1/completions", "404")] == 1
    assert responses[("", "404")] == 1
    now = frozenset({("gen_ai_request_model", "tiny")})
    assert found["aboard_requests_running"][now] == 0
    assert found["aboard_requests_waiting"][now] == 0
    assert found["aboard_kv_used_bytes"][now] == found["aboard_prefix_cache_bytes"][now]
