"""What a model may call, and whether it must."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from aboard.constrain.grammar import schema_rules
from aboard.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from aboard.constrain.language.derivative import Questions

MAX_TOOLS = 128
MAX_CHARS = 1 << 18
"""Of all schemas together, as JSON."""
MAX_WORK = 4
"""Of all schemas together, in times what one schema may take: about four seconds."""
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call.

    Parameters
    ----------
    name : str
        1 to 64 letters, digits, `_` and `-`.
    description : str, optional
        What the model is told of it.
    parameters : mapping
        The JSON Schema of its arguments, which are an object; by default it has none.
    param : str
        What errors call the schema, such as "tools[0].function.parameters".

    Raises
    ------
    UsageError
        The name or the description is none, or `parameters` is no schema of an object.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: _NO_ARGUMENTS)
    param: str = "parameters"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise UsageError(
                f"a tool is called {self.name!r:.80}, expected 1 to 64 letters, digits, _ and -"
            )
        if not isinstance(self.description, str | None):
            raise UsageError(f"the description of {self.name} is {self.description!r:.80}, no text")
        if not isinstance(self.parameters, Mapping):
            kind = type(self.parameters).__name__
            raise UsageError(f"{self.param} of {self.name} is a {kind}, expected a mapping")
        kind = self.parameters.get("type", "object")
        if kind != "object":
            raise UsageError(f"{self.param} of {self.name} has the type {kind!r:.80}, not object")

    @classmethod
    def of(cls, given: Mapping[str, Any], param: str = "parameters") -> Tool:
        """The tool that the cloud API describes by `{"type": "function", "function": {...}}`.

        Raises
        ------
        UsageError
            It is none.
        """
        function = given.get("function") if isinstance(given, Mapping) else None
        if not isinstance(function, Mapping) or given.get("type") != "function":
            raise UsageError(
                f"a tool is {given!r:.80}, expected an object",
                hint='Write {"type": "function", "function": {"name": ..., "parameters": ...}}.',
            )
        parameters = function.get("parameters")
        return cls(
            name=function.get("name", ""),
            description=function.get("description"),
            parameters=_NO_ARGUMENTS if parameters is None else parameters,
            param=param,
        )

    @property
    def described(self) -> dict[str, Any]:
        """What chat templates take."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description or "",
                "parameters": dict(self.parameters),
            },
        }

    def rules(self, name: str, work: Questions | None = None) -> str:
        """Lark rules, of which `name` is its arguments as JSON.

        `work` bounds the work of several tools together, what is known already included.

        Raises
        ------
        UnsupportedSchema
            A keyword can't be enforced exactly.
        GrammarError
            The schema is none, is too large, takes too much work, or accepts no object.
        """
        rules, n_steps = _rules(self.schema, name)
        if work is not None:
            work.spend(n_steps)
        return rules

    @property
    def schema(self) -> str:
        """The schema of its arguments, as JSON text.

        Raises
        ------
        GrammarError
            It has no form in JSON.
        """
        try:
            return json.dumps({**self.parameters, "type": "object"})
        except (TypeError, ValueError, RecursionError) as error:
            raise GrammarError(f"{self.param} is no JSON: {error}") from None


@lru_cache(maxsize=256)  # a conversation sends its tools again with each turn
def _rules(schema: str, name: str) -> tuple[str, int]:
    """The rules, and the steps of work that they took."""
    from aboard.constrain.language.derivative import Questions

    questions = Questions()
    n_steps = questions.steps_left
    rules = schema_rules(schema, name, questions)
    return rules, n_steps - questions.steps_left


def work_of_tools() -> Questions:
    """What bounds the work of the schemas of one request's tools together."""
    from aboard.constrain.language.derivative import MAX_STEPS, Questions

    return Questions(MAX_WORK * MAX_STEPS)


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
        Where in a request this stands, for errors.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] | None = None
    param: str = "tool_choice"

    @property
    def demands(self) -> bool:
        """Whether it can't be met without tools."""
        return self.mode == "required" or self.names is not None


AUTO = ToolChoice()


def require_distinct(tools: Sequence[Tool]) -> None:
    """Refuse tools that are too many, too large, or called alike.

    Raises
    ------
    UsageError
        They are.
    """
    if len(tools) > MAX_TOOLS:
        raise UsageError(f"there are {len(tools)} tools, expected at most {MAX_TOOLS}")
    names = set()
    for tool in tools:
        if tool.name in names:
            raise UsageError(f"two tools are called {tool.name!r}")
        names.add(tool.name)
    n_chars = sum(len(tool.schema) for tool in tools)
    if n_chars > MAX_CHARS:
        raise UsageError(
            f"the schemas of the tools have {n_chars} characters, expected at most {MAX_CHARS}"
        )
