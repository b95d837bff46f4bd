"""`text` of `/v1/responses`: the form that the answer is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from aboard.serve.body import Body, told_by
from aboard.serve.response_format import (
    ChoiceFormat,
    Form,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchema,
    TextFormat,
    form_of,
    schema_form,
)

_PLACE = "text.format"


class NamedSchemaFormat(JsonSchema):
    """JSON that the schema accepts."""

    type: Literal["json_schema"]


AnswerFormat = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonObjectFormat, Tag("=json_object")]
    | Annotated[NamedSchemaFormat, Tag("=json_schema")]
    | Annotated[GrammarFormat, Tag("=grammar")]
    | Annotated[ChoiceFormat, Tag("=choice")],
    told_by("type", "text", "json_object", "json_schema", "grammar", "choice"),
]


class TextConfig(Body):
    """What the text of the answer is like."""

    format: AnswerFormat = Field(default_factory=lambda: TextFormat(type="text"))

    unsupported: ClassVar[Mapping[str, str]] = {
        "verbosity": "how much a model says can't be set",
    }

    @property
    def form(self) -> Form | None:
        """What the answer is held to."""
        asked = self.format
        if isinstance(asked, NamedSchemaFormat):
            return schema_form(asked.schema_, f"{_PLACE}.schema")
        return form_of(asked, _PLACE)

    @property
    def told(self) -> dict[str, Any]:
        """The same in the words of the response."""
        return {"format": self.format.model_dump(by_alias=True, exclude_none=True)}
