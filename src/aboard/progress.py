"""How far a long task is, told to whoever asks."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total); the stages, and what is counted in them, are the task's own."""


def silent(stage: str, done: int, total: int) -> None:
    """Nothing: the progress of those who don't want any."""
