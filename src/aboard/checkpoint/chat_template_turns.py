"""What a chat template writes around the turns of a conversation, told by rendering some.

Two words that no template has by itself stand for what the user and the assistant say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TemplateError

QUESTION, ANSWER = "Whatcolouristhesky", "Theskyisblue"

Messages = Sequence[Mapping[str, object]]
USER_TURN: Messages = ({"role": "user", "content": QUESTION},)
TURNS: Messages = (*USER_TURN, {"role": "assistant", "content": ANSWER})

# Names between bars, as families write their special tokens; words in angle or square brackets
# alone are often plain text: <tool_call>, [INST].
_MARKER = re.compile(r"<\|[^\s<>|]{1,60}\|>|<｜[^\s<>]{1,60}｜>|<(?:start|end)_of_turn>")


def template_faults(metadata: Mapping[str, object]) -> list[str]:
    """Why the chat template that GGUF `metadata` holds can't write a question down, if it can't."""
    try:
        template = ChatTemplate.from_gguf(metadata)
        if template is not None:
            template.render(USER_TURN, now=date(2026, 1, 1))
    except TemplateError as error:
        return [f"the chat template is of no use: {error}"]
    return []


def opens_answer(template: ChatTemplate, now: date | None = None) -> bool:
    """Whether a conversation that is to be answered ends where an answer begins.

    So it does where words that open it are added, or where they stand after each question anyway.

    Raises
    ------
    TemplateError
        The template refuses a question, or its answer.
    """
    opened = template.render(USER_TURN, now=now)
    if opened != template.render(USER_TURN, now=now, add_generation_prompt=False):
        return True
    talk = template.render(TURNS, now=now, add_generation_prompt=False)
    between = talk.rpartition(ANSWER)[0].rpartition(QUESTION)[2]
    return between.strip() == opened.rpartition(QUESTION)[2].strip()


def end_of_turn(
    template: ChatTemplate, tokenizer: Tokenizer, now: date | None = None
) -> tuple[int | None, bool]:
    """The control token that the template writes after an answer, and whether it is the answer's.

    The answer's is that which closes the last answer of a conversation. Where there is none, it is
    the one that stands between an answer and the next question; where there is none, None.

    Raises
    ------
    TemplateError
        The template refuses a question and its answer, or leaves the answer out.
    """
    last = template.render(TURNS, now=now, add_generation_prompt=False)
    followed = template.render([*TURNS, *USER_TURN], now=now)
    for text, closes in ((last, True), (followed, False)):
        _, found, after = text.rpartition(ANSWER)
        if not found:
            raise TemplateError("the chat template leaves the assistant's words out")
        ids = tokenizer.encode(after.partition(QUESTION)[0], add_special=False)
        for token_id in filter(tokenizer.is_control, ids):
            return token_id, closes
    return None, False


def unknown_markers(text: str, tokenizer: Tokenizer) -> Iterator[str]:
    """What looks like a special token in a rendered `text`, and is none of the tokenizer's."""
    for marker in dict.fromkeys(_MARKER.findall(text)):
        if len(tokenizer.encode(marker, add_special=False)) != 1:
            yield marker
