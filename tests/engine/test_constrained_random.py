"""Answers of random weights, under schemas of all keywords: what ended validates, every time.

Such a model knows nothing, so that only the grammar makes its answers valid.
"""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from aboard.engine import Grammar, Model, Sampling, load
from aboard.errors import GrammarError
from constrain.random_schemas import random_case
from tiny import tiny_llama

ADDRESS = {
    "type": "object",
    "properties": {
        "street": {"type": "string", "pattern": "^[A-Z][a-z]{2,8} (St|Rd)$"},
        "number": {"type": "integer", "minimum": 1, "maximum": 9999},
        "zip": {"type": "string", "pattern": "^\\d{5}(-\\d{4})?$"},
        "since": {"type": "string", "format": "date"},
    },
    "required": ["street", "number", "zip"],
    "additionalProperties": False,
}
WRITTEN: list[Any] = [
    ADDRESS,
    {"type": "array", "items": {"$ref": "#/$defs/a"}, "maxItems": 3, "$defs": {"a": ADDRESS}},
    {"enum": ["red", "green", 3, None, {"a": [1, 2]}]},
    {"type": "number", "minimum": -1, "exclusiveMaximum": 1, "multipleOf": 0.125},
    {"type": "integer", "not": {"multipleOf": 3}, "minimum": 10, "maximum": 99},
    {"type": "string", "maxLength": 20, "not": {"pattern": "[aeiou]"}},
    *({"type": "string", "format": name} for name in ("date-time", "time", "email", "uuid")),
    *({"type": "string", "format": name} for name in ("ipv4", "ipv6", "hostname", "duration")),
    {"type": "array", "items": {"type": "boolean"}, "contains": {"const": True}, "maxItems": 4},
    {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "uniqueItems": True, "minItems": 2},
    {
        "type": "object",
        "patternProperties": {"^[a-c]{1,3}$": {"type": "integer", "maximum": 9}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 3,
    },
    {
        "type": "object",
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        "properties": {"a": {"type": "null"}, "b": {"type": "boolean"}},
        "additionalProperties": False,
    },
]


def random_schemas(n: int) -> list[Any]:
    """Schemas that can be enforced and accept something."""
    found: list[Any] = []
    for seed in range(1000, 1000 + 3 * n):
        schema, _ = random_case(seed)
        with suppress(GrammarError):
            Grammar.json_schema(schema)
            found.append(schema)
    return found[:n]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")
    return load(path, threads=1, context=512)


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_200_answers_of_random_weights_validate(model: Model, temperature: float) -> None:
    schemas = [*WRITTEN, *random_schemas(30)]
    assert len(schemas) == len(WRITTEN) + 30

    with model.batch() as batch:
        requests = [
            (schema, batch.submit([120], sampling=sampling, constraint=grammar, max_tokens=300))
            for schema in schemas
            for grammar in [Grammar.json_schema(schema)]
            for seed in range(200 // len(schemas) + 1)
            for sampling in [Sampling(temperature=temperature, seed=seed)]
        ]
        answers = [(schema, request.text(), request) for schema, request in requests]

    ended = [(schema, text) for schema, text, request in answers if request.finish_reason == "stop"]
    assert len(answers) >= 200
    assert len(ended) > 0.8 * len(answers)
    assert all(request.complete for *_, request in answers if request.finish_reason == "stop")
    for schema, text in ended:
        exact = json.loads(json.dumps(schema), parse_float=Decimal)
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        validator = jsonschema.Draft202012Validator(exact, format_checker=checker)
        assert validator.is_valid(json.loads(text, parse_float=Decimal)), (schema, text)
