"""The options of `Model.generate`, `chat` and `generate_many`: one flat set of keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aboard.engine.sampling import Sampling
from aboard.errors import UsageError


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` as `Session.generate` and `Scheduler.submit` take them, and `state`.

    Raises
    ------
    UsageError
        An option is unknown or out of its range.
    """
    left = dict(options)
    return {
        "max_tokens": left.pop("max_tokens", 512),
        "stop": left.pop("stop", ()),
        "speculate": left.pop("speculate", None),
        "state": left.pop("state", None),
        "constraint": left.pop("constraint", None),
        "logprobs": False,
        "sampling": _sampling(left),
    }


def _sampling(options: dict[str, Any]) -> Sampling:
    """The sampling that is left when all other options are taken out."""
    sampling = options.pop("sampling", None)
    unknown = sorted(set(options) - set(Sampling.__dataclass_fields__))
    if unknown:
        raise UsageError(
            f"unknown options: {', '.join(unknown)}",
            hint="There are max_tokens, stop, stream, speculate, state, constraint, sampling and "
            "its fields.",
        )
    if sampling is None:
        return Sampling(**options)
    if not isinstance(sampling, Sampling):
        raise UsageError(f"sampling is a {type(sampling).__name__}, expected a Sampling")
    if options:
        raise UsageError(f"sampling and {', '.join(sorted(options))} exclude each other")
    return sampling
