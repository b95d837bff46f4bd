"""An engine of a few lines: a token is a character, and it knows one answer.

It keeps the promises that the commands build on: a session holds the tokens it has seen, overflows
like the real one, and says how many tokens each turn processed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aboard.engine import Timing
from aboard.errors import ContextOverflow, TokenizerError

ANSWER = "Because of light."


@dataclass(frozen=True)
class FakeStep:
    token: int
    text: str
    logprob: float | None


class FakeSession:
    def __init__(self, model: "FakeModel") -> None:
        self.model = model
        self.tokens: list[int] = []
        self.finish_reason: str | None = None
        self.complete = model.complete
        self.timing = Timing()

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    def rewind(self, n_tokens: int) -> None:
        del self.tokens[n_tokens:]

    def generate(
        self, token_ids, *, sampling, max_tokens, stop, logprobs, speculate, constraint
    ) -> Iterator[FakeStep]:
        self.model.guessed_by.append(speculate)
        self.model.held_to.append(constraint)
        self.model.calls.append({"sampling": sampling, "max_tokens": max_tokens, "stop": stop})
        self.model.processed.append(bytes(token_ids).decode())
        if len(self.tokens) + len(token_ids) > self.model.context_length:
            raise ContextOverflow(
                f"{len(self.tokens) + len(token_ids)} tokens, the context holds "
                f"{self.model.context_length}",
                hint="Start anew.",
            )
        self.tokens += token_ids
        self.finish_reason = "length"
        for count, character in enumerate(self.model.answer, start=1):
            self.tokens.append(ord(character))
            self.timing = Timing(len(token_ids), 0.5, count, 0.25, 0.5)
            yield FakeStep(ord(character), character, -0.5 if logprobs else None)
            if self.model.interrupt_after == count:
                self.model.interrupt_after = None
                raise KeyboardInterrupt
            if count == max_tokens or len(self.tokens) == self.model.context_length:
                return
        self.finish_reason = "stop"


class FakeTokenizer:
    def encode(self, text: str) -> list[int]:
        return list(text.encode())


class FakeTemplate:
    may_tell_date = True


class FakeModel:
    def __init__(self) -> None:
        self.answer = ANSWER
        self.interrupt_after: int | None = None
        self.context_length = 1000
        self.complete: bool | None = None
        self.chat_template: object | None = FakeTemplate()
        self.days: list[object] = []
        self.has_tokenizer = True
        self.loaded_with: dict[str, object] = {}
        self.calls: list[dict[str, object]] = []
        self.guessed_by: list[object] = []
        self.held_to: list[object] = []
        self.processed: list[str] = []

    @property
    def tokenizer(self) -> FakeTokenizer:
        if not self.has_tokenizer:
            raise TokenizerError("model.gguf: has no tokenizer")
        return FakeTokenizer()

    def session(self) -> FakeSession:
        return FakeSession(self)

    def chat_tokens(self, messages, *, now=None) -> list[int]:
        self.days.append(now)
        turns = "".join(f"<{each['role']}>{each['content']}" for each in messages)
        return self.tokenizer.encode(turns + "<assistant>")
