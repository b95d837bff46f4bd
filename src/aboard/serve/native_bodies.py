"""What `/completion` takes and gives, in the words of llama.cpp's server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from aboard.serve.body import WHOLE, Body
from aboard.serve.defaults import Defaults
from aboard.serve.given import Given
from aboard.serve.sampling_body import Stop

_NOT_HERE = "this way of sampling isn't supported"
_Off = Annotated[float, Field(ge=0, le=0)]

OWN_NAMES = {"repetition_penalty": "repeat_penalty", "max_tokens": "n_predict"}
"""What `/completion` calls defaults that have other names in the cloud API's routes."""

Token = Annotated[int, Field(ge=0), WHOLE]


class TextPrompt(Body):
    """A text in an object."""

    prompt_string: str


Mixed: TypeAlias = Annotated[list[Token | str], Field(min_length=1)]
Whole: TypeAlias = str | Mixed | TextPrompt


def _form(prompt: object) -> str:
    """A list is one prompt where a token stands in it, and else holds several."""
    if not isinstance(prompt, list):
        return "text" if isinstance(prompt, str) else "object"
    return "mixed" if any(isinstance(each, int) for each in prompt) else "several"


NativePrompt = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[TextPrompt, Tag("object")]
    | Annotated[Mixed, Tag("mixed")]
    | Annotated[list[Whole], Field(min_length=1, max_length=2048), Tag("several")],
    Discriminator(_form),
]
# False forbids a token.
_Bias = Annotated[float, Field(ge=-1e6, le=1e6)] | Literal[False]
_Pair = Annotated[
    tuple[Token | str, _Bias],
    BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),
]


class NativeRequest(Body):
    """Prompts to be continued as they stand, with llama.cpp's names and defaults."""

    prompt: NativePrompt = Field(
        description="Text, token ids, both mixed, or a list of prompts, each answered by its own."
    )
    model: str | None = Field(default=None, description="By default the first of `/v1/models`.")
    n_predict: Annotated[int, Field(ge=-1), WHOLE] = Field(
        default=-1, description="-1: as many tokens as the context holds."
    )
    max_tokens: Annotated[int, Field(ge=-1), WHOLE] | None = Field(
        default=None, description="The same as `n_predict`."
    )
    stream: bool = False
    temperature: float = Field(default=0.8, ge=0, le=1000)
    top_k: Annotated[int, Field(ge=0, le=(1 << 31) - 1), WHOLE] = 40
    top_p: float = Field(default=0.95, ge=0, le=1)
    min_p: float = Field(default=0.05, ge=0, le=1)
    repeat_penalty: float = Field(default=1.0, gt=0, le=10)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    seed: Annotated[int, Field(ge=-1, le=(1 << 63) - 1), WHOLE] = Field(
        default=-1, description="-1: another one each time."
    )
    stop: Annotated[list[Stop], Field(max_length=16)] = Field(default_factory=list)
    logit_bias: (
        Annotated[list[_Pair], Field(max_length=1024)]
        | Annotated[dict[str, _Bias], Field(max_length=1024)]
    ) = Field(default_factory=list, description="Of token ids, or of all tokens of a text.")
    ignore_eos: bool = Field(default=False, description="Forbid the tokens that end an answer.")
    n_probs: Annotated[int, Field(ge=0, le=20), WHOLE] = 0
    json_schema: dict[str, object] | bool | None = None
    return_tokens: bool = False
    response_fields: list[str] = Field(
        default_factory=list, description="Give these alone; a/b is field b of a."
    )
    cache_prompt: bool = Field(default=True, description="Changes nothing but time.")
    id_slot: Annotated[int, Field(ge=-1, le=-1), WHOLE] = -1
    n_keep: Annotated[int, Field(ge=0, le=0), WHOLE] = 0
    typical_p: Annotated[float, Field(ge=1, le=1)] = 1.0
    dynatemp_range: _Off = 0.0
    mirostat: _Off = 0.0
    xtc_probability: _Off = 0.0
    dry_multiplier: _Off = 0.0

    unsupported: ClassVar[Mapping[str, str]] = {
        "grammar": "GBNF isn't read; json_schema is, and Lark in /v1/completions",
        "lora": "adapters aren't supported",
        "post_sampling_probs": "log-probabilities are those of the model",
        "return_progress": "how far a prompt is isn't told",
        "samplers": _NOT_HERE,
        "timings_per_token": "timings are told at the end",
    }

    @model_validator(mode="after")
    def _fits_together(self) -> NativeRequest:
        both = {"n_predict", "max_tokens"} <= self.model_fields_set
        if both and self.n_predict != self.max_tokens:
            raise ValueError("n_predict and max_tokens are two names of the same and differ")
        if self.stream and self.response_fields:
            raise ValueError("response_fields is only allowed where stream is false")
        return self

    @property
    def prompts(self) -> list[Whole]:
        """Each of them."""
        return list(self.prompt) if self.several else [self.prompt]  # type: ignore[arg-type,list-item]

    @property
    def several(self) -> bool:
        """Whether the answer is a list."""
        return _form(self.prompt) == "several"

    @property
    def most_tokens(self) -> int | None:
        """How long an answer may be; None: as the context is."""
        most = self.n_predict if self.max_tokens is None else self.max_tokens
        return None if most < 0 else most


class NativeAlternative(Given):
    """A token and its log-probability under the model."""

    id: int
    token: str
    bytes: list[int]
    logprob: float


class NativeProbability(NativeAlternative):
    """A token of the answer."""

    top_logprobs: list[NativeAlternative]


class Timings(Given):
    """Numbers of tokens and times in milliseconds; `prompt_n` leaves out the cached ones."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


class BiasEntry(Given):
    """What is added to a token's logit; null forbids it."""

    token: int
    bias: float | None


class Drawn(Given):
    """How tokens are drawn, and how many."""

    n_predict: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int


def drawn_by_default(defaults: Defaults) -> Drawn:
    """What a request means that says nothing of it."""
    asked = defaults.into(NativeRequest(prompt=""), **OWN_NAMES)
    return Drawn(**{name: getattr(asked, name) for name in Drawn.model_fields})


class GenerationSettings(Drawn):
    """How the answer was asked for."""

    stop: list[str]
    ignore_eos: bool
    logit_bias: list[BiasEntry]
    n_probs: int
    stream: bool


class NativeEvent(Given):
    """More of an answer."""

    index: int
    content: str
    tokens: list[int]
    stop: Literal[False]
    tokens_predicted: int
    tokens_evaluated: int
    completion_probabilities: list[NativeProbability] = Field(default_factory=list)


class NativeCompletion(Given):
    """An answer; of a stream, its last event, whose content is empty.

    `stop_type` is "eos", "word" (one of `stop`) or "limit"; `truncated` says that the context was
    full.
    """

    index: int
    content: str
    tokens: list[int]
    stop: Literal[True]
    model: str
    system_fingerprint: str
    prompt: str
    tokens_predicted: int
    tokens_evaluated: int
    tokens_cached: int
    generation_settings: GenerationSettings
    has_new_line: bool
    truncated: bool
    stop_type: Literal["eos", "word", "limit"]
    stopping_word: str
    timings: Timings
    completion_probabilities: list[NativeProbability] = Field(default_factory=list)
