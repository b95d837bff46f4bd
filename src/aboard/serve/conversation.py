"""What is asked of a conversation, whatever the protocol it came by.

A route makes a `Conversation` of its body, `answers_to` has it answered, and the route writes the
news of the answers down in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aboard.errors import AboardError
from aboard.serve.answers import Answers, Ask
from aboard.serve.asking import require_few, require_room, seeded
from aboard.serve.refusals import refusal_of
from aboard.serve.response_format import compiled

if TYPE_CHECKING:
    from aboard.engine import Sampling
    from aboard.serve.endpoint import Call
    from aboard.serve.response_format import Form
    from aboard.serve.served import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call.

    Attributes
    ----------
    name, description : str
        What the model is told of it.
    parameters : mapping
        The JSON Schema of its arguments, an object.
    param : str
        Where in the request the schema stands, for errors.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any]
    param: str


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model calls tools.

    Attributes
    ----------
    mode : str
        "auto": it may; "none": it may not; "required": it must.
    names : tuple of str, optional
        The only ones that it may call; by default any.
    param : str
        Where in the request this stands, for errors.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] | None = None
    param: str = "tool_choice"


AUTO = ToolChoice()
Message: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What is asked.

    Attributes
    ----------
    messages : sequence of mappings
        As chat templates take them: `role` ("system", "user", "assistant", "tool") and `content`,
        a str; of an assistant also `tool_calls`, each `{"id", "type": "function", "function":
        {"name", "arguments"}}` with the arguments as a mapping; of a tool `tool_call_id` and
        `name`.
    tools : sequence of Tool
        What may be called.
    tool_choice : ToolChoice
    parallel_tool_calls : bool
        Whether an answer may have several calls.
    form : Form, optional
        What the text of the answer is held to.
    sampling : Sampling
        How tokens are drawn; answer i of n with the seed `seed` + i instead of its own.
    seed : int, optional
        By default any.
    n : int
        How many answers.
    max_tokens : int, optional
        Of each answer; by default as many as the context holds.
    stop : tuple of str
        Texts that end an answer.
    top_logprobs : int, optional
        Follow the tokens of the text, each with so many alternatives; by default they aren't.
    owner : str
        Who asks.
    param : str
        Where in the request the messages stand, for errors.
    """

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice = AUTO
    parallel_tool_calls: bool = True
    form: Form | None = None
    sampling: Sampling
    seed: int | None = None
    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    owner: str = ""
    param: str = "messages"


async def prompt_of(call: Call[Any], served: ServedModel, asked: Conversation) -> list[int]:
    """The tokens of a conversation, up to where the answer begins.

    Raises
    ------
    Refusal
        The chat template refuses it, or a message spells out a control token.
    """
    service = call.service
    try:
        return await service.aside(served.model.chat_tokens, asked.messages, now=service.day)
    except AboardError as error:
        raise refusal_of(error, param=asked.param) from None


async def answers_to(call: Call[Any], served: ServedModel, asked: Conversation) -> Answers:
    """The answers to a conversation, under way.

    Raises
    ------
    Refusal
        It can't be answered: it is too long, too much is asked for, or a parameter is wrong.
    """
    service = call.service
    require_few(service.limits, asked.n)
    prompt = await prompt_of(call, served, asked)
    require_room(served, len(prompt), asked.max_tokens, asked.param)
    grammar = await compiled(call, served, asked.form)

    def asks() -> list[Ask]:
        return [
            Ask(
                prompt=prompt,
                sampling=sampling,
                max_tokens=asked.max_tokens,
                stop=asked.stop,
                constraint=grammar,
                top_logprobs=asked.top_logprobs,
            )
            for sampling in seeded(asked.sampling, asked.seed, asked.n)
        ]

    return Answers(call, served, await service.aside(asks), per_prompt=asked.n, owner=asked.owner)
