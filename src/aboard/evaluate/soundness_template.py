"""Does the chat template write conversations down, in tokens that the tokenizer has?

And does the token that it writes after an answer end an answer? Where it doesn't, the model goes
on talking to itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from aboard.checkpoint.chat_template import KEY, ChatTemplate
from aboard.checkpoint.chat_template_turns import (
    ANSWER,
    QUESTION,
    TURNS,
    USER_TURN,
    end_of_turn,
    unknown_markers,
)
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TemplateError
from aboard.evaluate.report import Finding, Outcome, finding
from aboard.evaluate.subject import Subject

TEMPLATE = ("chat-template", "tools", "template-tokens", "begin-of-text", "end-of-turn")

_INSTRUCTIONS = "Answerinrhymes"
_SYSTEM = {"role": "system", "content": _INSTRUCTIONS}
_TOOL = {
    "type": "function",
    "function": {
        "name": "next_ferry",
        "description": "When the next ferry leaves.",
        "parameters": {
            "type": "object",
            "properties": {"harbour": {"type": "string", "description": "From where."}},
            "required": ["harbour"],
        },
    },
}


def check_template(subject: Subject) -> Iterator[Finding]:
    """The chat template alone, and against the tokenizer."""
    try:
        template = ChatTemplate.from_gguf(subject.metadata)
    except TemplateError as error:
        yield finding(TEMPLATE[0], _RENDERS, "", failures=[str(error)])
        return
    if template is None:
        yield Finding(
            name=TEMPLATE[0], outcome=Outcome.SKIP, found="the file has none: no chat, only text"
        )
        return
    subject.template = template
    yield _renders(template)
    yield from _tools(template, subject)
    if subject.tokenizer is not None:
        yield from _tokens(template, subject.tokenizer)


_RENDERS = "it writes a question, an answer and a system turn, and opens the next answer"


def _renders(template: ChatTemplate) -> Finding:
    failures: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
    try:
        opened = template.render(USER_TURN)
        closed = template.render(USER_TURN, add_generation_prompt=False)
        talk = template.render([*TURNS, *USER_TURN])
    except TemplateError as error:
        (warnings if _wants_date(template) else failures).append(str(error))
    else:
        if QUESTION not in opened or talk.count(QUESTION) < 2 or ANSWER not in talk:
            failures.append("words of the conversation are left out")
        if opened == closed:
            warnings.append("it doesn't open the assistant's turn")
        notes = ["the assistant's turn is opened" if opened != closed else ""]
        notes.append(_system_turn(template))
    passed = "; ".join(filter(None, ["questions and answers are written", *notes]))
    return finding(TEMPLATE[0], _RENDERS, passed, failures=failures, warnings=warnings)


def _wants_date(template: ChatTemplate) -> bool:
    """Whether only today's date was missing."""
    try:
        template.render(USER_TURN, now=date(2026, 1, 1))
    except TemplateError:
        return False
    return True


def _system_turn(template: ChatTemplate) -> str:
    try:
        text = template.render([_SYSTEM, *USER_TURN])
    except TemplateError:
        return "it takes no system turn"
    return "" if _INSTRUCTIONS in text else "it leaves the system turn out"


def _tools(template: ChatTemplate, subject: Subject) -> Iterator[Finding]:
    sources = [str(text) for key, text in subject.metadata.items() if key.startswith(KEY)]
    expected = "tools are written where the template speaks of them"
    if not any("tools" in source for source in sources):
        yield Finding(
            name="tools", outcome=Outcome.SKIP, found="the template doesn't speak of tools"
        )
        return
    problems = []
    try:
        if "next_ferry" not in template.render(USER_TURN, tools=[_TOOL]):
            problems.append("the tool is left out")
    except TemplateError as error:
        problems.append(str(error))
    yield finding("tools", expected, "a tool is written", warnings=problems)


def _tokens(template: ChatTemplate, tokenizer: Tokenizer) -> Iterator[Finding]:
    try:
        text = template.render([*TURNS, *USER_TURN])
        ending = end_of_turn(template, tokenizer)
    except TemplateError:
        return  # told already
    ids = tokenizer.encode(text, add_special=False)
    n_special = sum(map(tokenizer.is_control, ids))
    yield finding(
        "template-tokens",
        "what the template writes as special tokens is known to the tokenizer as such",
        f"{n_special} special tokens in two questions and an answer",
        warnings=[
            f"{marker!r} is split up as plain text" for marker in unknown_markers(text, tokenizer)
        ],
    )
    yield _begin_of_text(tokenizer, ids)
    yield _end_of_turn(tokenizer, ending)


def _begin_of_text(tokenizer: Tokenizer, ids: list[int]) -> Finding:
    warnings = []
    if tokenizer.adds_bos and ids[:1] != [tokenizer.bos_id]:
        warnings.append("texts begin with BOS, conversations don't: the template doesn't write it")
    if ids[:2] == [tokenizer.bos_id] * 2:
        warnings.append("the template writes BOS twice")
    return finding(
        "begin-of-text",
        "BOS, once, where texts begin with it, too",
        "with BOS, once" if tokenizer.adds_bos else "texts don't begin with it",
        warnings=warnings,
    )


def _end_of_turn(tokenizer: Tokenizer, ending: int | None) -> Finding:
    stops = ", ".join(_shown(tokenizer, each) for each in sorted(tokenizer.stop_ids)) or "none"
    failures, warnings = [], []
    if ending is None:
        warnings.append(f"no special token stands after an answer; what ends one: {stops}")
    elif ending not in tokenizer.stop_ids:
        failures.append(
            f"{_shown(tokenizer, ending)} stands after an answer but ends none; what does: {stops}"
        )
    passed = "" if ending is None else f"{_shown(tokenizer, ending)} ends an answer"
    expected = "the special token that the template writes after an answer ends an answer"
    return finding("end-of-turn", expected, passed, failures=failures, warnings=warnings)


def _shown(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{tokenizer.piece(token_id).decode('utf-8', 'replace')[:40]!r} ({token_id})"
