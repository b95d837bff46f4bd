"""The arithmetic below the sampler: Philox, exp and log, by published answers and the C library."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from aboard import _native

INF = math.inf

# The Philox4x32-10 lines of the known-answer file published with Random123.
PHILOX_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), PHILOX_ANSWERS)
def test_philox_gives_the_published_answers(counter: Any, key: Any, answer: Any) -> None:
    assert _native.philox4x32(*counter, *key) == answer


def test_exp_agrees_with_the_c_library() -> None:
    grid = [*np.linspace(-708, 709.7, 5001).tolist(), *np.linspace(-1, 1, 2001).tolist()]

    got = _native.scalar_exp(grid)

    np.testing.assert_allclose(got, [math.exp(x) for x in grid], rtol=1e-15, atol=0)


def test_exp_in_the_softmax_equals_exp() -> None:
    grid = np.linspace(-700, 0, 5001).tolist()

    assert _native.scalar_exp_of_non_positive(grid) == _native.scalar_exp(grid)


def test_log_agrees_with_the_c_library() -> None:
    grid = [*np.geomspace(5e-324, 1.7e308, 5001).tolist(), *np.linspace(0.5, 2, 2000).tolist()]

    got = _native.scalar_log(grid)

    np.testing.assert_allclose(got, [math.log(x) for x in grid], rtol=1e-15, atol=0)


def test_exp_and_log_keep_to_ieee_at_the_edges() -> None:
    np.testing.assert_array_equal(
        _native.scalar_exp([0.0, -0.0, INF, -INF, math.nan, 711.0, -746.0, -745.1]),
        [1.0, 1.0, INF, 0.0, math.nan, INF, 0.0, 5e-324],
    )
    np.testing.assert_array_equal(
        _native.scalar_log([1.0, 0.0, -0.0, INF, -1.0, -INF, math.nan]),
        [0.0, -INF, -INF, INF, math.nan, math.nan, math.nan],
    )
