"""`/completion` and other routes that clients of llama.cpp's server know."""

import json
import math
from typing import Any

import pytest

from aboard.engine import Model, Sampling
from serve.running import Running

# of llama.cpp's documentation of its server, "POST /completion"
DEFAULTS = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}


def asked(server: Running, path: str = "/completion", **body: Any) -> Any:
    with server.http() as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(server: Running, path: str = "/completion", **body: Any) -> dict[str, Any]:
    with server.http() as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 400
    return answer.json()["error"]


def alone(model: Model, prompt: str | list[int], n: int, **sampling: Any) -> list[int]:
    """The tokens that a session of its own gives."""
    tokens = model.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    with model.session() as session:
        steps = session.generate(tokens, sampling=Sampling(**sampling), max_tokens=n)
        return [step.token for step in steps]


def test_a_prompt_is_continued_as_the_engine_alone_continues_it(
    server: Running, model: Model
) -> None:
    answer = asked(
        server, prompt="Water", n_predict=12, seed=7, return_tokens=True, cache_prompt=False
    )

    assert answer["tokens"] == alone(model, "Water", 12, seed=7, **DEFAULTS)
    assert answer["content"] == model.tokenizer.decode(answer["tokens"])
    assert answer["prompt"].endswith("Water")
    assert (answer["stop"], answer["stop_type"], answer["truncated"]) == (True, "limit", False)
    assert answer["system_fingerprint"] == server.served.fingerprint
    settings = answer["generation_settings"]
    assert settings | DEFAULTS | {"seed": 7, "n_predict": 12, "logit_bias": []} == settings
    timings = answer["timings"]
    assert timings["predicted_n"] == answer["tokens_predicted"] == 12
    assert timings["prompt_n"] + timings["cache_n"] == answer["tokens_evaluated"]
    assert all(value >= 0 and math.isfinite(value) for value in timings.values())


def test_a_stream_says_the_same_and_ends_with_the_facts(server: Running) -> None:
    body = {"prompt": "Water", "n_predict": 9, "temperature": 0, "n_probs": 2}
    whole = asked(server, **body)

    with server.http() as http:
        answer = http.post("/completion", json=body | {"stream": True})
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]

    *news, last = events
    assert [each["stop"] for each in events] == [False] * len(news) + [True]
    assert "".join(each["content"] for each in news) == whole["content"]
    probabilities = [each for event in news for each in event["completion_probabilities"]]
    assert probabilities == whole["completion_probabilities"]
    assert [each["id"] for each in probabilities] == [
        token for event in news for token in event["tokens"]
    ]
    same = ("stop_type", "tokens_predicted", "has_new_line", "prompt")
    assert [last[name] for name in same] == [whole[name] for name in same]
    assert last["content"] == ""


def test_each_of_several_prompts_is_answered_whatever_its_form(
    server: Running, model: Model
) -> None:
    tokens = model.tokenizer.encode("Water")
    mixed = [*tokens, " boils", 65]
    prompts = ["Water", tokens, {"prompt_string": "Water"}, mixed]

    answers = asked(server, prompt=prompts, n_predict=6, temperature=0, return_tokens=True)
    single = asked(server, prompt=mixed, n_predict=6, temperature=0, return_tokens=True)

    written = [*tokens, *model.tokenizer.encode(" boils", add_special=False), 65]
    expected = [alone(model, each, 6) for each in (tokens, tokens, tokens, written)]
    assert [each["tokens"] for each in answers] == expected
    assert [each["index"] for each in answers] == [0, 1, 2, 3]
    assert single["tokens"] == expected[3]


def test_bias_forbids_tokens_and_texts_and_ends(server: Running, model: Model) -> None:
    free = alone(model, "Water", 6)
    forbidden = [[free[0], False], ["zz", -3.5]]

    biased = asked(server, prompt="Water", n_predict=6, temperature=0, logit_bias=forbidden)
    endless = asked(server, prompt="Water", n_predict=6, temperature=0, ignore_eos=True)

    (z,) = set(model.tokenizer.encode("zz", add_special=False))
    found = {each["token"]: each["bias"] for each in biased["generation_settings"]["logit_bias"]}
    assert found == {free[0]: None, z: -3.5}
    assert biased["content"][:1] != model.tokenizer.decode(free[:1])
    ends = {each["token"] for each in endless["generation_settings"]["logit_bias"]}
    assert ends == model.tokenizer.stop_ids


