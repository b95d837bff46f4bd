"""`response_format`: the form that an answer is held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag

from aboard.errors import GrammarError
from aboard.serve.body import Body, told_by
from aboard.serve.refusals import refusal_of

if TYPE_CHECKING:
    from aboard.constrain import Grammar
    from aboard.serve.endpoint import Call
    from aboard.serve.served import ServedModel


class TextFormat(Body):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Body):
    """Any JSON object; beyond the cloud API, JSON that `schema` accepts."""

    type: Literal["json_object"]
    schema_: dict[str, Any] | bool | None = Field(default=None, alias="schema")


class JsonSchema(Body):
    """A schema. It is always kept to: `strict` changes nothing, nor does `name`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")] | None = None
    description: str | None = None
    schema_: dict[str, Any] | bool = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Body):
    """JSON that the schema accepts."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class GrammarFormat(Body):
    """Text of a grammar; beyond the cloud API, which has this form for the inputs of tools.

    The syntax is llguidance's variant of Lark, or a regular expression of ECMA-262 that matches the
    whole answer.
    """

    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class ChoiceFormat(Body):
    """One of several texts; beyond the cloud API."""

    type: Literal["choice"]
    choices: Annotated[list[str], Field(min_length=1, max_length=10_000)]


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonObjectFormat, Tag("=json_object")]
    | Annotated[JsonSchemaFormat, Tag("=json_schema")]
    | Annotated[GrammarFormat, Tag("=grammar")]
    | Annotated[ChoiceFormat, Tag("=choice")],
    told_by("type", "text", "json_object", "json_schema", "grammar", "choice"),
]


@dataclass(frozen=True, slots=True)
class Form:
    """What the text of an answer is held to.

    Attributes
    ----------
    grammar : callable
        Makes it; that takes time.
    param : str
        Where in the request it stands, for errors.
    schema : mapping or bool, optional
        The JSON Schema of the text, where it has one.
    """

    grammar: Callable[[], Grammar]
    param: str
    schema: dict[str, Any] | bool | None = None


def schema_form(schema: dict[str, Any] | bool, param: str) -> Form:
    """JSON that a schema accepts, which stands at `param`."""
    return Form(lambda: _of_schema(schema), param, schema)


def _of_schema(schema: dict[str, Any] | bool) -> Grammar:
    from aboard.constrain import Grammar

    try:
        text = json.dumps(schema)
    except RecursionError:
        return Grammar.json_schema(schema)  # which says so
    return _of_text(text)


@lru_cache(maxsize=32)  # clients ask for the same again and again
def _of_text(schema: str) -> Grammar:
    from aboard.constrain import Grammar

    return Grammar.json_schema(schema)


def form_of(asked: ResponseFormat | None, param: str = "response_format") -> Form | None:
    """The form that a body asks for, where it stands at `param`."""
    from aboard.constrain import Grammar

    match asked:
        case None | TextFormat():
            return None
        case JsonObjectFormat():
            if asked.schema_ is not None:
                return schema_form(asked.schema_, f"{param}.schema")
            return Form(Grammar.json_object, param, {"type": "object"})
        case JsonSchemaFormat(json_schema=JsonSchema(schema_=schema)):
            return schema_form(schema, f"{param}.json_schema.schema")
        case GrammarFormat(syntax="regex"):
            return Form(lambda: Grammar.regex(asked.definition), f"{param}.definition")
        case GrammarFormat():
            return Form(lambda: Grammar.lark(asked.definition), f"{param}.definition")
        case ChoiceFormat():
            return Form(lambda: Grammar.choice(asked.choices), f"{param}.choices")


async def compiled(call: Call[Any], served: ServedModel, form: Form | None) -> Grammar | None:
    """What the answer is held to; compiled for the model, so that the scheduler needn't wait.

    Raises
    ------
    Refusal
        The schema or grammar is wrong, unsupported or too costly.
    """
    if form is None:
        return None
    try:
        return await call.service.aside(_compiled, served, form)
    except GrammarError as error:
        raise refusal_of(error, param=form.param) from None


def _compiled(served: ServedModel, form: Form) -> Grammar:
    grammar = form.grammar()
    require_first_token(served, grammar)
    return grammar


def require_first_token(served: ServedModel, grammar: Grammar) -> None:
    """Compile a grammar for the model, and compute what an answer may begin with.

    Raises
    ------
    GrammarError
        One of the two takes more work than it may.
    """
    constraint = served.model.constraint(grammar)
    assert constraint is not None
    constraint.allowed()
