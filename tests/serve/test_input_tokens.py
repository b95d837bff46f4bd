"""How many tokens a conversation has, by the body of each API, without an answer."""

import openai

from aboard.engine import Model
from serve.running import Running

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a colour."},
]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


def counted(server: Running, path: str, **body: object) -> dict:
    with server.http() as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_of_a_chat_it_is_what_its_answer_tells(server: Running, model: Model) -> None:
    function = {"name": "weather", "parameters": PARAMETERS}
    tools = [{"type": "function", "function": function}]

    plain = counted(server, "/v1/chat/completions/input_tokens", messages=ASKED)
    more = counted(server, "/chat/completions/input_tokens", messages=ASKED, tools=tools)
    answer = counted(server, "/v1/chat/completions", messages=ASKED, tools=tools, max_tokens=1)

    assert plain == {"input_tokens": len(model.chat_tokens(ASKED))}
    assert more["input_tokens"] == answer["usage"]["prompt_tokens"] > plain["input_tokens"]


def test_of_a_response_the_openai_package_gets_it(client: openai.OpenAI) -> None:
    first = client.responses.create(model="tiny", input="Name a colour.", max_output_tokens=5)
    asked = {"model": "tiny", "input": "Another.", "previous_response_id": first.id}

    count = client.responses.input_tokens.count(**asked)
    answer = client.responses.create(**asked, max_output_tokens=1)

    assert count.object == "response.input_tokens"
    assert count.input_tokens == answer.usage.input_tokens > first.usage.input_tokens


def test_a_conversation_that_could_not_be_answered_has_none(server: Running) -> None:
    with server.http() as http:
        answer = http.post("/v1/chat/completions/input_tokens", json={"messages": []})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")
