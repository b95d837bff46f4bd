"""How one model calls tools: `ToolCalling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aboard.tool_calls.grammar import Wanted, grammar_of
from aboard.tool_calls.probing import as_written, found_form, takes_system
from aboard.tool_calls.reading import CallReader
from aboard.tool_calls.tool import AUTO
from aboard.tool_calls.writing import written

if TYPE_CHECKING:
    from aboard.checkpoint.chat_template import ChatTemplate
    from aboard.checkpoint.tokenizer import StreamDecoder, Tokenizer
    from aboard.constrain import Grammar
    from aboard.tool_calls.form import CallForm
    from aboard.tool_calls.tool import Tool, ToolChoice


class ToolCalling:
    """How a model calls tools, found out from its chat template and its control tokens.

    Parameters
    ----------
    template : ChatTemplate
    tokenizer : Tokenizer

    Attributes
    ----------
    form : CallForm
        How it writes calls.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template = template
        self._tokenizer = tokenizer
        texts = tokenizer.control_texts
        self.form: CallForm = found_form(template, texts.keys())
        self._control = {mark: texts[mark] for mark in self.form.marks if mark in texts}

    @cached_property
    def _form_without_tools(self) -> CallForm:
        return as_written(self.form, self._template)

    @cached_property
    def _takes_system(self) -> bool:
        return takes_system(self._template)

    def written(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
        """The messages and tools that the chat template is to be given.

        Parameters
        ----------
        messages : sequence of mappings
            `role` and `content`; of an assistant `tool_calls`, too, in the form of the cloud API,
            with arguments as JSON text or as a mapping; of a tool `tool_call_id`.
        tools : sequence of Tool
            What may be called; none where the conversation only tells of past calls.

        Raises
        ------
        UsageError
            A call is none, or its arguments are no object.
        """
        form = self.form if tools else self._form_without_tools
        told = written(form, messages, tools, takes_system=self._takes_system)
        given = [tool.described for tool in tools] if tools and self.form.tells_tools else None
        return told, given

    def grammar(self, wanted: Wanted) -> Grammar:
        """What an answer is held to: text or calls, and every call a whole and valid one.

        Raises
        ------
        UnsupportedSchema, GrammarError
            As for `Tool.rules`.
        UsageError
            Text of a schema and calls could not be told apart.
        """
        return grammar_of(self.form, wanted, self._control)

    def reader(self, stop: Sequence[str] = (), choice: ToolChoice = AUTO) -> CallReader:
        """What finds the calls in the text of an answer, whose control tokens are texts in it.

        Parameters
        ----------
        stop : sequence of str
            Texts that end the text of the answer, as in `Wanted`.
        choice : ToolChoice
            As in `Wanted`: an answer that must call has no text that could be ended.
        """
        return CallReader(self.form, () if choice.mode == "required" else stop)

    def decoder(self) -> StreamDecoder:
        """What makes the text for `reader` of an answer's tokens, but for the one that ends it."""
        return self._tokenizer.stream(skip_special=False, continues=True)
