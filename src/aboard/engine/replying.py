"""Answers that may call tools: `Model.reply`."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aboard.checkpoint.chat_template import RESERVED
from aboard.engine.stop import StopTexts
from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.engine.model import Model
    from aboard.tool_calls import Tool, ToolChoice

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks about tools."""

    tools: Sequence[Tool]
    choice: str | ToolChoice
    parallel: bool


def new_call_id() -> str:
    """9 letters and digits: every model's template takes such an id."""
    return "".join(secrets.choice(_LETTERS) for _ in range(9))


def calls_or_result(message: Mapping[str, Any]) -> bool:
    """Whether a message calls a tool or tells what one returned."""
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def require_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is no conversation.

    Raises
    ------
    UsageError
        It is none.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise UsageError(f"messages are {messages!r:.80}, expected a sequence")
    for number, each in enumerate(messages, start=1):
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            raise UsageError(
                f"message {number} is {each!r:.80}, expected a mapping with a role",
                hint='Write {"role": "user", "content": "..."}.',
            )


def known_tools(tools: Sequence[Tool | Mapping[str, Any]]) -> list[Tool]:
    """Tools as they are checked and described.

    Raises
    ------
    GrammarError
        A schema has no form in JSON.
    UsageError
        One is none, or they are as `require_distinct` refuses them.
    """
    from aboard.tool_calls import Tool, require_distinct

    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise UsageError(f"tools are {tools!r:.80}, expected a sequence")
    known = [
        each if isinstance(each, Tool) else Tool.of(each, f"tools[{place}].function.parameters")
        for place, each in enumerate(tools)
    ]
    require_distinct(known)
    return known


def variables_of(given: Mapping[str, object]) -> dict[str, Any]:
    """Further variables of a template, for `ChatTemplate.render`.

    Raises
    ------
    UsageError
        They are none, or one is what a template is told anyway.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"template_kwargs are {given!r:.80}, expected a mapping of names")
    for name in given:
        if name in RESERVED:
            raise UsageError(f"template_kwargs: {name} is no variable that may be set")
    return dict(given)


def require_no_control(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Tool],
    variables: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Refuse texts of users that spell out a control token.

    Raises
    ------
    UsageError
        A message, a tool or a variable of the template does.
    """
    places: list[tuple[str, object]] = [
        (f"message {number}", each) for number, each in enumerate(messages, start=1)
    ]
    places += [(f"the tool {tool.name}", tool.described) for tool in tools]
    places += [(f"the template's {name!r:.80}", value) for name, value in variables.items()]
    for place, value in places:
        for text in _texts(value):
            forged = tokenizer.control_in(text)
            if forged is not None:
                raise UsageError(
                    f"{place} holds {forged!r}, a control token of the model",
                    hint="It could pass for another speaker's turn: take it out of the text.",
                )


def _texts(value: object) -> Iterator[str]:
    """All texts in a value of JSON."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, each in value.items():
                yield from _texts(name)
                yield from _texts(each)
        case Sequence() if not isinstance(value, bytes | bytearray):
            for each in value:
                yield from _texts(each)


def reply_of(
    model: Model, prompt: list[int], asked: Asked, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The message that answers `prompt`; errors are those of `Model.reply`."""
    from aboard.tool_calls import Arguments, Begun, Text, ToolChoice, Wanted

    if options.get("constraint") is not None:
        raise UsageError(
            "constraint and tools exclude each other", hint="The answer is held to the tools."
        )
    choice = asked.choice if isinstance(asked.choice, ToolChoice) else ToolChoice(asked.choice)  # type: ignore[arg-type]
    stop = StopTexts(options.get("stop", ())).texts
    wanted = Wanted(tools=asked.tools, choice=choice, parallel=asked.parallel, stop=stop)
    calling = model.tool_calling
    reader, decoder = calling.reader(stop, choice), calling.decoder()
    rest = {name: value for name, value in options.items() if name != "stop"}
    parts = []
    for step in model.steps(prompt, {**rest, "constraint": calling.grammar(wanted)}):
        if step.token not in model.tokenizer.stop_ids:
            parts += reader.push(decoder.push(step.token))
    parts += [*reader.push(decoder.finish()), *reader.finish()]
    content = "".join(part.text for part in parts if isinstance(part, Text))
    calls: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Begun):
            function = {"name": part.name, "arguments": ""}
            calls.append({"id": new_call_id(), "type": "function", "function": function})
        elif isinstance(part, Arguments):
            calls[-1]["function"]["arguments"] += part.text
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if reader.n_calls:
        message["tool_calls"] = calls[: reader.n_calls]
    return message
