"""Answers that call tools, as grammars: free text up to a trigger, then nothing but whole calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aboard.constrain.grammar import Grammar, schema_rules
from aboard.errors import UsageError
from aboard.tool_calls.tool import AUTO, Tool, ToolChoice, require_distinct, work_of_tools

if TYPE_CHECKING:
    from aboard.constrain.schema.document import Schema
    from aboard.tool_calls.form import CallForm


_ID = "/[a-zA-Z0-9]{9}/"
_MARK = '"'  # ends an id behind the arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an answer may be.

    Parameters
    ----------
    tools : sequence of Tool
        Those the model knows, at most 128 of different names.
    choice : ToolChoice
    parallel : bool
        Whether there may be several calls.
    stop : sequence of str
        Texts that end the text of the answer, and are its last characters; calls are left whole.
    schema : mapping, bool or str, optional
        The JSON Schema that the text is held to.

    Raises
    ------
    UsageError
        Two tools have one name, `choice` names what is none of them, or there are none to call.
    """

    tools: Sequence[Tool]
    choice: ToolChoice = AUTO
    parallel: bool = True
    stop: Sequence[str] = ()
    schema: Schema | None = None

    def __post_init__(self) -> None:
        require_distinct(self.tools)
        names = [tool.name for tool in self.tools]
        if self.choice.mode not in ("auto", "none", "required"):
            raise UsageError(f"mode is {self.choice.mode!r}, expected auto, none or required")
        for name in self.choice.names or ():
            if name not in names:
                raise UsageError(f"{self.choice.param} names {name!r}, which is none of the tools")
        if self.choice.mode == "required" and not self.callable:
            raise UsageError(f"{self.choice.param} demands a call, but there are no tools")

    @property
    def callable(self) -> list[Tool]:
        """The tools that may be called."""
        names = self.choice.names
        if self.choice.mode == "none":
            return []
        return [tool for tool in self.tools if names is None or tool.name in names]


def grammar_of(form: CallForm, wanted: Wanted, control: dict[str, int]) -> Grammar:
    """The answers of a model whose calls have the form `form`.

    Parameters
    ----------
    control : dict
        The form's marks that are control tokens of the model, and their ids.

    Raises
    ------
    UnsupportedSchema, GrammarError
        As for `Tool.rules`.
    UsageError
        Text and calls could not be told apart.
    """
    writer = _Writer(form, wanted, control)
    return Grammar.rules(writer.lark())


