"""Models whose template knows no tools, or writes calls in a way that isn't known here.

They are told of the tools, and how to call them, with the system message.
"""

from __future__ import annotations

from dataclasses import replace

from aboard.tool_calls.families import hermes

FORM = replace(
    hermes.FORM,
    name="plain",
    tells_tools=False,
    writes_calls=False,
    writes_results=False,
    instructions="You may call these functions, which are described by JSON schemas:\n{tools}\n\n"
    "To call one, write an object with its name and its arguments between two tags:\n"
    '<tool_call>\n{"name": "a-name", "arguments": {"a-parameter": "a-value"}}\n</tool_call>\n'
    "What it returns is then told to you.",
)
