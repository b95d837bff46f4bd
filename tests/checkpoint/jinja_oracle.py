"""Chat templates as Hugging Face renders them: Jinja2, with the settings of apply_chat_template."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime(2025, 3, 7, 14, 5, 9)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CALL = {
    "id": "abc123456",
    "type": "function",
    "function": {
        "name": "get_weather",
        "arguments": {"city": "Zürich <&'\">", "days": 2, "f": 1.5, "l": [1, None, True]},
    },
}
TEXT_CALL = {"id": "abc123456", "function": {"name": "get_weather", "arguments": '{"city": "é"}'}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a <city> & 'more' \"é\"",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "City"},
                    "days": {"type": "integer", "enum": [1, 2, 3], "default": 1},
                    "more": {"type": "object", "properties": {"x": {"type": ["string", "null"]}}},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
]


def _user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _assistant(content: object, **more: object) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def _tool(content: str) -> dict[str, Any]:
    return {
        "role": "tool",
        "name": "get_weather",
        "tool_call_id": "abc123456",
        "content": content,
    }


SYSTEM = {"role": "system", "content": "Be brief."}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [_user("Hi")],
    "with instructions": [
        SYSTEM,
        _user(" Hello <|im_end|>\n"),
        _assistant("Hey  "),
        _user("{{ x }} é 日本 🙂"),
    ],
    "with thoughts": [
        _user("q"),
        _assistant("<think>\nreason\n</think>\n\nanswer"),
        _user("again"),
        _assistant("<think>two</think>b"),
    ],
    "with reasoning": [_user("q"), _assistant("a", reasoning_content="because"), _user("more")],
    "with a tool call": [
        SYSTEM,
        _user("weather?"),
        _assistant("", tool_calls=[CALL]),
        _tool('{"t": 3}'),
        _assistant("It is 3."),
        _user("thanks"),
    ],
    "with two tool calls": [
        _user("weather?"),
        _assistant(None, tool_calls=[TEXT_CALL, TEXT_CALL]),
        _tool("sunny"),
        _tool("rain"),
    ],
    "in parts": [_user([{"type": "text", "text": "hello"}, {"type": "text", "text": " there"}])],
    "out of order": [_assistant("x"), _assistant("y")],
    "long": [each for i in range(20) for each in (_user(f"q{i}"), _assistant(f"a{i}"))],
}


class Generation(Extension):
    """The tag that marks an answer for training."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Any) -> str:
        return str(caller())


def render(source: str, messages: object, *, now: datetime | None = None, **extra: object) -> str:
    """What `apply_chat_template` gives."""

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):  # type: ignore[no-untyped-def]
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    if now is not None:
        environment.globals["strftime_now"] = now.strftime
    variables = {"tools": None, "documents": None, "add_generation_prompt": True}
    return environment.from_string(source).render(messages=messages, **SPECIAL, **variables | extra)


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """The conversations, each with and without tools, a date, thinking and an answer's start."""
    for name, messages in CONVERSATIONS.items():
        for tools in (None, TOOLS):
            for prompt in (True, False):
                for more in ({}, {"enable_thinking": False, "now": NOW}):
                    given = {"messages": messages, "tools": tools, "add_generation_prompt": prompt}
                    yield name, given | more