class _Writer:
    def __init__(self, form: CallForm, wanted: Wanted, control: dict[str, int]) -> None:
        self._form = form
        self._wanted = wanted
        self._control = control
        self._lines: list[str] = []

    def lark(self) -> str:
        """All rules."""
        options = []
        if self._wanted.choice.mode != "required":
            options += self._texts()
        if self._wanted.callable:
            options += self._calls()
        return "\n".join([f"start: {' | '.join(options)}", *self._lines, ""])

    def _texts(self) -> list[str]:
        """The answers that begin with text."""
        form, wanted = self._form, self._wanted
        begins = f"{self._literal(form.text_begins)} " if form.text_begins else ""
        if wanted.schema is not None:
            self._require_told_apart()
            self._lines.append(schema_rules(wanted.schema, "format"))
            return [f"{begins}format"]
        inside = [*wanted.stop, *(form.triggers if form.anywhere else ())]
        ahead = () if form.anywhere else form.triggers
        bad = [f"/(?s:.*)(?:{_either(inside)})(?s:.*)/"] if inside else []
        bad += [f"/(?:{_either(ahead)})(?s:.*)/"] if ahead else []
        self._lines.append("TEXT: /(?s:.+)/" + (" & ~BAD" if bad else ""))
        if bad:
            self._lines.append(f"BAD: {' | '.join(bad)}")
        options = [f"{begins}TEXT?"]
        if wanted.stop:
            # As short as can be, so that only a trigger could come before the stop text.
            self._lines.append("stopped[lazy]: STOPPED")
            stops = f"/(?s:.*)(?:{_either(wanted.stop)})/"
            self._lines.append(f"STOPPED: {stops}{' & ~LED' if ahead or form.anywhere else ''}")
            where = "(?s:.*)" if form.anywhere else ""
            self._lines.append(f"LED: /{where}(?:{_either(form.triggers)})(?s:.*)/")
            options.append(f"{begins}stopped")
        if wanted.callable and form.anywhere:
            options += [f"{begins}{each} calls" for each in self._leads()]
        return options

    def _leads(self) -> list[str]:
        """Text up to a trigger, and the trigger."""
        leads = []
        for number, trigger in enumerate(self._form.triggers):
            if trigger in self._control:
                leads.append(f"TEXT {self._literal(trigger)}")
            else:
                self._lines.append(f"lead-{number}[lazy]: /(?s:.*)/ {_quoted(trigger)}")
                leads.append(f"lead-{number}")
        return leads

    def _calls(self) -> list[str]:
        """The answers that begin with a call."""
        form, wanted = self._form, self._wanted
        opening = f"{self._literal(form.opening)} " if form.opening else ""
        end = f" {self._literal(form.end)}" if form.end else ""
        further = f" ({self._literal(form.again)} call)*" if wanted.parallel and form.again else ""
        self._lines.append(f"calls: {opening}call{further}{end}")
        calls = []
        work = work_of_tools()
        for number, tool in enumerate(wanted.tools):
            if tool in wanted.callable:
                calls.append(self._call(tool, rules_name(number)))
                self._lines.append(tool.rules(rules_name(number), work))
        self._lines.append(f"call: {' | '.join(calls)}")
        if form.prompted:
            return ["calls"]
        told = wanted.choice.mode != "required" and form.anywhere  # by `_leads`, but for marks
        triggers = [each for each in form.triggers if not told or each in self._control]
        return [f"{self._literal(trigger)} calls" for trigger in triggers]

    def _call(self, tool: Tool, arguments: str) -> str:
        form = self._form
        if form.text_begins and (tool.name + form.before_arguments).startswith(form.text_begins):
            raise UsageError(
                f"a tool is called {tool.name!r}, which is how this model begins text",
                hint="Give it another name.",
            )
        if form.before_id:
            before = f"{self._literal(tool.name + form.before_id)} {_ID} "
            before += self._literal(form.before_arguments)
        else:
            before = self._literal(tool.name + form.before_arguments)
        behind = f" {self._literal(form.closing)}" if form.closing else ""
        if form.before_last_id:
            behind = f" ({self._literal(form.before_last_id)} {_ID} {_quoted(_MARK)})?{behind}"
        return f"{before} {arguments}{behind}"

    def _literal(self, text: str) -> str:
        """A text, in which marks are control tokens where the model has them."""
        if not self._control:
            return _quoted(text)
        parts = re.split(f"({_alternatives(self._control)})", text)
        named = [
            f"<[{self._control[part]}]>" if part in self._control else _quoted(part)
            for part in parts
            if part
        ]
        return " ".join(named)

    def _require_told_apart(self) -> None:
        """Refuse text of a schema where calls are told by how an answer begins."""
        if self._wanted.callable and not self._form.anywhere:
            raise UsageError(
                "this model's calls are JSON as the text would be: they can't be told apart",
                hint="Ask for a form of the text, or for tools, or for a call (`required`).",
            )


def rules_name(number: int) -> str:
    """What the rule of the arguments of tool `number` is called."""
    return f"tool-{number}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _alternatives(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in texts)


def _either(texts: Iterable[str]) -> str:
    """Texts as an expression of Rust's, fit to stand between slashes."""
    return "|".join("".join(_escaped(each) for each in text) for text in texts)


def _escaped(character: str) -> str:
    plain = character.isascii() and character.isalnum()
    return character if plain else f"\\x{{{ord(character):x}}}"
