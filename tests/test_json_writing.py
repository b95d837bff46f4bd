"""JSON has no NaN and no infinity, however deep they lie."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from aboard.json_writing import json_of


def refused(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, np.float64("inf")])
def test_what_is_no_number_is_null(number: float) -> None:
    text = json_of({"a": [1.5, (number, {"b": number})], "c": number})

    found = json.loads(text, parse_constant=refused)
    assert found == {"a": [1.5, [None, {"b": None}]], "c": None}


def test_numbers_come_back_bit_by_bit() -> None:
    numbers = [0.1, 1e-300, 1e300, -0.0, 2**60, True, None, "\u00e4"]

    assert json.loads(json_of(numbers)) == numbers


def test_what_json_does_not_know_is_told_as_a_text() -> None:
    assert json_of({"path": Path("a/b")}) == '{"path": "a/b"}'
