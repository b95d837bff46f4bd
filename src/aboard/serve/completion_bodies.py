"""What `/v1/completions` takes and gives, in the words of the cloud API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from aboard.serve.body import WHOLE
from aboard.serve.given import Given, TextFinish, Usage
from aboard.serve.sampling_body import SamplingBody

Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0, le=(1 << 31) - 1), WHOLE]], Field(min_length=1)]
Several = Field(min_length=1, max_length=2048)


def _form(prompt: object) -> str:
    """Which of its forms a prompt has, by what it begins with."""
    first = prompt[0] if isinstance(prompt, list) and prompt else None
    if isinstance(first, list):
        return "lists of tokens"
    if isinstance(first, int):
        return "a list of tokens"
    return "texts" if isinstance(prompt, list) else "a text"


Prompt = Annotated[
    Annotated[Text, Tag("a text")]
    | Annotated[Tokens, Tag("a list of tokens")]
    | Annotated[list[Text], Several, Tag("texts")]
    | Annotated[list[Tokens], Several, Tag("lists of tokens")],
    Discriminator(_form),
]


def each_of(prompt: str | list[int] | list[str] | list[list[int]]) -> Sequence[str | list[int]]:
    """Each of the texts that a `Prompt` holds."""
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt[0], int):
        return [[each for each in prompt if isinstance(each, int)]]
    return [each for each in prompt if not isinstance(each, int)]


class CompletionRequest(SamplingBody):
    """Prompts to be continued as they stand, without a chat template."""

    prompt: Prompt = Field(description="One or several texts, or token ids.")
    max_tokens: Annotated[int, Field(ge=0), WHOLE] = Field(
        default=16, description="0 only with `echo`."
    )
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = None
    echo: bool = Field(default=False, description="Give the prompt, too, and score its tokens.")
    best_of: Annotated[int, Field(ge=1, le=128), WHOLE] | None = Field(
        default=None, description="Only the same as `n`."
    )

    unsupported: ClassVar[Mapping[str, str]] = {
        "suffix": "text can't be filled in before another",
    }

    @model_validator(mode="after")
    def _fits_together(self) -> CompletionRequest:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens of 0 is only allowed where echo is true")
        if self.best_of not in (None, self.n):
            raise ValueError(f"best_of is {self.best_of}, expected n, {self.n}: none is left out")
        return self

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        """Each of them."""
        return each_of(self.prompt)


class TokenLogprobs(Given):
    """All tokens of a text; the first of a prompt has no probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Given):
    """One of `n` answers to one of the prompts."""

    text: str
    index: int
    logprobs: TokenLogprobs | None
    finish_reason: TextFinish


class Completion(Given):
    """The answers."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    system_fingerprint: str


class CompletionChunkChoice(Given):
    """What an event adds to one answer."""

    text: str
    index: int
    logprobs: TokenLogprobs | None
    finish_reason: TextFinish | None


class CompletionChunk(Given):
    """An event of a stream; `usage` is there where it was asked for, and null but in the last."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChunkChoice]
    system_fingerprint: str
    usage: Usage | None = None
