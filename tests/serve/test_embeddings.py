"""Vectors by the openai client: the encoder's own, in every form of input and of encoding."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest
from typer.testing import CliRunner

from aboard.artifact.importing import import_checkpoint
from aboard.cli.app import app
from aboard.engine import EmbeddingModel, Model, load
from aboard.errors import NumericalError, UsageError
from aboard.serve.encoding import Encoding
from aboard.serve.limits import Limits
from aboard.serve.served import ServedModels, served
from serve.running import Running, running
from serve.watch import watched
from tiny_encoders import PIECES, TinyBert, bert_folder

TEXTS = ["the sea", "until the boat is there", "日本語 é"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = tmp_path_factory.mktemp("encoder")
    path = folder / "tiny-bert.gguf"
    import_checkpoint(bert_folder(folder / "bert", TinyBert(), seed=3), path)
    loaded = load(path, threads=1)
    assert isinstance(loaded, EmbeddingModel)
    return loaded


@pytest.fixture(scope="module")
def both(model: Model, encoder: EmbeddingModel) -> Iterator[Running]:
    more = [served(encoder, "tiny-bert", ["text-embedding-3-small"])]
    with running(model, more=more) as server:
        yield server


@pytest.fixture(scope="module")
def embed(both: Running):
    with both.openai() as client:
        yield lambda given, **options: client.embeddings.create(
            **{"model": "tiny-bert", "input": given} | options
        )


def refused(embed, given: object, **options: object) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        embed(given, **options)
    return caught.value


def vectors(answer: object) -> np.ndarray:
    return np.array([each.embedding for each in answer.data], np.float32)


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_vectors_are_the_encoders_own_in_every_encoding(
    embed, encoder: EmbeddingModel, form: dict
) -> None:
    answer = embed(TEXTS, **form)

    data = answer.data
    if form.get("encoding_format") == "base64":
        rows = [np.frombuffer(base64.b64decode(each.embedding), "<f4") for each in data]
        got = np.array(rows)
    else:
        got = vectors(answer)
    assert got.astype(np.float32).tobytes() == encoder.embed(TEXTS).tobytes()
    assert [each.index for each in data] == [0, 1, 2]
    assert {each.object for each in data} == {"embedding"}
    n_tokens = sum(len(encoder.tokenizer.encode(text)) for text in TEXTS)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (n_tokens, n_tokens)
    assert (answer.object, answer.model) == ("list", "tiny-bert")


def test_a_text_its_tokens_and_lists_of_them_mean_the_same(embed, encoder: EmbeddingModel) -> None:
    ids = encoder.tokenizer.encode(TEXTS[0])

    answers = [embed(TEXTS[0]), embed(ids), embed([TEXTS[0]]), embed([ids])]

    want = encoder.embed([TEXTS[0]]).tobytes()
    assert [vectors(answer).tobytes() for answer in answers] == [want] * 4


def test_more_texts_than_a_pass_takes_come_in_their_order(embed, encoder: EmbeddingModel) -> None:
    many = [[2, *([5 + i % 40] * (1 + i % 90)), 3] for i in range(200)]

    got = vectors(embed(many))

    assert got.tobytes() == encoder.embed_tokens(many).tobytes()


def test_as_many_dimensions_as_there_are_may_be_asked_for(embed, encoder: EmbeddingModel) -> None:
    answer = embed("the sea", dimensions=64)

    assert vectors(answer).tobytes() == encoder.embed(["the sea"]).tobytes()
    error = refused(embed, "the sea", dimensions=32)
    assert (error.status_code, error.param) == (400, "dimensions")
    assert "64" in error.message


@pytest.mark.parametrize(
    ("given", "options", "code", "param"),
    [
        ("", {}, "invalid_value", "input"),
        ([], {}, "invalid_value", "input"),
        ([[]], {}, "invalid_value", "input[0]"),
        (["a", ""], {}, "invalid_value", "input[1]"),
        (["a"] * 2049, {}, "invalid_value", "input"),
        ([[2, 5, 3], [2, len(PIECES), 3]], {}, "invalid_value", "input[1]"),
        (["sea", "a " * 200], {}, "context_length_exceeded", "input[1]"),
        (["sea", "a" * 30_000], {}, "context_length_exceeded", "input[1]"),
        ([[2, 1 << 70]], {}, "invalid_value", "input[0][1]"),
        (["a", [2]], {}, "invalid_value", "input[1]"),
        ([[2], "a"], {}, "invalid_value", "input[1]"),
        ([2, "a"], {}, "invalid_value", "input[1]"),
        ([True], {}, "invalid_value", "input[0]"),
        ("a", {"encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ("a", {"extra_body": {"truncate": True}}, "unknown_parameter", "truncate"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(
    embed, given: object, options: dict, code: str, param: str
) -> None:
    error = refused(embed, given, **options)

    assert (error.status_code, error.code, error.param) == (400, code, param)


def test_each_kind_of_model_says_what_the_other_is_for(both: Running, embed) -> None:
    error = refused(embed, "a", model="tiny")
    with both.openai() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="text-embedding-3-small", messages=[{"role": "user", "content": "x"}]
        )

    assert (error.status_code, error.code, error.param) == (400, "unsupported_model", "model")
    assert "tiny-bert" in error.message
    assert caught.value.code == "unsupported_model"
    assert "/v1/embeddings" in caught.value.message
    assert refused(embed, "a", model="none").status_code == 404


def test_an_encoder_alone_is_served_and_described(encoder: EmbeddingModel) -> None:
    with running(encoder) as server, server.http() as http:
        listed = http.get("/v1/models").json()["data"]
        told = http.get("/props").json()["models"][0]
        tokens = http.post("/tokenize", json={"content": "sea", "add_special": True}).json()
        with server.openai() as client:
            client.embeddings.create(model="tiny", input="sea")
        measured = http.get("/metrics").text

    assert [each["id"] for each in listed] == ["tiny"]
    assert (told["kind"], told["architecture"]) == ("embeddings", "bert")
    assert tokens["tokens"] == encoder.tokenizer.encode("sea")
    assert 'gen_ai_operation_name="embeddings"' in measured
    assert 'aboard_requests_running{gen_ai_request_model="tiny"} 0.0' in measured


def test_any_name_may_mean_one_model_of_each_kind(model: Model, encoder: EmbeddingModel) -> None:
    all_models = ServedModels([served(model, "a", ["*"]), served(encoder, "b", ["*"])])

    assert all_models.named("gpt").name == "a"
    assert all_models.encoder("text-embedding").name == "b"
    with pytest.raises(UsageError, match="two models are called"):
        ServedModels([served(encoder, "a", ["*"]), served(encoder, "b", ["*"])])


def test_the_context_of_models_that_make_text_is_not_the_encoders(
    model_file: Path, encoder: EmbeddingModel
) -> None:
    files = [str(model_file), str(encoder.path)]

    options = ["--alias", "*", "--alias", f"*={files[1]}", "--context", "300"]
    done = CliRunner().invoke(app, ["serve", *files, *options, "--check-config", "--json"])

    told = json.loads(done.stdout)["models"]
    assert [each["context"] for each in told] == [300, encoder.context_length]
    assert [each["aliases"] for each in told] == [["*"], ["*"]]


class Held:
    """An encoder whose passes wait for leave; it notes the texts of each."""

    def __init__(self) -> None:
        self.passes: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)

    def embed_tokens(self, texts: list[np.ndarray]) -> np.ndarray:
        self.passes.append([int(text[0]) for text in texts])
        self.begun.release()
        self.leave.acquire()
        if any(text[0] == 13 for text in texts):
            raise NumericalError("no vector")
        return np.array([[text[0]] for text in texts], np.float32)


def text(mark: int, n_tokens: int = 1000) -> np.ndarray:
    return np.full(n_tokens, mark, np.int32)


async def begun(held: Held) -> None:
    await asyncio.to_thread(held.begun.acquire)


def test_requests_take_turns_and_those_in_the_background_come_last() -> None:
    held = Held()

    async def work() -> None:
        encoding = Encoding(held, max_waiting=4)
        first = asyncio.ensure_future(encoding.vectors([text(1, 2000)]))
        await begun(held)
        behind = asyncio.ensure_future(encoding.vectors([text(9)], background=True))
        much = asyncio.ensure_future(encoding.vectors([text(2)] * 3))
        little = asyncio.ensure_future(encoding.vectors([text(3)]))
        await asyncio.sleep(0)  # they are there
        assert (encoding.load.n_running, encoding.load.n_waiting) == (1, 3)
        for _ in range(4):
            held.leave.release()
        done = await asyncio.gather(first, behind, much, little)
        assert [rows.tolist() for rows in done] == [[[1]], [[9]], [[2]] * 3, [[3]]]
        encoding.close()

    asyncio.run(work())
    assert held.passes == [[1], [2, 3], [2, 2], [9]]


def test_a_request_that_is_cancelled_is_computed_no_further() -> None:
    held = Held()

    async def work() -> None:
        encoding = Encoding(held, max_waiting=4)
        gone = asyncio.ensure_future(encoding.vectors([text(1, 2000)] * 3))
        await begun(held)
        stays = asyncio.ensure_future(encoding.vectors([text(2)]))
        await asyncio.sleep(0)
        gone.cancel()
        held.leave.release()
        held.leave.release()
        assert (await stays).tolist() == [[2]]
        assert encoding.load.n_requests == 0
        encoding.close()

    asyncio.run(work())
    assert held.passes == [[1], [2]]


def test_an_error_ends_the_requests_of_its_pass_alone() -> None:
    held = Held()

    async def work() -> list[object]:
        encoding = Encoding(held, max_waiting=4)
        bad = asyncio.ensure_future(encoding.vectors([text(13, 2000)]))
        await begun(held)
        good = asyncio.ensure_future(encoding.vectors([text(2)]))
        await asyncio.sleep(0)
        held.leave.release()
        held.leave.release()
        done = await asyncio.gather(bad, good, return_exceptions=True)
        encoding.close()
        return done

    bad, good = asyncio.run(work())
    assert isinstance(bad, NumericalError)
    assert good.tolist() == [[2]]


@pytest.mark.parametrize("ends", ["leaves", "is too late", "is one too many"])
def test_requests_for_vectors_are_bounded(
    encoder: EmbeddingModel, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    held, body = Held(), {"model": "tiny", "input": "sea"}
    monkeypatch.setattr(encoder, "embed_tokens", held.embed_tokens)
    limits = Limits(max_waiting=0, answer_timeout_s=0.2 if ends == "is too late" else 600)
    with running(encoder, limits=limits) as server, watched() as watch, server.http() as http:
        if ends == "is too late":
            answer = http.post("/v1/embeddings", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        elif ends == "leaves":
            with pytest.raises(httpx2.ReadTimeout):
                http.post("/v1/embeddings", json=body, timeout=0.2)
            assert watch.next()["code"] == "client_gone"
        else:
            first = threading.Thread(
                target=http.post, args=["/v1/embeddings"], kwargs={"json": body}
            )
            first.start()
            held.begun.acquire()
            answer = http.post("/v1/embeddings", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
            assert int(answer.headers["retry-after"]) >= 1
        held.leave.release()
        if ends == "is one too many":
            first.join()
        assert http.get("/health").status_code == 200
        assert json.loads(http.get("/props").content)["models"][0]["kind"] == "embeddings"
