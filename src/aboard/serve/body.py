"""Requests' bodies: read within limits, and checked against what is understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from aboard.serve.refusals import Refusal, unsupported

Understood = TypeVar("Understood", bound="Body")


class Body(BaseModel):
    """A request's body. What it doesn't name is refused; null is the same as nothing.

    Attributes
    ----------
    unsupported : mapping
        Parameters of the cloud API that aren't honoured, each with the reason.
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
        return {
            name: value
            for name, value in given.items()
            if value is not None or (name not in cls.model_fields and name not in cls.unsupported)
        }


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
        raise _refusal(kind, data, error) from None


def _refusal(kind: type[Body], data: bytes, error: ValidationError) -> Refusal:
    errors = error.errors(include_url=False, include_context=True, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Refusal(400, "the body is no JSON: " + errors[0]["msg"], code="invalid_json")
    given = _parsed(data)
    # Of several forms that a value may have, the one that was understood furthest was meant.
    places = [(_place(given, each), each) for each in errors]
    place, first = max(places, key=lambda placed: len(placed[0]))
    param = _written(place)
    if first["type"] == "extra_forbidden":
        if len(place) == 1 and param in kind.unsupported:
            return unsupported(param, kind.unsupported[param])
        return Refusal(400, f"unknown parameter: {param}", code="unknown_parameter", param=param)
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    words = first["msg"].removeprefix("Value error, ")
    message = f"{param}: {words}" if param else f"the body: {words}"
    return Refusal(400, message, code=code, param=param or None)


def _parsed(data: bytes) -> Any:
    from pydantic_core import from_json

    return from_json(data)


def _place(given: Any, error: ErrorDetails) -> list[str | int]:
    """Where in the body it is: pydantic's own place has names of alternatives between."""
    place: list[str | int] = []
    parts = error["loc"]
    for number, part in enumerate(parts, start=1):
        if (isinstance(given, Mapping) and part in given) or (
            isinstance(given, Sequence)
            and not isinstance(given, str)
            and isinstance(part, int)
            and part < len(given)
        ):
            given = given[part]
        elif error["type"] != "missing" or number < len(parts):
            continue
        place.append(part)
    return place


def _written(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
