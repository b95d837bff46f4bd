"""The parameters of both kinds of completions: how tokens are drawn, and where answers end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from aboard.serve.body import WHOLE, Body, OnlyFalse
from aboard.serve.drawing_body import DrawingBody
from aboard.serve.response_format import ResponseFormat

Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class StreamOptions(Body):
    """What a stream holds beside the answer."""

    include_usage: bool = False
    include_obfuscation: OnlyFalse = Field(default=False, description="Nothing is padded.")


class SamplingBody(DrawingBody):
    """What both kinds of completions take."""

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
