"""Rotary angles of a model: how far each pair of values turns a position, and what it grows by.

Everything is +, -, *, / and the engine's own logarithm: the same bits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aboard.errors import ConfigError
from aboard.models.decoder import Rope, Yarn

_LARGEST_ANGLE = 2.0**31  # up to there the engine's sine and cosine hold (native/engine/rope.cc)


def rope_frequencies(
    rope: Rope, vectors: Mapping[str, npt.NDArray[np.float32]], context: int, longest: int
) -> list[float]:
    """Radians a position, one for each pair of values of a head.

    Parameters
    ----------
    rope : Rope
        What the model says.
    vectors : mapping
        Holds the rope's divisors by name.
    context : int
        Tokens a session may hold: decides between short and long divisors.
    longest : int
        Tokens the model was made for: the frequencies must be of use so far.

    Raises
    ------
    ConfigError
        The frequencies are no use over the model's context.
    """
    from aboard import _native

    chosen = rope.long_divisors if is_long(rope, context) else rope.divisors
    divisors = [] if chosen is None else vectors[chosen.name].tolist()
    if any(divisor <= 0 for divisor in divisors):
        raise ConfigError(f"a divisor of the rope frequencies is {min(divisors)}, expected above 0")
    found = _native.rope_frequencies(rope.base, rope.rotated_dims, divisors, rope.scale)
    if rope.yarn is not None:
        found = _stretched(found, rope, rope.yarn)
    if max(found) * longest >= _LARGEST_ANGLE:
        raise ConfigError(
            f"the rope turns by {max(found):.3g} radians a token, too far to tell "
            f"{longest} positions apart",
            hint="The base, the scaling factor or the divisors in the file are damaged.",
        )
    return found


def is_long(rope: Rope, context: int) -> bool:
    """Whether a context of so many tokens takes the rope's divisors for long ones."""
    return rope.original_context is not None and context > rope.original_context


def rope_growth(rope: Rope) -> float:
    """What cosine and sine are multiplied by."""
    if rope.growth is not None:
        return rope.growth
    if rope.yarn is None or rope.yarn.factor <= 1.0:
        return 1.0
    log = 0.1 * _log(rope.yarn.factor)
    return (log + 1.0) / (log * rope.growth_divisor + 1.0)


def _stretched(frequencies: list[float], rope: Rope, yarn: Yarn) -> list[float]:
    """YaRN's frequencies: those of slow pairs divided by its factor (arXiv:2309.00071, 3.2)."""
    first, last = _pair_of(yarn.beta_fast, rope, yarn), _pair_of(yarn.beta_slow, rope, yarn)
    low = float(max(math.floor(first), 0))
    high = float(min(math.ceil(last), rope.rotated_dims - 1))
    width = max(high - low, 0.001)
    stretched = []
    for i, frequency in enumerate(frequencies):
        slow = min(max((i - low) / width, 0.0), 1.0)
        stretched.append(frequency / yarn.factor * slow + frequency * (1.0 - slow))
    return stretched


def _pair_of(turns: float, rope: Rope, yarn: Yarn) -> float:
    """The pair, as a fraction, that turns so many times over the original context."""
    length = yarn.original_context / (turns * 2.0 * math.pi)
    return rope.rotated_dims * _log(length) / (2.0 * _log(rope.base))


def _log(x: float) -> float:
    from aboard import _native

    return _native.scalar_log([x])[0]
