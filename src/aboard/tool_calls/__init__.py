"""Calls of tools: how models of a family write them, a grammar that holds them to it, a reader.

`ToolCalling` is how one model does it: `Model.tool_calling`.
"""

from __future__ import annotations

from aboard.tool_calls.calling import ToolCalling
from aboard.tool_calls.grammar import Wanted
from aboard.tool_calls.reading import Arguments, Begun, CallReader, Text
from aboard.tool_calls.tool import Tool, ToolChoice

__all__ = [
    "Arguments",
    "Begun",
    "CallReader",
    "Text",
    "Tool",
    "ToolCalling",
    "ToolChoice",
    "Wanted",
]
