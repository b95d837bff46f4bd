"""JSON Schemas as grammars: what they accept is what the `jsonschema` package accepts."""

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from aboard.constrain import Grammar
from aboard.errors import GrammarError
from constrain.random_schemas import random_case
from constrain.writing import Writer, accepts

DRAFTS = {
    4: ("http://json-schema.org/draft-04/schema#", jsonschema.Draft4Validator),
    6: ("http://json-schema.org/draft-06/schema#", jsonschema.Draft6Validator),
    7: ("http://json-schema.org/draft-07/schema#", jsonschema.Draft7Validator),
    2019: ("https://json-schema.org/draft/2019-09/schema", jsonschema.Draft201909Validator),
    2020: ("https://json-schema.org/draft/2020-12/schema", jsonschema.Draft202012Validator),
}
RECURSIVE = {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"}
LIST = {
    "type": ["object", "null"],
    "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}},
    "required": ["value", "next"],
    "additionalProperties": False,
}
KIND = {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["cat", "dog"]}}}
WORDS = {"type": "array", "items": {"enum": ["a", "b", "c", 1, True]}, "uniqueItems": True}
NO_MORE = {"items": False, "uniqueItems": True}
TREE = {
    "$id": "http://a/strict-tree",
    "$dynamicAnchor": "node",
    "$ref": "tree",
    "unevaluatedProperties": False,
    "$defs": {
        "tree": {
            "$id": "http://a/tree",
            "$dynamicAnchor": "node",
            "type": "object",
            "properties": {"data": {}, "children": {"items": {"$dynamicRef": "#node"}}},
        }
    },
}

