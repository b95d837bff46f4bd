"""Calls of tools: how models of a family write them, a grammar that holds them to it, a reader.

`ToolCalling` is how one model does it: `Model.tool_calling`.
"""

from __future__ import annotations

from aboard.tool_calls.calling import ToolCalling
from aboard.tool_calls.grammar import Wanted, rules_name
from aboard.tool_calls.reading import Arguments, Begun, CallReader, Part, Text
from aboard.tool_calls.tool import AUTO, Tool, ToolChoice, require_distinct, work_of_tools
from aboard.tool_calls.writing import object_of

__all__ = [
    "AUTO",
    "Arguments",
    "Begun",
    "CallReader",
    "Part",
    "Text",
    "Tool",
    "ToolCalling",
    "ToolChoice",
    "Wanted",
    "object_of",
    "require_distinct",
    "rules_name",
    "work_of_tools",
]
