"""The parameters of both kinds of completions: how tokens are drawn, and where answers end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from aboard.serve.body import WHOLE, Body, OnlyFalse
from aboard.serve.refusals import Refusal
from aboard.serve.response_format import ResponseFormat

if TYPE_CHECKING:
    from aboard.engine import Sampling

Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
TokenId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
_MOST_BIASES = 1024


def _few(given: object) -> object:
    """Before any is looked at: pydantic counts them at last."""
    if isinstance(given, dict) and len(given) > _MOST_BIASES:
        raise ValueError(f"{len(given)} tokens, expected at most {_MOST_BIASES}")
    return given


Biases = Annotated[dict[TokenId, Bias], Field(max_length=_MOST_BIASES), BeforeValidator(_few)]


class StreamOptions(Body):
    """What a stream holds beside the answer."""

    include_usage: bool = False
    include_obfuscation: OnlyFalse = Field(default=False, description="Nothing is padded.")


class SamplingBody(Body):
    """What both kinds of completions take."""

    model: str | None = Field(
        default=None, description="A name of `/v1/models`; by default the first that makes text."
    )
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, ge=0, le=1)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    logit_bias: Biases = Field(
        default_factory=dict, description="Token ids, and what is added to their logits."
    )
    seed: Annotated[int, Field(ge=-(1 << 63), le=(1 << 63) - 1), WHOLE] | None = Field(
        default=None,
        description="Names the random numbers; the same seed gives the same answer. Choice i is "
        "drawn with seed + i. By default another one each time.",
    )
    n: Annotated[int, Field(ge=1, le=128), WHOLE] = Field(
        default=1, description="How many answers."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] = Field(default_factory=list)
    response_format: ResponseFormat | None = Field(
        default=None,
        description="The form that the answer is held to, whatever the model. Of completions it is "
        "beyond the cloud API.",
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(
        default=None,
        max_length=512,
        description="Who asks: the turns of those who wait are shared out between users.",
    )
    top_k: Annotated[int, Field(ge=0, le=(1 << 31) - 1), WHOLE] = Field(
        default=0, description="Beyond the cloud API; 0 is off."
    )
    min_p: float = Field(default=0.0, ge=0, le=1, description="Beyond the cloud API; 0 is off.")
    repetition_penalty: float = Field(
        default=1.0, gt=0, le=10, description="Beyond the cloud API; 1 is off."
    )

    @model_validator(mode="after")
    def _stream_options_need_a_stream(self) -> SamplingBody:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed where stream is true")
        return self

    @property
    def owner(self) -> str:
        """Who asks."""
        return self.user or ""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self, n_vocabulary: int) -> Sampling:
        """How tokens are drawn, but for the seed.

        Raises
        ------
        Refusal
            `logit_bias` names a token that is none.
        """
        from aboard.engine import Sampling

        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        bias = {int(token): value for token, value in self.logit_bias.items()}
        if max(bias, default=0) >= n_vocabulary:
            raise Refusal(
                400,
                f"logit_bias: there is no token {max(bias)}, expected 0 to {n_vocabulary - 1}",
                code="invalid_value",
                param="logit_bias",
            )
        return Sampling(
            **fields,
            repetition_penalty=self.repetition_penalty,
            logit_bias=bias or None,
        )