def test_an_answer_ends_at_a_word_a_full_context_or_a_whole_object(
    server: Running, model: Model
) -> None:
    text = model.tokenizer.decode(alone(model, "Water", 12))
    word = text[5:7]

    stopped = asked(server, prompt="Water", n_predict=12, temperature=0, stop=[word])
    full = asked(server, prompt="Water", temperature=0, ignore_eos=True)
    held = asked(server, prompt="Water", temperature=0, json_schema={"const": [1, "a"]})

    assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", word)
    assert stopped["content"] == text[: text.index(word)]
    assert (full["stop_type"], full["truncated"]) == ("limit", True)
    assert json.loads(held["content"]) == [1, "a"]


def test_fields_can_be_picked(server: Running) -> None:
    fields = ["content", "generation_settings/n_predict", "none", "stop/none"]

    answer = asked(server, prompt="Water", n_predict=3, response_fields=fields)

    assert answer.keys() == {"content", "generation_settings/n_predict"}
    assert answer["generation_settings/n_predict"] == 3


def test_what_contradicts_itself_or_is_too_much_is_refused(server: Running) -> None:
    two = refused(server, prompt="x", n_predict=3, max_tokens=4)
    cut = refused(server, prompt="x", stream=True, response_fields=["content"])
    many = refused(server, prompt=["x"] * 200)
    same = asked(server, prompt="x", n_predict=3, max_tokens=3)

    assert "n_predict and max_tokens" in two["message"]
    assert "response_fields" in cut["message"]
    assert many["param"] == "prompt"
    assert same["tokens_predicted"] == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"grammar": 'root ::= "a"'}, "grammar"),
        ({"samplers": ["top_k"]}, "samplers"),
        ({"mirostat": 2}, "mirostat"),
        ({"id_slot": 0}, "id_slot"),
        ({"logit_bias": [[100000, 1]]}, "logit_bias"),
        ({"json_schema": {"type": 5}}, "json_schema"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"prompt_string": "x", "multimodal_data": []}}, "prompt.multimodal_data"),
        ({"prompt": "x" * 600}, "prompt"),
        ({"prompt": [100000]}, "prompt"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    server: Running, body: dict[str, Any], param: str
) -> None:
    assert refused(server, **{"prompt": "x"} | body)["param"] == param


def test_routes_are_known_by_their_other_names(server: Running) -> None:
    chat = {"messages": [{"role": "user", "content": "x"}], "temperature": 0, "max_tokens": 5}

    named = asked(server, "/v1/chat/completions", model="tiny", **chat)
    unnamed = asked(server, "/chat/completions", **chat)
    native = asked(server, "/completions", prompt="x", n_predict=1)
    with server.http() as http:
        models = [http.get(path).json() for path in ("/models", "/v1/models")]
        health = http.get("/v1/health").json()

    assert unnamed["choices"] == named["choices"]
    assert native["stop"] is True
    assert models[0] == models[1]
    assert health == {"status": "ok"}


def test_a_conversation_is_written_down_as_the_model_reads_it(
    server: Running, model: Model
) -> None:
    messages = [{"role": "user", "content": "Hello"}]

    whole = asked(server, "/apply-template", messages=messages)["prompt"]
    bare = asked(server, "/apply-template", messages=messages, add_generation_prompt=False)
    empty = refused(server, "/apply-template", messages=[])

    assert model.tokenizer.encode(whole, add_special=False) == model.chat_tokens(messages)
    assert whole.startswith(bare["prompt"])
    assert whole != bare["prompt"]
    assert empty["param"] == "messages"


def test_props_tell_what_clients_of_another_server_look_for(server: Running, model: Model) -> None:
    with server.http() as http:
        props = http.get("/props").json()

    assert props["model_path"] == model.path.name
    assert props["chat_template"] == model.chat_template.source
    assert props["total_slots"] == props["limits"]["max_sequences"]
    settings = props["default_generation_settings"]
    assert settings["n_ctx"] == model.context_length
    assert settings["params"]["seed"] == settings["params"]["n_predict"] == -1
    assert settings["params"]["top_k"] == 40
