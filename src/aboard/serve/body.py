"""Requests' bodies, checked against what is understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, from_json

from aboard.serve.refusals import Refusal

Understood = TypeVar("Understood", bound="Body")

_NULL = {"type": "null"}
_UNSUPPORTED = "unsupported_parameter"
_TOLD_BY = "told_by_"  # and the field that should have told


def _end_lists_early(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            schema["fail_fast"] = True
        for each in schema.values():
            _end_lists_early(each)
    elif isinstance(schema, (list, tuple)):
        for each in schema:
            _end_lists_early(each)


class Body(BaseModel):
    """A request's body, or an object within one. What it doesn't name is refused.

    A field of null is the same as none. What is wrong of a list or of an object's names ends with
    the first that is: a large body has room for a million mistakes, each a hundred times its size.

    Attributes
    ----------
    unsupported : mapping
        Fields of the cloud API that aren't honoured, each with the reason.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
    unsupported: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        known = {field.alias or name for name, field in cls.model_fields.items()}
        kept: dict[str, Any] = {}
        unknown = False
        for name, value in given.items():
            if name in cls.unsupported:
                if value is not None:
                    told = {"name": name, "why": cls.unsupported[name]}
                    raise PydanticCustomError(_UNSUPPORTED, "{why}", told)
            elif name not in known:
                if not unknown:
                    kept[name] = value  # to be refused; the others need no refusal of their own
                unknown = True
            elif value is not None:
                kept[name] = value
        return kept

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As pydantic has it; lists end at their first item that is none."""
        schema = handler(source)
        _end_lists_early(schema)
        return schema

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The fields' schemas; null will do for each that may be left out."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, each in schema.get("properties", {}).items():
            if name not in schema.get("required", ()) and _NULL not in each.get("anyOf", ()):
                about = {key: each.pop(key) for key in ("title", "description") if key in each}
                schema["properties"][name] = {"anyOf": [each, _NULL], **about}
        return schema


def _whole(given: Any) -> Any:
    return int(given) if isinstance(given, float) and given.is_integer() else given


WHOLE = BeforeValidator(_whole)
"""Of integers, behind their bounds: 3.0 is one, too, as JSON Schema has it."""


def _never(given: bool) -> bool:
    if given:
        raise ValueError("only false is supported")
    return given


def few(most: int, what: str) -> BeforeValidator:
    """Of mappings, before any of their names is looked at: pydantic counts them at last."""

    def check(given: Any) -> Any:
        if isinstance(given, dict) and len(given) > most:
            raise ValueError(f"{len(given)} {what}, expected at most {most}")
        return given

    return BeforeValidator(check)


OnlyFalse = Annotated[
    bool, AfterValidator(_never), WithJsonSchema({"type": "boolean", "const": False})
]
"""What is not done; a literal of False would take 0 for it."""


def told_by(field: str, *values: str, default: str | None = None) -> Discriminator:
    """Which of several objects one is, as its `field` says: tags are "=" and the value.

    No tag is a field's name, so that the place of an error can be told from its path. Where there
    is no `field` it is `default`, if there is one.
    """
    known = {f"={value}" for value in values}

    def tag(given: Any) -> str | None:
        value = given.get(field) if isinstance(given, dict) else getattr(given, field, None)
        found = f"={default if value is None else value}"
        return found if found in known else None

    expected = ", ".join(repr(value) for value in values)
    return Discriminator(
        tag,
        custom_error_type=_TOLD_BY + field,
        custom_error_message=f"expected one of {expected}",
    )


def understood(kind: type[Understood], data: bytes) -> Understood:
    """What a body says.

    Raises
    ------
    Refusal
        It is no JSON, or says what isn't understood; the first such place is named.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise _refusal(data, error) from None


def understood_texts(kind: type[Understood], given: Mapping[str, Any]) -> Understood:
    """What the texts of a query or a form say, where numbers are written out.

    Raises
    ------
    Refusal
        They say what isn't understood; the first such place is named.
    """
    try:
        return kind.model_validate_strings(given, strict=False)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        raise _misunderstood(given, errors) from None


def _refusal(data: bytes, error: ValidationError) -> Refusal:
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Refusal(400, f"the body: {errors[0]['msg']}", code="invalid_json")
    return _misunderstood(from_json(data), errors)


def _misunderstood(given: Any, errors: Sequence[ErrorDetails]) -> Refusal:
    # Of several forms that a value may have, the one that was understood furthest was meant.
    places = [(_place(given, each), each) for each in errors]
    place, first = max(places, key=lambda placed: len(placed[0]))
    param = _written(place)
    code, words = _WORDS.get(first["type"], ("invalid_value", None))
    words = words or first["msg"].removeprefix("Value error, ")
    return Refusal(400, f"{param or 'the body'}: {words}", code=code, param=param or None)


_WORDS = {
    "extra_forbidden": ("unknown_parameter", "unknown parameter"),
    "missing": ("missing_required_parameter", "is missing"),
    _UNSUPPORTED: (_UNSUPPORTED, None),
}


def _place(given: Any, error: ErrorDetails) -> list[str | int]:
    """Where in the body it is: pydantic's own place has names of alternatives between."""
    place: list[str | int] = []
    absent = error["loc"][-1:] if error["type"] == "missing" else ()  # or there as null
    for part in error["loc"][: len(error["loc"]) - len(absent)]:
        inside = given
        if isinstance(given, Mapping):
            inside = given.get(part, given)
        elif isinstance(given, Sequence) and isinstance(part, int) and part < len(given):
            inside = given[part]
        if inside is not given:
            given = inside
            place.append(part)
    place += absent
    if error["type"] == _UNSUPPORTED:
        place.append(error["ctx"]["name"])
    if error["type"].startswith(_TOLD_BY):
        place.append(error["type"].removeprefix(_TOLD_BY))
    return place


def _written(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