# A schema, values it accepts, values it refuses.
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [None, 1, "a", [], {"a": [1]}], []),
    ({"type": "integer"}, [0, -7, 10**30], [1.5, "1", None, True]),
    ({"type": "number", "minimum": -1.5, "exclusiveMaximum": 3}, [-1.5, 2.999, 0], [-1.6, 3, 4]),
    ({"type": "integer", "multipleOf": 7, "not": {"multipleOf": 2}}, [7, -21], [0, 14, 8]),
    ({"type": "number", "multipleOf": 0.25}, [1, -2.5, 0.75], [0.3, 1.1]),
    ({"const": 2}, [2], [2.5, "2"]),
    ({"const": {"a": [1, None]}}, [{"a": [1, None]}], [{"a": [1]}, {}, {"a": [1, None], "b": 1}]),
    ({"enum": ["a", "ab", 3, None, False]}, ["a", "ab", 3, None, False], ["b", 0, True]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "né\n"], ["a", "abcd"]),
    ({"type": "string", "pattern": "^a.*z$", "not": {"pattern": "q"}}, ["az", "abz"], ["aqz", "a"]),
    ({"type": "string", "pattern": '["\\\\/]'}, ['"', "a\\", "/"], ["a", "\n"]),
    ({"type": "string", "not": {"enum": ["no", ""]}}, ["yes", "n", "none"], ["no", ""]),
    (
        {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2},
        [[None]],
        [[], [1]],
    ),
    (
        {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "type": "array"},
        [[], [1], [1, "a"]],
        [["a"], [1, 2], [1, "a", 3]],
    ),
    (
        {"type": "array", "contains": {"type": "integer"}, "minContains": 2, "maxContains": 3},
        [[1, 2], ["a", 1, 2, 3]],
        [[1], ["a", "b"], [1, 2, 3, 4]],
    ),
    ({"type": "array", "not": {"items": {"type": "string"}}}, [[1], ["a", 1]], [[], ["a"]]),
    (WORDS, [[], ["b", "a"], [True, 1, "c"]], [["a", "a"], ["a", "b", "a"], ["d"]]),
    ({**WORDS, "minItems": 2, "maxItems": 2}, [["a", 1]], [["a"], ["a", "b", "c"], [1, 1]]),
    ({"properties": {"a": {"type": "integer"}}}, [{}, {"a": 1, "b": "x"}, 3], [{"a": "x"}]),
    (
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"], "maxProperties": 2},
        [{"b": 1}, {"a": 1, "b": 2}, {"b": 1, "z": 2}],
        [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}],
    ),
    (
        {"patternProperties": {"^x": {"type": "integer"}, "y$": {"minimum": 5}}, "type": "object"},
        [{"x": 1, "z": "a"}, {"xy": 7}, {"y": "a"}],
        [{"x": "a"}, {"xy": 4}, {"y": 1}],
    ),
    (
        {"type": "object", "propertyNames": {"pattern": "^[a-c]$"}, "minProperties": 1},
        [{"a": 1}, {"b": 1, "c": 2}],
        [{}, {"d": 1}],
    ),
    (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "boolean"}},
        [{"a": "x", "b": True}],
        [{"b": 1}],
    ),
    ({"type": "object", "not": {"required": ["a"]}}, [{}, {"b": 1}], [{"a": 1}]),
    (
        {"type": "object", "not": {"additionalProperties": {"type": "string"}}},
        [{"a": 1}, {"a": "x", "b": 2}],
        [{}, {"a": "x"}],
    ),
    ({"allOf": [{"minimum": 3}, {"type": "integer"}, {"not": {"const": 5}}]}, [3, 6], [2, 5, "a"]),
    ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["a", 4, None], [2]),
    ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}], "type": "integer"}, [2, 3, 9], [6, 12, 5]),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
        [{"a": 1}, {"b": 1, "c": 2}],
        [{}, {"a": 1, "b": 2}],
    ),
    (
        {**KIND, "oneOf": [{"properties": {"kind": {"const": k}}} for k in ("cat", "dog")]},
        [{"kind": "cat"}, {"kind": "dog", "x": 1}],
        [{"kind": "cow"}, {}],
    ),
    (
        {**KIND, "if": {"properties": {"kind": {"const": "cat"}}}, "then": {"required": ["tail"]}},
        [{"kind": "dog"}, {"kind": "cat", "tail": 1}],
        [{"kind": "cat"}],
    ),
    (
        {"type": "object", "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": False}},
        [{}, {"b": 1}, {"a": 1, "b": 2}],
        [{"a": 1}, {"c": 1}],
    ),
    (RECURSIVE, [[], [[], [[]]]], [1, [1], [[1]]]),
    (TREE, [{"children": [{"data": 1}]}], [{"children": [{"daat": 1}]}, {"daat": 1}]),
    (LIST, [None, {"value": 1, "next": {"value": 2, "next": None}}], [{"value": 1}, {}]),
    (
        {"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}},
        [None, {"a": {}}],
        [{"a": 1}],
    ),
    (
        {
            "type": "object",
            "properties": {"a": {}},
            "anyOf": [
                {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                {"minProperties": 1},
            ],
            "unevaluatedProperties": {"type": "boolean"},
        },
        [{"a": 1}, {"b": None}, {"b": True, "c": False}],
        [{"b": 1}, {"c": 1}, {}],
    ),
    (
        {
            "$defs": {"pair": {"prefixItems": [{}, {}]}},
            "type": "array",
            "$ref": "#/$defs/pair",
            "contains": {"type": "string"},
            "unevaluatedItems": False,
        },
        [["a"], [1, "a"], [1, 2, "a", "b"]],
        [[1], [1, "a", 3]],
    ),
    (
        {"type": "array", "prefixItems": [{"enum": [1, 2]}, {"enum": [1, 2]}], **NO_MORE},
        [[1, 2]],
        [[1, 1]],
    ),
    ({"required": ["a"], "properties": {"a": False}}, [1, "x"], [{}, {"a": 1}]),
    ({"x-note": 1, "title": "t", "type": "null"}, [None], [1]),
]


def check(schema: Any, draft: int, values: list[Any]) -> None:
    uri, validator = DRAFTS[draft]
    exact = json.loads(json.dumps(schema), parse_float=Decimal)
    oracle = validator(exact)
    writer = Writer(Grammar.json_schema({"$schema": uri, **schema} if schema is not True else True))
    for value in values:
        expected = oracle.is_valid(json.loads(json.dumps(value), parse_float=Decimal))
        assert writer.can_write(value) == expected, value


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_a_schema_accepts_its_values(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    writer = Writer(Grammar.json_schema(schema))

    assert [value for value in valid if not writer.can_write(value)] == []
    assert [value for value in invalid if writer.can_write(value)] == []


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_the_cases_are_those_of_jsonschema(
    schema: Any, valid: list[Any], invalid: list[Any]
) -> None:
    check(schema, 2020, [*valid, *invalid])


@pytest.mark.parametrize(
    ("draft", "schema", "values"),
    [
        (4, {"minimum": 3, "exclusiveMinimum": True}, [3, 4, 2]),
        (4, {"id": "http://a/b", "items": [{"type": "null"}], "additionalItems": False}, [[1], []]),
        (
            7,
            {"definitions": {"a": {"type": "null"}}, "$ref": "#/definitions/a", "type": "array"},
            [[]],
        ),
        (
            7,
            {"items": [{"type": "null"}, {}], "additionalItems": {"minimum": 3}},
            [[None, 1, 2], []],
        ),
        (7, {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, [{"a": 1}, {"c": 1, "d": 2}]),
        (
            2019,
            {"$defs": {"n": {"minimum": 3}}, "$ref": "#/$defs/n", "type": "integer"},
            [3, 2, "a"],
        ),
        (2020, {"$defs": {"n": {"$anchor": "low", "maximum": 3}}, "$ref": "#low"}, [3, 4]),
        (
            2020,
            {"$id": "http://a/b/c", "$defs": {"n": {"$id": "d", "type": "null"}}, "$ref": "d"},
            [1, None],
        ),
        (2020, {"$defs": {"a/b~c%": {"type": "null"}}, "$ref": "#/$defs/a~1b~0c%25"}, [None, 1]),
    ],
)
def test_each_draft_is_read_as_it_says(draft: int, schema: Any, values: list[Any]) -> None:
    check(schema, draft, values)


@pytest.mark.parametrize("draft", [2019, 2020])
def test_dependencies_are_obeyed_in_later_drafts_too(draft: int) -> None:
    schema = {"$schema": DRAFTS[draft][0], "dependencies": {"a": ["b"], "c": False}}
    writer = Writer(Grammar.json_schema(schema))

    assert [writer.can_write(v) for v in ({"a": 1, "b": 2}, {"b": 2}, 1)] == [True] * 3
    assert [writer.can_write(v) for v in ({"a": 1}, {"c": 1})] == [False] * 2


def test_references_may_name_other_documents() -> None:
    others = {
        "http://a/numbers": {"$defs": {"low": {"maximum": 3, "$ref": "whole"}}},
        "http://a/whole": '{"type": "integer"}',
    }
    schema = {"type": "array", "items": {"$ref": "http://a/numbers#/$defs/low"}}

    writer = Writer(Grammar.json_schema(schema, others))

    assert writer.can_write([1, 3])
    assert not writer.can_write([4])
    assert not writer.can_write([1.5])


@pytest.mark.parametrize("seed", range(120))
def test_random_schemas_accept_what_they_should(seed: int) -> None:
    schema, values = random_case(seed)
    oracle = jsonschema.Draft202012Validator(json.loads(json.dumps(schema), parse_float=Decimal))
    expected = [oracle.is_valid(json.loads(json.dumps(v), parse_float=Decimal)) for v in values]

    try:
        writer = Writer(Grammar.json_schema(schema))
    except GrammarError as error:
        refusal = str(error)
    else:
        assert [writer.can_write(value) for value in values] == expected
        return
    assert "enforced" in refusal or ("accepts no value" in refusal and not any(expected))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}',
        '{"a": 1}',
        '{ "a": 1 }',
        '{\n  "a": 1\n}',
        '{\r\n\t\t"a": 1,\n\t\t"b": [\n 1,\n 2\n ]\n}',
        json.dumps({"a": 1, "b": [1, 2]}),
        json.dumps({"a": 1, "b": [1, 2]}, indent=4),
        json.dumps({"a": 1, "b": []}, separators=(",", ":")),
        '{"a": 1, "é\\n\\u0001\\"\\\\": "\U0001f600/"}',
    ],
)
def test_white_space_is_what_people_write(text: str) -> None:
    assert accepts(Grammar.json_schema({"type": "object", "properties": {"a": {}}}), text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',  # a key twice
        '{"b":1,"\\u0061":2}',  # the key, spelled in another way
        '{"b":1,"a":2}',  # another order than the schema's
        '{"a":1 ,"b":2}',
        '{"a" :1}',
        '{"a":  1}',
        '{\n\n"a":1}',
        ' {"a":1}',
        '{"a":1} ',
        '{"a":1,}',
        '{"a":"\\ud83d"}',
        '{"a":"\n"}',
        '{"a":01}',
        '{"a":-0.}',
        "{'a':1}",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    assert not accepts(Grammar.json_schema({"type": "object", "properties": {"a": {}}}), text)


def test_keys_come_in_the_order_of_the_schema() -> None:
    schema = {
        "allOf": [{"properties": {"c": {}, "a": {}}}, {"properties": {"b": {}}, "required": ["d"]}],
        "type": "object",
    }

    grammar = Grammar.json_schema(schema)

    assert accepts(grammar, '{"c": 1, "a": 1, "b": 1, "d": 1, "e": 1}')
    assert not accepts(grammar, '{"a": 1, "c": 1, "d": 1}')


@pytest.mark.parametrize(
    ("names", "some", "another"),
    [
        ({"enum": ["a", "b", "c"]}, "a", "d"),
        ({"pattern": "^[a-z]$"}, "a", "A"),
        ({"enum": [f"name {n}" for n in range(150)]}, "name 3", "name 150"),
        ({"pattern": "^x[0-9]{1,2}$", "maxLength": 2}, "x7", "x77"),
    ],
)
def test_a_name_of_a_finite_language_comes_once(names: Any, some: str, another: str) -> None:
    grammar = Grammar.json_schema({"type": "object", "propertyNames": names})
    listed = Grammar.json_schema({"type": "object", "propertyNames": names, "minProperties": 2})

    assert accepts(grammar, f'{{"{some}": 1}}')
    assert not accepts(grammar, f'{{"{some}": 1, "{some}": 1}}')
    assert not accepts(grammar, f'{{"{another}": 1}}')
    assert not accepts(listed, f'{{"{some}": 1}}')


def test_a_number_of_any_value_may_have_an_exponent_or_zeros() -> None:
    anything = Grammar.json_schema({"type": "number"})
    bounded = Grammar.json_schema({"type": "number", "minimum": 0})
    whole = Grammar.json_schema({"type": "integer"})

    assert [accepts(anything, text) for text in ("1e5", "10.0", "-1.50")] == [True] * 3
    assert [accepts(bounded, text) for text in ("1e5", "10.0", "1.50")] == [False, True, True]
    assert [accepts(whole, text) for text in ("1e5", "10.0", "10")] == [False, False, True]


def test_a_schema_may_be_a_text() -> None:
    assert Grammar.json_schema('{"type": "null"}') == Grammar.json_schema({"type": "null"})


def test_any_object_is_a_json_object() -> None:
    grammar = Grammar.json_object()

    assert accepts(grammar, '{"a": {"b": [1, null]}}')
    assert not accepts(grammar, "[1]")
