"""The loop of a chat: what is typed becomes a turn or one of the commands below.

/help            this list
/reset           forget the conversation
/system [TEXT]   start anew with other instructions, or with none
/save FILE       write the conversation to a new JSON file
/stats           speed of the last answer, and how full the context is
//TEXT           a message that begins with /
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aboard.cli.answer import answer_facts, cut_note, speed_text
from aboard.cli.conversation import Conversation
from aboard.cli.keyboard import is_interactive
from aboard.cli.output import json_result, note, result, stream
from aboard.cli.prompt import checked_text
from aboard.cli.transcript import save_transcript
from aboard.errors import AboardError, ContextOverflow, UsageError

if TYPE_CHECKING:
    from aboard.engine import Step
    from aboard.engine.sampling import Sampling
    from aboard.engine.speculation import Drafter

_LIKE_A_COMMAND = re.compile("/[A-Za-z]+")


class Dialogue:
    """One user, one conversation.

    `facts`: what the JSON of each answer begins with; None: print the text as it comes instead.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        context_length: int,
        sampling: Sampling,
        max_tokens: int,
        stop: Sequence[str],
        speculate: Drafter | None,
        facts: Mapping[str, object] | None,
    ) -> None:
        self._conversation = conversation
        self._context_length = context_length
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._stop = stop
        self._speculate = speculate
        self._facts = facts
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/reset": self._reset,
            "/system": self._system,
            "/save": self._save,
            "/stats": self._stats,
        }

    def hold(self, lines: Iterable[str]) -> None:
        """Answer every line.

        At a terminal an error is told and the talk goes on, and a word that looks like a command
        but is none is an error. Elsewhere an error ends the talk, and it is a message.
        """
        interactive = is_interactive()
        for line in lines:
            try:
                self._take(checked_text(line.strip(), "the line"), interactive)
            except AboardError as error:
                if not interactive:
                    raise
                note(f"aboard: {error}")
                if error.hint:
                    note(f"  {error.hint}")

    def _take(self, line: str, interactive: bool) -> None:
        if not line:
            return
        word, *rest = line.split(maxsplit=1)
        if command := self._commands.get(word):
            command("".join(rest))
        elif line.startswith("//"):
            self._answer(line[1:])
        elif interactive and _LIKE_A_COMMAND.fullmatch(word):
            raise UsageError(
                f"there is no {word}",
                hint=f"There are {', '.join(self._commands)}. To say it, type /{word}.",
            )
        else:
            self._answer(line)

    def _answer(self, text: str) -> None:
        steps: list[Step] = []
        answer = self._conversation.ask(
            text,
            sampling=self._sampling,
            max_tokens=self._max_tokens,
            stop=self._stop,
            logprobs=self._facts is not None,
            speculate=self._speculate,
        )
        try:
            for step in answer:
                steps.append(step)
                if self._facts is None:
                    stream(step.text)
        except ContextOverflow as error:
            self._end_line(steps)
            raise ContextOverflow(str(error), hint="/reset starts a new conversation.") from error
        except AboardError:
            self._end_line(steps)
            raise
        except KeyboardInterrupt:
            if not is_interactive():
                raise
            answer.close()
            result("")
            note("aboard: stopped")
            return
        session = self._conversation.session
        if self._facts is not None:
            json_result({**self._facts, **answer_facts(session, steps)}, indent=None)
        else:
            result("")
        limits = {"max_tokens": self._max_tokens, "context": self._context_length}
        if cut := cut_note(session, len(steps), **limits):
            note(f"aboard: {cut}")

    def _end_line(self, steps: Sequence[Step]) -> None:
        if steps and self._facts is None:
            result("")

    def _help(self, _: str) -> None:
        note((__doc__ or "").partition("\n\n")[2].rstrip())

    def _reset(self, _: str) -> None:
        self._conversation.reset(self._conversation.system)
        note("aboard: a new conversation")

    def _system(self, text: str) -> None:
        self._conversation.reset(text or None)
        note("aboard: a new conversation" + (" with these instructions" if text else ""))

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("/save needs the name of a file")
        path = save_transcript(name, self._conversation.messages)
        note(f"aboard: saved to {path}")

    def _stats(self, _: str) -> None:
        session = self._conversation.session
        timing = session.timing
        used = f"{session.n_tokens:,} of {self._context_length:,} tokens of context used"
        guessed = ""
        if timing.drafted_tokens:
            guessed = f"; {timing.accepted_tokens:,} of {timing.drafted_tokens:,} guesses right"
        if timing.generated_tokens:
            note(
                f"{speed_text(timing.decode_tokens_per_s)} answering, "
                f"{speed_text(timing.prompt_tokens_per_s)} reading; {used}{guessed}"
            )
        else:
            note(used)
