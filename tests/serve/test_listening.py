"""The program `aboard serve`: where it listens, to whom, and how it ends."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import openai
import pytest
import trustme

import aboard
from aboard.engine import Model
from aboard.errors import UsageError
from aboard.serve.app import App
from aboard.serve.keys import read_keys
from aboard.serve.listening import Server, Tls, is_loopback, own_names
from aboard.serve.served import ServedModel, ServedModels
from serve.running import running

MAIN = "from aboard.cli import main; main()"
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "temperature": 0}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start `aboard serve tiny.gguf --port 0 --json` with more options."""
    monkeypatch.setenv("PYTHONPATH", str(Path(aboard.__file__).parents[1]))
    monkeypatch.delenv("ABOARD_API_KEY", raising=False)
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", MAIN, "serve", str(model_file)]
        options = ("--port", "0", "--json", "--threads", "1", *options)
        pipe = subprocess.PIPE
        program = subprocess.Popen([*command, *options], stdout=pipe, stderr=pipe, text=True)
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


def url_of(program: subprocess.Popen[str]) -> str:
    return json.loads(program.stdout.readline())["url"]


def end(program: subprocess.Popen[str], number: int) -> tuple[int, list[str]]:
    program.send_signal(number)
    _, told = program.communicate()
    return program.returncode, told.splitlines()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_program_serves_until_it_is_told_to_end(
    start: Start, model: Model, number: int, code: int
) -> None:
    program = start("--alias", "gpt-4o-mini", "--context", "512")
    facts = json.loads(program.stdout.readline())

    with openai.OpenAI(base_url=f"{facts['url']}/v1", api_key="none") as client:
        answer = client.chat.completions.create(**CHAT | {"model": "gpt-4o-mini"}, max_tokens=9)
    returned, told = end(program, number)

    assert facts["models"] == [
        {
            "id": "tiny",
            "aliases": ["gpt-4o-mini"],
            "system_fingerprint": answer.system_fingerprint,
        }
    ]
    assert answer.choices[0].message.content == model.chat(CHAT["messages"], max_tokens=9)
    assert returned == code
    assert [json.loads(line)["event"] for line in told if line.startswith("{")] == ["request"]
    assert "Traceback" not in "\n".join(told)


def test_an_answer_under_way_is_completed_before_the_end(start: Start) -> None:
    program = start("--context", "1024", "--max-sequences", "1")
    with openai.OpenAI(base_url=f"{url_of(program)}/v1", api_key="none") as client:
        events = iter(client.chat.completions.create(**CHAT, stream=True, max_tokens=900))
        first = next(events)

        program.send_signal(signal.SIGTERM)
        last = [*events][-1]
    _, told = program.communicate()

    assert first.choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason in ("stop", "length")
    assert program.returncode == 0
    assert "ending" not in told


def test_an_answer_that_outlasts_the_drain_is_ended(start: Start) -> None:
    program = start("--context", "1024", "--drain", "0")
    with openai.OpenAI(base_url=f"{url_of(program)}/v1", api_key="none") as client:
        options = CHAT | {"stream": True, "logit_bias": {"256": -100, "258": -100}, "n": 32}
        events = iter(client.chat.completions.create(**options))
        next(events)

        program.send_signal(signal.SIGTERM)
        with pytest.raises(openai.APIError, match="ending"):
            list(events)
    program.communicate()

    assert program.returncode == 0


def test_a_port_that_is_taken_is_told(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = start("--port", str(taken.getsockname()[1]))
        _, told = program.communicate()

    assert program.returncode == 2
    assert "can't listen on 127.0.0.1, port" in told
    assert "--port 0" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "0.0.0.0"), "there is no key"),
        (("--host", "::"), "there is no key"),
        (("--host", "192.0.2.1"), "there is no key"),
        (("--host", "model.example"), "there is no key"),
        (("--tls-cert", "a.pem"), "need each other"),
        (("--tls-cert", "a.pem", "--tls-key", "b.pem"), "no certificate and its key"),
        (("--api-key-file", "none.txt"), "none.txt: can't be read"),
        (("--allow-host", "*"), "no name of a host"),
        (("--allow-origin", "*"), "no origin"),
        (("--public-origin", "model.example"), "no origin"),
        (("--public-origin", "https://model.example"), "there is no key"),
        (("--alias", "a=another"), "--alias a=another"),
        (("--alias", "tiny"), "two models are called 'tiny'"),
    ],
)
def test_what_is_not_safe_or_makes_no_sense_is_refused(
    start: Start, options: tuple[str, ...], told: str
) -> None:
    program = start(*options)

    output, errors = program.communicate()

    assert (program.returncode, output) == (2, "")
    assert told in errors
    assert "Traceback" not in errors


