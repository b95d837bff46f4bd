"""`response_format`: the form that an answer is held to."""

from __future__ import annotations

from collections.abc import Mapping
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
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Body):
    """JSON that the schema accepts."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonObjectFormat, Tag("=json_object")]
    | Annotated[JsonSchemaFormat, Tag("=json_schema")],
    told_by("type", "text", "json_object", "json_schema"),
]


async def grammar_of(
    call: Call[Any], served: ServedModel, asked: ResponseFormat | None
) -> Grammar | None:
    """What the answer is held to; compiled for the model, so that the scheduler needn't wait.

    Raises
    ------
    Refusal
        The schema is wrong, unsupported or too costly.
    """
    if asked is None or isinstance(asked, TextFormat):
        return None
    try:
        return await call.service.aside(_compiled, served, asked)
    except UnsupportedSchema as error:
        param = "response_format.json_schema.schema"
        raise Refusal(
            400, f"{param}: {_told(error)}", code="unsupported_schema", param=param
        ) from None
    except GrammarError as error:
        param = "response_format"
        raise Refusal(400, f"{param}: {_told(error)}", code="invalid_schema", param=param) from None


def _compiled(served: ServedModel, asked: JsonObjectFormat | JsonSchemaFormat) -> Grammar:
    from aboard.constrain import Grammar

    schema: Mapping[str, Any] = {"type": "object"}
    if isinstance(asked, JsonSchemaFormat):
        schema = asked.json_schema.schema_
    grammar = Grammar.json_schema(schema)
    served.model.constraint(grammar)
    return grammar


def _told(error: GrammarError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)
