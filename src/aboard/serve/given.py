"""Parts of answers that several routes give, in the words of the cloud API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Given(BaseModel):
    """What an answer is made of. Fields that were not set are not sent."""

    model_config = ConfigDict(extra="forbid")


TextFinish = Literal["stop", "length"]
Finish = Literal["stop", "length", "tool_calls"]


class PromptDetails(Given):
    """Of the prompt's tokens."""

    cached_tokens: int


class Usage(Given):
    """Numbers of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
