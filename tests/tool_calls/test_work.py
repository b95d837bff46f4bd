"""What the schemas of several tools may take together."""

import pytest

from aboard.errors import GrammarError
from aboard.tool_calls import Tool, rules_name, work_of_tools


def costly(name: str) -> Tool:
    """A tool whose schema takes a fair part of what one may."""
    choices = [{"const": f"{name}{n}"} for n in range(60)]
    return Tool(name=name, parameters={"properties": {"a": {"oneOf": choices}}})


def test_tools_that_take_too_much_together_are_refused() -> None:
    work = work_of_tools()
    costly("first").rules(rules_name(0), work)
    spent = work_of_tools().steps_left - work.steps_left
    n_fit = work_of_tools().steps_left // spent

    for _ in range(n_fit - 1):
        costly("first").rules(rules_name(0), work)  # is known, and counts nevertheless
    with pytest.raises(GrammarError, match="too much work"):
        costly("first").rules(rules_name(0), work)


def test_128_usual_tools_may_be_given() -> None:
    work = work_of_tools()
    properties = {
        name: {"type": "string", "description": "Say it.", "maxLength": 200} for name in "abcdefgh"
    }
    properties |= {f"n{n}": {"type": "integer", "minimum": n, "maximum": 90} for n in range(4)}
    parameters = {"properties": properties, "required": ["a"], "additionalProperties": False}

    for number in range(128):
        Tool(name="go", parameters=parameters).rules(rules_name(number), work)

    assert work.steps_left > 0
