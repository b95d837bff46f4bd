"""What Open WebUI asks of a connection of the kind "OpenAI API", as its source makes it."""

import json

from serve.running import Running

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a colour."},
]


def test_the_connection_is_verified_by_the_list_of_models(server: Running) -> None:
    with server.http(headers={"authorization": "Bearer none"}) as http:
        answer = http.get("/v1/models")

    assert answer.status_code == 200
    assert {each["id"] for each in answer.json()["data"]} == {"tiny", "gpt-4o-mini"}


def test_a_chat_is_streamed_with_its_usage(server: Running) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": ASKED,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{"temperature": 0.7, "top_p": 0.9, "max_tokens": 12, "seed": 3, "stop": ["###"]},
        **{"frequency_penalty": 0.1, "presence_penalty": 0.1},
    }
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json=body)

    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines[:-1]]
    assert (answer.status_code, lines[-1]) == (200, "[DONE]")
    assert events[-1]["usage"]["completion_tokens"] == 12
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in events[:-1])


def test_a_title_is_asked_for_whole(server: Running) -> None:
    content = 'Give a title as JSON: {"title": "..."}'
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": content}],
        **{"stream": False, "max_completion_tokens": 20},
    }
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json=body)

    assert answer.status_code == 200
    assert isinstance(answer.json()["choices"][0]["message"]["content"], str)
