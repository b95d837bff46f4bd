"""The same conversation has the same answer, by whichever protocol it is asked."""

from typing import Any

import pytest

from serve.running import Running

SYSTEM, SAID, ANSWERED, MORE = "Be brief.", "Name a colour.", "Red.", "Another?"
WAYS = [
    {"temperature": 0},
    {"temperature": 0.9, "top_p": 0.8, "seed": 5},
    {"temperature": 1, "top_k": 4, "seed": -2, "repetition_penalty": 1.3},
    {"temperature": 1, "seed": 3, "logit_bias": {"65": 4.5}, "presence_penalty": 1},
]


def asked(server: Running, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with server.http() as http:
        answer = http.post(path, json={"model": "tiny"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("way", WAYS)
def test_the_same_conversation_has_the_same_answer(server: Running, way: dict) -> None:
    turns = [
        {"role": "user", "content": SAID},
        {"role": "assistant", "content": ANSWERED},
        {"role": "user", "content": MORE},
    ]
    system = {"role": "system", "content": SYSTEM}

    chat = asked(
        server, "/v1/chat/completions", {"messages": [system, *turns], "max_tokens": 16} | way
    )
    response = asked(
        server,
        "/v1/responses",
        {"instructions": SYSTEM, "input": turns, "max_output_tokens": 16} | way,
    )
    message = asked(
        server, "/v1/messages", {"system": SYSTEM, "messages": turns, "max_tokens": 16} | way
    )
    count = asked(server, "/v1/messages/count_tokens", {"system": SYSTEM, "messages": turns})

    said = chat["choices"][0]["message"]["content"]
    assert said
    assert response["output"][0]["content"][0]["text"] == said
    assert message["content"][0]["text"] == said
    usage = message["usage"]
    assert (
        chat["usage"]["prompt_tokens"]
        == response["usage"]["input_tokens"]
        == usage["input_tokens"] + usage["cache_read_input_tokens"]
        == count["input_tokens"]
    )
    assert (
        chat["usage"]["completion_tokens"]
        == response["usage"]["output_tokens"]
        == usage["output_tokens"]
    )
    assert (
        chat["system_fingerprint"]
        == response["system_fingerprint"]
        == message["system_fingerprint"]
    )
