"""What `/v1/embeddings` takes and gives, in the words of the cloud API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from aboard.serve.body import WHOLE, Body
from aboard.serve.completion_bodies import Prompt, each_of
from aboard.serve.given import Given


class EmbeddingRequest(Body):
    """Texts to be turned into vectors."""

    model: str = Field(description="A name of `/v1/models`, of an encoder.")
    input: Prompt = Field(
        description="One or several texts, or token ids with what belongs around a text."
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: of the numbers as float32, little-endian."
    )
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None, description="Only as many as the model's vectors have."
    )
    user: str | None = Field(default=None, max_length=512, description="Who asks.")

    @property
    def inputs(self) -> Sequence[str | list[int]]:
        """Each of them."""
        return each_of(self.input)


class Embedding(Given):
    """The vector of one input."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Given):
    """Numbers of tokens."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Given):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