def test_keys_of_a_file_and_of_the_environment_open_a_server(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.txt").write_text("# of the team\n\none-key-of-sixteen\n")
    monkeypatch.setenv("ABOARD_API_KEY", "other-key-of-sixteen")
    url = url_of(start("--api-key-file", str(tmp_path / "keys.txt")))

    statuses = {
        key: httpx2.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code
        for key in ("one-key-of-sixteen", "other-key-of-sixteen", "# of the team", "none")
    }

    assert list(statuses.values()) == [200, 200, 401, 401]


def test_beyond_the_loopback_a_key_is_enough_to_listen(
    model: Model, tmp_path: Path, start: Start
) -> None:
    (tmp_path / "keys.txt").write_text("one-key-of-sixteen\n")

    program = start("--host", "0.0.0.0", "--api-key-file", str(tmp_path / "keys.txt"))

    port = url_of(program).rpartition(":")[2]
    assert httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200
    assert httpx2.get(f"http://127.0.0.1:{port}/props").status_code == 401


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    return Tls(certificate=folder / "certificate.pem", key=folder / "key.pem")


def test_a_server_with_a_certificate_speaks_https_alone(
    model: Model, authority: trustme.CA, tls: Tls
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with running(model, tls=tls) as server:
        answer = httpx2.get(f"{server.url}/health", verify=trusting)
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(server.url.replace("https", "http") + "/health")
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{server.url}/health")  # nobody vouches for it

    assert server.url.startswith("https://127.0.0.1:")
    assert answer.json() == {"status": "ok"}


def test_a_certificate_of_another_key_is_refused(
    model: Model, authority: trustme.CA, tls: Tls, tmp_path: Path
) -> None:
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(tmp_path / "key.pem")
    app = App(ServedModels([ServedModel(model)]))

    with pytest.raises(UsageError, match="no certificate and its key"):
        Server(
            app,
            "127.0.0.1",
            0,
            tls=Tls(certificate=tls.certificate, key=tmp_path / "key.pem"),
            ready=print,
        )


@pytest.mark.parametrize(
    ("host", "loopback", "names"),
    [
        ("127.0.0.1", True, ["127.0.0.1"]),
        ("127.9.9.9", True, ["127.9.9.9"]),
        ("localhost", True, ["localhost"]),
        ("::1", True, ["[::1]"]),
        ("[::1]", True, ["[::1]"]),
        ("0.0.0.0", False, []),
        ("::", False, []),
        ("192.0.2.1", False, ["192.0.2.1"]),
        ("localhost.evil.example", False, ["localhost.evil.example"]),
        ("127.1", False, ["127.1"]),
    ],
)
def test_only_the_loopback_is_the_loopback(host: str, loopback: bool, names: list[str]) -> None:
    assert (is_loopback(host), own_names(host)) == (loopback, names)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no key"),
        ("# nothing\n\n", "holds no key"),
        ("short\n", "a key has 5 characters"),
        ("a key with spaces in it\n", "without spaces"),
        ("schl\u00fcssel-mit-umlaut\n", "of ASCII"),
    ],
)
def test_a_file_without_a_good_key_is_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(content, "utf-8")

    with pytest.raises(UsageError, match=told):
        read_keys(file)


def test_a_model_file_cut_short_under_a_running_server_changes_nothing(
    start: Start, model_file: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(model_file.read_bytes())
    program = start(str(own))
    url = url_of(program)
    body = {"model": "own", "prompt": "Water", "max_tokens": 9, "temperature": 0}
    before = httpx2.post(f"{url}/v1/completions", json=body).json()

    os.truncate(own, 4096)
    after = httpx2.post(f"{url}/v1/completions", json=body).json()

    assert after["choices"] == before["choices"]
    assert end(program, signal.SIGTERM)[0] == 0


def test_the_first_request_finds_what_an_earlier_start_has_read(
    start: Start, model: Model, tmp_path: Path
) -> None:
    house, folder = tmp_path / "house.txt", tmp_path / "states"
    house.write_text("You answer in one short sentence. " * 4)
    options = ("--context", "512", "--cache", f"house={house}", "--cache-dir", str(folder))
    system = {"role": "system", "content": house.read_text()}
    asked = CHAT | {"messages": [system, *CHAT["messages"]], "max_tokens": 9}
    answers, logs = [], []

    for more in ((), options, options):
        program = start(*more)
        with openai.OpenAI(base_url=f"{url_of(program)}/v1", api_key="none") as client:
            answers.append(client.chat.completions.create(**asked, logprobs=True))
        logs.append([json.loads(line) for line in end(program, signal.SIGTERM)[1][:-1]])

    said = [[(each.token, each.logprob) for each in a.choices[0].logprobs.content] for a in answers]
    kept = [next(each for each in log if each["event"] == "cache kept") for log in logs[1:]]
    n_tokens = kept[0]["tokens"]
    assert said[0] == said[1] == said[2]
    assert [a.usage.prompt_tokens_details.cached_tokens for a in answers] == [0, n_tokens, n_tokens]
    assert [each["source"] for each in kept] == ["computed", "file"]
    assert (kept[1]["cache"], kept[1]["model"]) == ("house", "tiny")
    assert kept[1]["size_bytes"] == 3 * model.session().cache.chunk_bytes
    assert len(house.read_text()) < n_tokens < answers[0].usage.prompt_tokens
    assert [str(each) for each in folder.iterdir()] == [kept[1]["file"]]
    assert folder.stat().st_mode & 0o777 == 0o700
