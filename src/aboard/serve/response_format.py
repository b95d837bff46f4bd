"""`response_format`: the form that an answer is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag

from aboard.errors import GrammarError, UnsupportedSchema
from aboard.serve.body import Body, told_by
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.constrain import Grammar
    from aboard.serve.endpoint import Call
    from aboard.serve.served import ServedModel


class TextFormat(Body):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Body):
    """A schema and its name. It is always kept to: `strict` changes nothing."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
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


_PLACES = {
    "json_object": "",
    "json_schema": ".json_schema.schema",
    "grammar": ".definition",
    "choice": ".choices",
}


async def grammar_of(
    call: Call[Any], served: ServedModel, asked: ResponseFormat | None
) -> Grammar | None:
    """What the answer is held to; compiled for the model, so that the scheduler needn't wait.

    Raises
    ------
    Refusal
        The schema or grammar is wrong, unsupported or too costly.
    """
    if asked is None or isinstance(asked, TextFormat):
        return None
    try:
        return await call.service.aside(_compiled, served, asked)
    except GrammarError as error:
        param = f"response_format{_PLACES[asked.type]}"
        unsupported = isinstance(error, UnsupportedSchema)
        code = "unsupported_schema" if unsupported else "invalid_grammar"
        hint = f" ({error.hint})" if error.hint else ""
        raise Refusal(400, f"{param}: {error}{hint}", code=code, param=param) from None


def _compiled(
    served: ServedModel,
    asked: JsonObjectFormat | JsonSchemaFormat | GrammarFormat | ChoiceFormat,
) -> Grammar:
    from aboard.constrain import Grammar

    match asked:
        case JsonObjectFormat():
            grammar = Grammar.json_object()
        case JsonSchemaFormat():
            grammar = Grammar.json_schema(asked.json_schema.schema_)
        case GrammarFormat(syntax="regex"):
            grammar = Grammar.regex(asked.definition)
        case GrammarFormat():
            grammar = Grammar.lark(asked.definition)
        case ChoiceFormat():
            grammar = Grammar.choice(asked.choices)
    served.model.constraint(grammar)
    return grammar
