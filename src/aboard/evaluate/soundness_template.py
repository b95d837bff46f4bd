"""Does the chat template write conversations down, in tokens that the tokenizer has?

And does the token that it writes after an answer end an answer? Where it doesn't, the model goes
on talking to itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date

from aboard.checkpoint.chat_template import KEY, ChatTemplate
from aboard.checkpoint.chat_template_turns import (
    ANSWER,
    QUESTION,
    TURNS,
    USER_TURN,
    end_of_turn,
    opens_answer,
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
    now = _DAY if _wants_date(template) else None
    yield _renders(template, now)
    yield from _tools(template, subject, now)
    if subject.tokenizer is not None:
        yield from _tokens(template, subject.tokenizer, now)


_RENDERS = "it writes a question, an answer and a system turn, and opens the next answer"
_DAY = date(2026, 1, 1)


def _wants_date(template: ChatTemplate) -> bool:
    """Whether the template fails without today's date, and for no other reason."""
    try:
        template.render(USER_TURN)
    except TemplateError:
        with suppress(TemplateError):
            template.render(USER_TURN, now=_DAY)
            return True
    return False


def _renders(template: ChatTemplate, now: date | None) -> Finding:
    failures: list[str] = []
    warnings: list[str] = []
    notes = ["questions and answers are written"]
    try:
        talk = template.render([*TURNS, *USER_TURN], now=now)
        if talk.count(QUESTION) < 2 or ANSWER not in talk:
            failures.append("words of the conversation are left out")
        if not opens_answer(template, now):
            warnings.append("it doesn't open the assistant's turn")
        notes.append(_system_turn(template, now))
    except TemplateError as error:
        failures.append(str(error))
    if now is not None:
        warnings.append("it writes today's date, which has to be given: `strftime_now`")
    passed = "; ".join(filter(None, notes))
    return finding(TEMPLATE[0], _RENDERS, passed, failures=failures, warnings=warnings)


def _system_turn(template: ChatTemplate, now: date | None) -> str:
    try:
        text = template.render([_SYSTEM, *USER_TURN], now=now)
    except TemplateError:
        return "it takes no system turn"
    return "system turns, too" if _INSTRUCTIONS in text else "it leaves the system turn out"


def _tools(template: ChatTemplate, subject: Subject, now: date | None) -> Iterator[Finding]:
    sources = [str(text) for key, text in subject.metadata.items() if key.startswith(KEY)]
    if not any("tools" in source for source in sources):
        yield Finding(
            name="tools", outcome=Outcome.SKIP, found="the template doesn't speak of tools"
        )
        return
    problems = []
    try:
        if "next_ferry" not in template.render(USER_TURN, tools=[_TOOL], now=now):
            problems.append("the tool is left out")
    except TemplateError as error:
        problems.append(str(error))
    expected = "tools are written where the template speaks of them"
    yield finding("tools", expected, "a tool is written", warnings=problems)


def _tokens(template: ChatTemplate, tokenizer: Tokenizer, now: date | None) -> Iterator[Finding]:
    try:
        text = template.render([*TURNS, *USER_TURN], now=now)
        ending, closes = end_of_turn(template, tokenizer, now)
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
    yield _end_of_turn(tokenizer, ending, closes)


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


def _end_of_turn(tokenizer: Tokenizer, ending: int | None, closes: bool) -> Finding:
    stops = ", ".join(_shown(tokenizer, each) for each in sorted(tokenizer.stop_ids)) or "none"
    failures: list[str] = []
    warnings: list[str] = []
    passed = ""
    if ending is None:
        warnings.append(f"no special token stands after an answer; what ends one: {stops}")
    elif ending in tokenizer.stop_ids:
        passed = f"{_shown(tokenizer, ending)} ends an answer"
    elif closes:
        failures.append(f"{_shown(tokenizer, ending)} closes an answer, what ends one: {stops}")
    else:
        warnings.append(
            f"nothing closes an answer, then comes {_shown(tokenizer, ending)}; "
            f"what ends one: {stops}"
        )
    expected = "the special token that the template writes after an answer ends an answer"
    return finding("end-of-turn", expected, passed, failures=failures, warnings=warnings)


def _shown(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{tokenizer.piece(token_id).decode('utf-8', 'replace')[:40]!r} ({token_id})"
