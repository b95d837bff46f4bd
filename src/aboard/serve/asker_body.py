"""Who asks by the cloud API's conversations, and what is said of the cache."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aboard.serve.body import Body


class AskerBody(Body):
    """Who asks, by either name, and what changes nothing of the cache."""

    user: str | None = Field(
        default=None,
        max_length=512,
        description="Who asks: the turns of those who wait are shared out between users.",
    )
    safety_identifier: str | None = Field(
        default=None, max_length=512, description="The newer name of `user`."
    )
    prompt_cache_key: str | None = Field(
        default=None, max_length=512, description="Changes nothing: all prompts share one cache."
    )
    prompt_cache_retention: Literal["in-memory", "in_memory"] | None = None

    @property
    def owner(self) -> str:
        """Who asks."""
        return self.safety_identifier or self.user or ""
