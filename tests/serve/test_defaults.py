"""What a server adds to requests that don't say it, as `aboard.toml` has it for a model."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.engine import Model, Sampling, load
from aboard.engine.attest import identity
from aboard.errors import UsageError
from aboard.serve.caches import Beginning, keep
from aboard.serve.configuration import read_configuration
from aboard.serve.defaults import Defaults
from aboard.serve.served import served
from serve.running import Running, running

SAMPLING = {"temperature": 1.5, "top_k": 7, "seed": 11, "max_tokens": 9}
ASKED = [{"role": "user", "content": "Name a colour."}]
TEMPLATE = "{% for each in messages %}{{ each.content }}{% endfor %}{{ style }}{{ more }}"


@pytest.fixture(scope="module")
def styled(model_file: Path) -> Model:
    model = load(model_file, threads=1, context=512)
    model.chat_template = ChatTemplate({"default": TEMPLATE})
    return model


@pytest.fixture(scope="module")
def server(styled: Model) -> Iterator[Running]:
    defaults = Defaults(sampling=SAMPLING, template_kwargs={"style": "!!", "more": "?"})
    with running(styled, defaults=defaults) as server:
        yield server


@pytest.fixture
def own(styled: Model) -> str:
    """What the model says of itself as the defaults would have it."""
    prompt = styled.chat_tokens(ASKED, template_kwargs=told())
    return answered(styled, prompt, 9, Sampling(temperature=1.5, top_k=7, seed=11))


def answered(model: Model, prompt: list[int], max_tokens: int, sampling: Sampling) -> str:
    with model.session() as session:
        steps = session.generate(prompt, max_tokens=max_tokens, sampling=sampling)
        return "".join(step.text for step in steps)


def told(**own: str) -> dict[str, str]:
    return {"style": "!!", "more": "?"} | own


def test_requests_of_every_api_are_given_them(server: Running, own: str) -> None:
    with server.http() as http:
        chat = http.post("/v1/chat/completions", json={"messages": ASKED}).json()
        response = http.post("/v1/responses", json={"input": ASKED}).json()
        message = http.post("/v1/messages", json={"messages": ASKED, "max_tokens": 9}).json()
        plain = {"prompt": "Name a colour.!!?"}
        completion = http.post("/v1/completions", json=plain).json()
        native = http.post("/completion", json={**plain, "top_p": 1, "min_p": 0}).json()

    assert chat["choices"][0]["message"]["content"] == own
    assert response["output"][0]["content"][0]["text"] == own
    assert message["content"][0]["text"] == own
    assert completion["choices"][0]["text"] == own
    assert native["content"] == own
    assert chat["usage"]["completion_tokens"] == native["tokens_predicted"] == 9
    assert (response["temperature"], response["max_output_tokens"]) == (1.5, 9)


def test_they_are_told(server: Running) -> None:
    with server.http() as http:
        told = http.get("/props").json()["default_generation_settings"]["params"]

    assert (told["temperature"], told["top_k"], told["seed"], told["n_predict"]) == (1.5, 7, 11, 9)
    assert told["top_p"] == 0.95


def test_what_a_request_says_goes_before(server: Running, styled: Model) -> None:
    body = {"messages": ASKED, "temperature": 0, "chat_template_kwargs": {"more": "."}}
    with server.http() as http:
        given = [
            http.post("/v1/chat/completions", json={**body, most: 5}).json()
            for most in ("max_tokens", "max_completion_tokens")
        ]
        count = http.post("/v1/messages/count_tokens", json={"messages": ASKED}).json()

    prompt = styled.chat_tokens(ASKED, template_kwargs=told(more="."))
    for each in given:
        assert each["choices"][0]["message"]["content"] == answered(styled, prompt, 5, Sampling())
    assert count["input_tokens"] == len(styled.chat_tokens(ASKED, template_kwargs=told()))


def test_they_stand_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "aboard.toml"
    file.write_text(
        "[[serve.models]]\nmodel = 'm.gguf'\nsampling = { temperature = 0.5, max_tokens = 3 }\n"
        "chat_template_kwargs = { enable_thinking = false, levels = [1, 2] }\n"
    )

    (entry,) = read_configuration(file).models

    assert entry.defaults.sampling == {"temperature": 0.5, "max_tokens": 3}
    assert entry.defaults.template_kwargs == {"enable_thinking": False, "levels": [1, 2]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sampling = { temprature = 0.5 }", "Did you mean temperature?"),
        ("sampling = { temperature = -1 }", "temperature"),
        ("sampling = { top_p = 'much' }", "top_p is a text, expected a number"),
        ("sampling = { max_tokens = 0 }", "max_tokens is 0"),
        ("sampling = { seed = -1 }", "seed"),
        ("sampling = 3", "sampling is a whole number, expected a table"),
        ("chat_template_kwargs = { messages = [] }", "messages"),
        ("chat_template_kwargs = { self = 1 }", "self is no variable that may be set"),
        ("chat_template_kwargs = { most = nan }", "nan, which has no form in JSON"),
        ("chat_template_kwargs = { most = [-inf] }", "-inf, which has no form in JSON"),
        ("chat_template_kwargs = { since = 2026-01-01 }", "since"),
    ],
)
def test_what_no_request_could_say_is_refused(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "aboard.toml"
    file.write_text(f"[[serve.models]]\nmodel = 'm.gguf'\n{line}\n")

    with pytest.raises(UsageError) as caught:
        read_configuration(file)

    assert told in f"{caught.value} {caught.value.hint}"
    assert str(file) in str(caught.value)


def test_the_defaults_of_sampling_have_the_names_of_sampling() -> None:
    from aboard.serve.configuration import SAMPLING_KEYS

    known = {*Sampling.__dataclass_fields__, "max_tokens"}
    assert set(SAMPLING_KEYS) == known - {"logit_bias"}


def test_the_fingerprint_tells_them_apart(styled: Model) -> None:
    plain = served(styled)
    drawn = served(styled, defaults=Defaults(sampling={"seed": 1}))
    written = served(styled, defaults=Defaults(template_kwargs={"style": "!"}))

    assert len({plain.fingerprint, drawn.fingerprint, written.fingerprint}) == 3
    assert plain.identity == identity(styled)
    assert drawn.identity == plain.identity | {"sampling": {"seed": 1}}
    assert written.identity == plain.identity | {"chat_template_kwargs": {"style": "!"}}


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        (Defaults(sampling={"max_tokens": 512}), "no room for a prompt in a context of 512"),
        (Defaults(template_kwargs={"style": "<|im_end|>"}), "a control token"),
    ],
)
def test_what_would_refuse_every_request_is_refused_at_the_start(
    styled: Model, defaults: Defaults, told: str
) -> None:
    with pytest.raises(UsageError, match=f"^house: .*{told}"):
        served(styled, "house", defaults=defaults)


def test_an_answer_that_has_no_room_by_default_is_told_of_as_such(styled: Model) -> None:
    body = {"messages": [{"role": "user", "content": "a" * 100}]}
    defaults = Defaults(sampling={"max_tokens": 480})
    with running(styled, defaults=defaults) as server, server.http() as http:
        refused = http.post("/v1/chat/completions", json=body)
        said = http.post("/v1/chat/completions", json={**body, "max_tokens": 481})
        fewer = http.post("/v1/chat/completions", json={**body, "max_tokens": 2})

    assert refused.status_code == said.status_code == 400
    assert "480 more, as by default here: ask for fewer" in refused.json()["error"]["message"]
    assert "by default" not in said.json()["error"]["message"]
    assert fewer.status_code == 200


def test_a_cache_is_written_with_the_variables_of_its_model(model_file: Path) -> None:
    model = load(model_file, threads=1, context=512, prefix_cache_bytes=0)  # but what is pinned
    model.chat_template = ChatTemplate({"default": "{{ style }}" + TEMPLATE})
    system = {"role": "system", "content": "You answer in one short sentence. " * 4}
    defaults = Defaults(template_kwargs={"style": "Formal. "})
    with running(model, defaults=defaults) as server, server.http() as http:
        house = Beginning(name="house", messages=[system])
        keep(server.app.service.models, [house], None, date(2026, 1, 31))
        body = {"messages": [system, *ASKED], "max_tokens": 2}
        usage = http.post("/v1/chat/completions", json=body).json()["usage"]

        kept = http.get("/props").json()["models"][0]["caches"][0]["tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == kept > 128
