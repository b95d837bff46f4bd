"""What is asked of a conversation, whatever the protocol it came by.

A route makes a `Conversation` of its body, `answers_to` has it answered, and the route writes the
news of the answers down in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from aboard.checkpoint.chat_template_values import freeze
from aboard.engine.replying import require_no_control, variables_of
from aboard.errors import GrammarError
from aboard.serve.answers import Answers, Ask
from aboard.serve.asking import require_few, require_room, seeded
from aboard.serve.refusals import Refusal, blamed, refusal_of
from aboard.serve.response_format import compiled, require_first_token
from aboard.tool_calls import (
    AUTO,
    Tool,
    ToolChoice,
    Wanted,
    require_distinct,
    rules_name,
    work_of_tools,
)

if TYPE_CHECKING:
    from datetime import date

    from aboard.constrain import Grammar
    from aboard.engine import Sampling
    from aboard.serve.endpoint import Call
    from aboard.serve.response_format import Form
    from aboard.serve.served import ServedModel


__all__ = ["Conversation", "Message", "answers_to", "prompt_of", "require_clean"]

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
        What may be called; `Tool.param` is where in the request each schema stands.
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
    stop_param : str
        Where in the request they stand, for errors.
    top_logprobs : int, optional
        Follow the tokens of the text, each with so many alternatives; by default they aren't.
    owner : str
        Who asks.
    template_kwargs : mapping
        Further variables of the chat template.
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
    stop_param: str = "stop"
    top_logprobs: int | None = None
    owner: str = ""
    template_kwargs: Mapping[str, object] = field(default_factory=dict)
    param: str = "messages"


async def prompt_of(call: Call[Any], served: ServedModel, asked: Conversation) -> list[int]:
    """The tokens of a conversation, up to where the answer begins.

    Raises
    ------
    Refusal
        The chat template refuses it, or a message or a tool is wrong.
    """
    return await call.service.aside(_prompt, served, asked, call.service.day)


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
    if asked.tools or asked.tool_choice.demands:
        grammar: Grammar | None = await service.aside(_tools_grammar, served, asked)
    else:
        grammar = await compiled(call, served, asked.form)
    asks = await service.aside(_asks, served, asked, prompt, grammar)
    return Answers(call, served, asks, per_prompt=asked.n, owner=asked.owner)


def _prompt(served: ServedModel, asked: Conversation, day: date) -> list[int]:
    require_clean(served, asked.tools, asked.template_kwargs)
    variables = served.defaults.variables(asked.template_kwargs)
    with blamed(asked.param):
        return served.model.chat_tokens(
            asked.messages, tools=asked.tools, now=day, template_kwargs=variables
        )


def require_clean(
    served: ServedModel, tools: Sequence[Tool], template_kwargs: Mapping[str, object]
) -> None:
    """Refuse tools and variables that a conversation can't have, by their own names.

    Raises
    ------
    Refusal
        Two tools have the same name, a variable can't be set, or one spells out a control token.
    """
    tokenizer = served.model.tokenizer
    with blamed("tools"):
        require_distinct(tools)
        require_no_control(tokenizer, (), tools)
    with blamed("chat_template_kwargs"):
        require_no_control(tokenizer, (), (), variables_of(template_kwargs))
        freeze(template_kwargs, "chat_template_kwargs")


def _tools_grammar(served: ServedModel, asked: Conversation) -> Grammar:
    """What answers that may call tools are held to, compiled for the model."""
    form = asked.form
    if form is not None and form.schema is None:
        raise Refusal(
            400,
            f"{form.param}: beside tools, text is free or JSON of a schema",
            code="unsupported_parameter",
            param=form.param,
        )
    work = work_of_tools()
    for number, tool in enumerate(asked.tools):
        with blamed(tool.param):
            tool.rules(rules_name(number), work)
    with blamed(asked.tool_choice.param):
        wanted = Wanted(
            tools=asked.tools,
            choice=asked.tool_choice,
            parallel=asked.parallel_tool_calls,
            stop=asked.stop,
            schema=None if form is None else form.schema,
        )
    with blamed("tools" if form is None else form.param):
        try:
            return _compiled(served, wanted)
        except GrammarError as error:
            if not wanted.stop:
                raise
            failure = error
        _compiled(served, replace(wanted, stop=()))
    raise refusal_of(failure, param=asked.stop_param)  # without them it would do


def _compiled(served: ServedModel, wanted: Wanted) -> Grammar:
    grammar = served.model.tool_calling.grammar(wanted)
    require_first_token(served, grammar)
    return grammar


def _asks(
    served: ServedModel, asked: Conversation, prompt: list[int], grammar: Grammar | None
) -> list[Ask]:
    reader = None
    if asked.tools:
        calling = served.model.tool_calling
        reader = partial(calling.reader, asked.stop, asked.tool_choice)
    return [
        Ask(
            prompt=prompt,
            sampling=sampling,
            max_tokens=asked.max_tokens,
            stop=() if reader else asked.stop,  # where there are tools, the grammar has them
            constraint=grammar,
            reader=reader,
            top_logprobs=asked.top_logprobs,
        )
        for sampling in seeded(asked.sampling, asked.seed, asked.n)
    ]
