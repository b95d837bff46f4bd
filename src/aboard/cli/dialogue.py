"""The loop of a chat: what is typed becomes a turn or one of the commands below.

/help            this list
/reset           forget the conversation
/system [TEXT]   start anew with other instructions, or with none
/save FILE       write the conversation to a new JSON file
/stats           speed of the last answer, and how full the context is
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aboard.cli.answer import answer_facts, speed_text
from aboard.cli.conversation import Conversation
from aboard.cli.keyboard import is_interactive
from aboard.cli.output import json_result, note, result, stream
from aboard.errors import AboardError, ContextOverflow, UsageError

if TYPE_CHECKING:
    from aboard.engine import Step
    from aboard.engine.sampling import Sampling


class Dialogue:
    """One user, one conversation."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        context_length: int,
        sampling: Sampling,
        max_tokens: int,
        stop: Sequence[str],
        as_json: bool,
    ) -> None:
        self._conversation = conversation
        self._context_length = context_length
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._stop = stop
        self._as_json = as_json
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/reset": self._reset,
            "/system": self._system,
            "/save": self._save,
            "/stats": self._stats,
        }

    def hold(self, lines: Iterable[str]) -> None:
        """Answer every line. At a terminal an error is told and the talk goes on."""
        forgiving = is_interactive()
        for line in lines:
            try:
                self._take(line.strip())
            except AboardError as error:
                if not forgiving:
                    raise
                note(f"aboard: {error}")
                if error.hint:
                    note(f"  {error.hint}")

    def _take(self, line: str) -> None:
        if not line:
            return
        if not line.startswith("/"):
            self._answer(line)
            return
        word, _, rest = line.partition(" ")
        if word not in self._commands:
            raise UsageError(f"there is no {word}", hint=f"There are {', '.join(self._commands)}.")
        self._commands[word](rest.strip())

    def _answer(self, text: str) -> None:
        steps: list[Step] = []
        answer = self._conversation.ask(
            text, sampling=self._sampling, max_tokens=self._max_tokens, stop=self._stop
        )
        try:
            for step in answer:
                steps.append(step)
                if not self._as_json:
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
        if self._as_json:
            json_result(answer_facts(session, steps), indent=None)
        else:
            result("")
        if session.finish_reason == "length":
            note(f"aboard: stopped after {len(steps)} tokens")

    def _end_line(self, steps: Sequence[Step]) -> None:
        if steps and not self._as_json:
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
        path = Path(name).expanduser()
        content = json.dumps(
            {"messages": self._conversation.messages}, ensure_ascii=False, indent=1
        )
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(f"{content}\n")
        except FileExistsError:
            raise UsageError(f"{path} exists", hint="Give another name.") from None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        note(f"aboard: saved to {path}")

    def _stats(self, _: str) -> None:
        session = self._conversation.session
        timing = session.timing
        used = f"{session.n_tokens:,} of {self._context_length:,} tokens of context used"
        if timing.generated_tokens:
            note(
                f"{speed_text(timing.decode_tokens_per_s)} answering, "
                f"{speed_text(timing.prompt_tokens_per_s)} reading; {used}"
            )
        else:
            note(used)
