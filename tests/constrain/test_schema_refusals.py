"""Schemas that can't be enforced: the error names what is at fault, and comes in bounded time."""

import json
from typing import Any

import pytest

from aboard.constrain import Grammar
from aboard.constrain.schema import unevaluated
from aboard.errors import GrammarError, UnsupportedSchema


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        ({"items": {"$recursiveRef": "#"}}, "$recursiveRef", "/items/$recursiveRef"),
        (
            {"properties": {"a/b": {"$dynamicRef": "#x"}}},
            "$dynamicRef",
            "/properties/a~1b/$dynamicRef",
        ),
        ({"anyOf": [{"type": "null"}, {"$ref": "http://a/b"}]}, "$ref", "/anyOf/1/$ref"),
        ({"$ref": "#/$defs/missing"}, "$ref", "/$ref"),
        ({"allOf": [{"disallow": "string"}]}, "disallow", "/allOf/0/disallow"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems", "/uniqueItems"),
        ({"not": {"uniqueItems": True}}, "uniqueItems", "/not/uniqueItems"),
        ({"items": {"format": "regex"}}, "format", "/items/format"),
        ({"format": "idn-hostname"}, "format", "/format"),
        ({"pattern": "(a)\\1"}, "pattern", "/pattern"),
        ({"patternProperties": {"(?i)a": {}}}, "(?i)a", "/patternProperties/(?i)a"),
        ({"multipleOf": 101}, "multipleOf", "/multipleOf"),
        ({"maxLength": 10**9}, "maxLength", "/maxLength"),
        ({"minItems": 10**6}, "minItems", "/minItems"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "$schema", "/$schema"),
    ],
)
def test_what_isnt_enforced_is_named(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        Grammar.json_schema(schema)

    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
    assert str(caught.value).startswith(f"{pointer}: {keyword} ")


BROUGHT = {
    6: ["const", "contains", "propertyNames"],
    7: ["if", "then", "else"],
    2019: [
        *("dependentRequired", "dependentSchemas", "minContains", "maxContains"),
        *("unevaluatedItems", "unevaluatedProperties"),
    ],
    2020: ["prefixItems", "$dynamicRef"],
}
ENDED = {2019: ["additionalItems"]}
URIS = {
    **{draft: f"http://json-schema.org/draft-0{draft}/schema#" for draft in (4, 6, 7)},
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}
FOREIGN = [
    *((d, key) for new, keys in BROUGHT.items() for key in keys for d in URIS if d < new),
    *((d, key) for last, keys in ENDED.items() for key in keys for d in URIS if d > last),
]
VALUES = {
    **{"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {}}, "dependencies": {"a": {}}},
    **{"prefixItems": [{}], "minContains": 1, "maxContains": 2, "$dynamicRef": "#"},
}


@pytest.mark.parametrize(("draft", "keyword"), FOREIGN)
def test_a_keyword_of_another_draft_is_refused(draft: int, keyword: str) -> None:
    schema = {"type": "object", "properties": {"a": {keyword: VALUES.get(keyword, {})}}}

    Grammar.json_schema({"$schema": "http://a/own", **schema})
    with pytest.raises(UnsupportedSchema, match=f"the schema is of draft {draft}") as caught:
        Grammar.json_schema({"$schema": URIS[draft], **schema})

    assert caught.value.pointer == f"/properties/a/{keyword}"


@pytest.mark.parametrize("draft", URIS)
def test_annotations_of_other_drafts_pass(draft: int) -> None:
    Grammar.json_schema(
        {
            **{"$schema": URIS[draft], "type": "null", "$comment": "", "examples": [1]},
            **{"readOnly": True, "deprecated": True, "contentEncoding": "base64", "$defs": {}},
            **{"definitions": {}, "$anchor": "a", "$recursiveAnchor": True, "$vocabulary": {}},
        }
    )


@pytest.mark.parametrize(
    ("draft", "schema", "message"),
    [
        (2020, {"items": [{}]}, "/items: is .*, expected a schema; prefixItems"),
        (4, {"exclusiveMinimum": 3}, "/exclusiveMinimum: is 3, expected true or false"),
        (6, {"maximum": 3, "exclusiveMaximum": True}, "/exclusiveMaximum: is true, expected a num"),
        (7, {"$ref": "#a", "definitions": {"b": {"$anchor": "a"}}}, "isn't in the schema"),
        (2019, {"$ref": "#a", "$defs": {"b": {"$id": "#a"}}}, "isn't in the schema"),
    ],
)
def test_a_value_of_another_draft_is_refused(draft: int, schema: Any, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        Grammar.json_schema({"$schema": URIS[draft], **schema})


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("unevaluatedItems", {"anyOf": [{"const": n, "prefixItems": [{}] * n} for n in (1, 2, 3)]}),
        (
            "unevaluatedProperties",
            {"allOf": [{"oneOf": [{"const": n, "properties": {f"p{n}": {}}} for n in (1, 2, 3)]}]},
        ),
    ],
)
def test_too_many_cases_of_what_is_unevaluated_are_told(
    keyword: str, schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unevaluated, "MAX_CASES", 3)

    with pytest.raises(UnsupportedSchema, match="has more than 3 cases") as caught:
        Grammar.json_schema({"items": {keyword: False, **schema}})

    assert (caught.value.keyword, caught.value.pointer) == (keyword, f"/items/{keyword}")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "text"}, '/type: is "text", expected one of null, boolean'),
        ({"minLength": -1}, "/minLength: is -1, expected an integer from 0"),
        ({"minLength": 1.5}, "expected an integer from 0"),
        ({"minimum": "1"}, "expected a number"),
        ({"multipleOf": 0}, "expected a number above 0"),
        ({"required": "a"}, "expected a list of names"),
        ({"properties": []}, "expected an object of schemas"),
        ({"allOf": []}, "expected a list of schemas"),
        ({"enum": "a"}, "expected a list of values"),
        ({"properties": {"a": 3}}, "/properties/a: is 3, expected a schema"),
        ({"not": None}, "/not: is null, expected a schema"),
        ({"$ref": 3}, "/\\$ref: \\$ref is 3, expected a URI"),
        ({"pattern": 3}, "expected a text"),
        ({"uniqueItems": "x"}, "expected true or false"),
        ({"dependentRequired": {"a": {}}}, "lists of names"),
        ([], "the schema: is \\[\\], expected an object or a boolean"),
        ("{", "the schema is no JSON"),
        ('{"a": NaN}', "it holds NaN"),
        ('{"type": "null", "type": "null"}', "stands there twice"),
        ({"const": float("inf")}, "the schema is no JSON"),
        ({"a": {1, 2}}, "the schema is no JSON"),
        ('{"const": 1e999999}', "too large or too small"),
        ({"minimum": 3, "maximum": 2, "type": "number"}, "accepts no value"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "accepts no"),
        (False, "accepts no value"),
        ({"enum": []}, "accepts no value"),
    ],
)
def test_what_is_no_schema_is_told(schema: Any, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        Grammar.json_schema(schema)


def test_a_large_schema_is_compiled() -> None:
    schema = {
        "type": "object",
        "properties": {
            f"field{n}": {"type": ["string", "null"], "description": "x" * 50} for n in range(400)
        },
        "required": [f"field{n}" for n in range(0, 400, 3)],
    }

    grammar = Grammar.json_schema(json.dumps(schema))

    assert len(grammar.text) < 200_000


def metaschema(*vocabularies: str) -> dict[str, Any]:
    uri = "https://json-schema.org/draft/2020-12/vocab/"
    return {"$id": "http://a/meta", "$vocabulary": {uri + name: True for name in vocabularies}}


def test_a_keyword_that_the_metaschema_leaves_out_is_refused() -> None:
    schema = {"$schema": "http://a/meta", "properties": {"a": {"minimum": 1}}}
    whole = metaschema("core", "applicator", "validation")

    Grammar.json_schema(schema, {"http://a/meta": whole})
    with pytest.raises(UnsupportedSchema, match=r"without the vocabulary validation.* has minimum"):
        Grammar.json_schema(schema, {"http://a/meta": metaschema("core", "applicator")})


def test_a_metaschema_may_leave_out_keywords_that_arent_there() -> None:
    schema = {"$schema": "http://a/meta", "properties": {"a": {"format": "date"}}}

    Grammar.json_schema(schema, {"http://a/meta": metaschema("core", "applicator")})
