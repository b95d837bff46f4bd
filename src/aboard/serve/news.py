"""What an answer says as it comes, whatever the protocol it is told in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from aboard.serve.given import Finish
    from aboard.serve.spoken import Said


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of answer `index`, and the tokens that it is of, where they are followed."""

    index: int
    text: str
    tokens: list[Said] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CallBegun:
    """Answer `index` calls a tool: its call number `call`, from 0, has an id and a name."""

    index: int
    call: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of the arguments of call number `call`; all of them, joined, are a JSON object."""

    index: int
    call: int
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """Answer `index` is complete; the last news of it.

    Attributes
    ----------
    finish_reason : str
        "length" where it was cut (a call that isn't whole may be the last thing it says then),
        "tool_calls" where it calls tools, else "stop".
    stop : str or None
        The stop text that ended it, where one did.
    """

    index: int
    finish_reason: Finish
    stop: str | None = None


News: TypeAlias = TextDelta | CallBegun | ArgumentsDelta | End


@dataclass(slots=True)
class WholeCall:
    """A call of a tool; its arguments are JSON, cut where the answer was."""

    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class Whole:
    """All that an answer says."""

    index: int
    text: str = ""
    tokens: list[Said] = field(default_factory=list)
    calls: list[WholeCall] = field(default_factory=list)
    finish_reason: Finish = "stop"
    stop: str | None = None

    def take(self, news: News) -> None:
        """Add what is new of it."""
        match news:
            case TextDelta():
                self.text += news.text
                self.tokens += news.tokens
            case CallBegun():
                self.calls.append(WholeCall(news.id, news.name))
            case ArgumentsDelta():
                self.calls[news.call].arguments += news.text
            case End():
                self.finish_reason, self.stop = news.finish_reason, news.stop
