"""What a chat template writes around the turns of a conversation, told by rendering some.

Two words that no template has by itself stand for what the user and the assistant say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

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


def end_of_turn(template: ChatTemplate, tokenizer: Tokenizer) -> int | None:
    """The control token that the template writes after an answer; None where it writes none.

    Raises
    ------
    TemplateError
        The template refuses a question and its answer.
    """
    text = template.render(TURNS, add_generation_prompt=False)
    _, found, after = text.rpartition(ANSWER)
    if not found:
        raise TemplateError("the chat template leaves the assistant's words out")
    ids = tokenizer.encode(after, add_special=False)
    return next((each for each in ids if tokenizer.is_control(each)), None)


def unknown_markers(text: str, tokenizer: Tokenizer) -> Iterator[str]:
    """What looks like a special token in a rendered `text`, and is none of the tokenizer's."""
    for marker in dict.fromkeys(_MARKER.findall(text)):
        if len(tokenizer.encode(marker, add_special=False)) != 1:
            yield marker
