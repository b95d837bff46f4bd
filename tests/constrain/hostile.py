"""Inputs that ask for much work: a bounded time and memory after, each is a grammar or refused."""

import json
from collections.abc import Callable
from typing import Any

from aboard.constrain import Grammar
from aboard.constrain.language import categories


def nested(schema: Any, keyword: str, depth: int) -> Any:
    for _ in range(depth):
        schema = {keyword: [schema] if keyword.endswith("Of") else schema}
    return schema


def chain_of_references(length: int, each: Callable[[str], Any]) -> dict[str, Any]:
    names = {f"d{n}": each(f"#/$defs/d{n + 1}") for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**names, f"d{length}": {"type": "null"}}}


def names(n: int) -> list[str]:
    return [f"name{i}" for i in range(n)]


def objects(**keywords: Any) -> dict[str, Any]:
    return {"type": "object", **keywords}


CATEGORIES = sorted(name for name in categories.CATEGORIES if len(name) == 2 and name != "LC")

SCHEMAS: dict[str, Any] = {
    "a loop": {"$ref": "#"},
    "a loop of two": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a",
    },
    "a loop through allOf": {"allOf": [{"type": "string"}, {"anyOf": [{"$ref": "#"}, {}]}]},
    "a loop through not": {"not": {"$ref": "#"}},
    "deep JSON": '{"a":' * 100_000,
    "deep arrays": "[" * 100_000,
    "deep not": nested({}, "not", 60),
    "deep oneOf": nested(objects(properties={"a": {"type": "integer"}}), "oneOf", 30),
    "wide oneOf": {"oneOf": [{"required": [f"a{n}"]} for n in range(40)]},
    "oneOf of constants": {"oneOf": [{"const": name} for name in names(20_000)]},
    "oneOf of objects": {"oneOf": [objects(required=[n], properties={n: {}}) for n in names(500)]},
    "anyOf of objects": {"anyOf": [objects(required=[n], properties={n: {}}) for n in names(9000)]},
    "anyOf of constants": {"anyOf": [{"const": name} for name in names(20_000)]},
    "wide allOf of anyOf": {
        "allOf": [{"anyOf": [{"required": [f"a{n}{m}"]} for m in range(9)]} for n in range(9)]
    },
    "wide allOf": {"allOf": [objects(properties={n: {"minimum": 3}}) for n in names(9000)]},
    "dependencies": {"dependentRequired": {f"a{n}": [f"b{n}"] for n in range(30)}},
    "many dependencies": {"dependentRequired": {n: names(5) for n in names(5000)}},
    "a tower of references": chain_of_references(60, lambda to: {"anyOf": [{"$ref": to}] * 2}),
    "a long way of references": chain_of_references(10_000, lambda to: {"$ref": to}),
    "many identifiers": {"$defs": {n: {"$id": f"http://a/{n}", "$anchor": n} for n in names(9000)}}
    | {"$ref": "http://a/name7"},
    "a large text": {"description": "x" * (2 << 20)},
    "many values": {"enum": list(range(60_000))},
    "many strings": {"enum": names(40_000)},
    "many other strings": {"type": "string", "not": {"enum": names(40_000)}},
    "many numbers": {"enum": list(range(40_000))},
    "many fractions": {"not": {"enum": [n + 0.5 for n in range(40_000)]}},
    "many arrays": {"enum": [[n, [n]] for n in range(3000)]},
    "a long constant": {"const": "x" * 1_000_000},
    "long constants": {"enum": ["x" * 300_000 + end for end in "abc"]},
    "a long array": {"const": list(range(40_000))},
    "many required": objects(required=names(40_000)),
    "many properties": objects(properties={n: {} for n in names(20_000)}, required=names(20_000)),
    "many types": objects(properties={n: {"type": "string"} for n in names(15_000)}),
    "many bounds": objects(properties={n: {"minimum": i} for i, n in enumerate(names(12_000))}),
    "counted properties": objects(properties={n: {} for n in names(500)}, minProperties=250),
    "finite names": objects(propertyNames={"pattern": "^[a-z]{1,2}[0-9]{0,2}$"}, minProperties=2),
    "finite names, counted": objects(propertyNames={"enum": names(390)}, minProperties=200),
    "patterns": objects(patternProperties={f"a.{{{n}}}b": {"type": "null"} for n in range(12)}),
    "many patterns": objects(patternProperties={f"{n}$": {"minimum": 3} for n in names(400)}),
    "categories": {"pattern": "".join(f"\\p{{{CATEGORIES[n % 25]}}}" for n in range(600))},
    "categories at once": {"allOf": [{"pattern": f"^(\\p{{{name}}}|x)*$"} for name in CATEGORIES]},
    "other than categories": {"not": {"pattern": "|".join(f"\\p{{{c}}}" for c in CATEGORIES)}},
    "categories of names": objects(
        patternProperties={f"^\\p{{{name}}}": {"minimum": 1} for name in CATEGORIES}
    ),
    "a pattern that explodes": {
        "type": "string",
        "allOf": [{"pattern": "^(a|b)*a(a|b){60}$"}, {"not": {"pattern": "^(a|b)*b(a|b){50}$"}}],
    },
    "a long pattern": {"pattern": "(" * 4000},
    "many long patterns": {"anyOf": [{"pattern": f"^{n}" + ".{5}" * 500} for n in names(400)]},
    "a repeated repetition": {"pattern": "^(((a{50}){50}){50}){50}$", "not": {"pattern": "b"}},
    "counts": {
        "allOf": [{"contains": {"const": n}, "minContains": 50} for n in range(5)],
        "type": "array",
    },
    "a large count": {"type": "array", "contains": {"const": 1}, "minContains": 9000},
    "many items": {"type": "array", "prefixItems": [{"type": "null"}] * 20_000, "items": False},
    "much at once": {
        "type": "array",
        "minItems": 9000,
        "items": {"type": "array", "minItems": 9000},
    },
    "different items": {
        "prefixItems": [{"enum": list(range(20))}] * 20,
        **{"type": "array", "uniqueItems": True},
    },
    "distinct items": {"type": "array", "uniqueItems": True, "items": {"enum": list(range(60))}},
    "long texts": {"type": "string", "minLength": 9_000_000},
    "unevaluated": {
        "allOf": [{"anyOf": [{"properties": {n: {}}}, {"required": [n]}]} for n in names(12)],
        "unevaluatedProperties": False,
    },
    "a small step": {"type": "number", "multipleOf": 1e-300},
    "a fine grid": {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 99},
    "powers of two": {"type": "integer", "multipleOf": 2**60},
}
PATTERNS = {
    "repetitions": "(((a{5000}){5000}){5000}){5000}",
    "repetitions side by side": "(a{1,5000}b{1,5000}){1,5000}" * 100,
    "alternatives": "|".join("abcdefgh"[n % 8] * (n % 40) for n in range(190)),
    "a suffix": "(a|b)*a(a|b){5000}",
    "categories": "\\p{L}\\p{N}" * 400,
    "categories in classes": "[^\\p{L}\\p{N}\\p{S}]" * 190,
    "look-aheads": "(?!.*a.{9}b)" * 60 + ".*",
    **{
        f"look-aheads to {n}": f"(?=.*a.{{{n}}}a)(?=.*b.{{{n + 1}}}b)(?!.*c.{{{n + 2}}}c).*"
        for n in (14, 18, 40)
    },
    "look-aheads that spell counts": "(?=.*a" + "." * 18 + "a)(?!.*b.{19}b)(?!.*c)(?=.*d).*",
    "a password": "(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[^A-Za-z0-9]).{8,64}",
    "nested groups": "(" * 39 + "a|b" + ")*" * 39,
}
CHOICES = {
    "many": [f"choice {n}" for n in range(10_000)],
    "long": ["x" * 1_000_000],
    "very long": ["x" * 20_000_000],
    "alike": ["x" * 900_000 + end for end in "abcdef"],
    "all beginnings": ["a" * n for n in range(5000)],
    "many long": [f"{n} " * 20 for n in range(10_000)],
}
GRAMMARS = {
    "many schemas": "start: a\n" + 'a: %json {"enum": [1, 2, 3, "a", {"b": 1}]}\n' * 8000,
    "schemas of much work": "start: a\n" + f"a: %json {json.dumps(SCHEMAS['patterns'])}\n" * 200,
    "empty schemas": "start: " + "%json {} " * 100_000,
    "white space": "start: %json" + " " * 1_000_000 + "{}",
    "an open quote": 'start: "' + '\\"' * 500_000,
    "an open expression": "start: /" + "\\/" * 500_000,
    "slashes": "start: " + "/ " * 500_000,
    "many rules": "start: r0\n" + "".join(f'r{n}: "a" r{n + 1}\n' for n in range(50_000)),
    "many terminals": "start: A0\n" + "".join(f"A{n}: /a{n}/\n" for n in range(50_000)),
    "repetitions": "start: (((a{1000}){1000}){1000}){1000}\na: /(((a{1000}){1000}){1000}){1000}/\n",
    "repeated rules": 'start: a{0,100000}\na: b{0,100000}\nb: "x"{0,100000}\n',
    "optional rules": "start: " + '("a"?)' * 50_000,
    "alternatives": "start: " + "|".join(f'"{n}"' for n in range(60_000)),
    "an ambiguous one": 'start: s\ns: s s | s s s | "a" | ""\n',
    "an expression of much work": "start: /" + "(a|b)*a" + "(a|b){2000}" + "/\n",
    "an intersection": "start: A\nA: "
    + " & ".join(f"/(.*a.{{{n}}}b.*)/" for n in range(60))
    + "\n",
    "rules and a schema": "start: r0 | %json "
    + json.dumps(objects(properties={n: {"type": "array"} for n in names(300)}))
    + "\n"
    + "".join(f'r{n}: "a" r{n + 1}\n' for n in range(1900))
    + 'r1900: "b"\n',
    "classes": "start: /" + "[\\p{L}\\p{N}]" * 20_000 + "/\n",
}
CASES: dict[str, Callable[[], Grammar]] = {
    **{f"schema: {n}": lambda s=s: Grammar.json_schema(s) for n, s in SCHEMAS.items()},
    **{f"pattern: {n}": lambda p=p: Grammar.regex(p) for n, p in PATTERNS.items()},
    **{f"choice: {n}": lambda c=c: Grammar.choice(c) for n, c in CHOICES.items()},
    **{f"grammar: {n}": lambda g=g: Grammar.lark(g) for n, g in GRAMMARS.items()},
}
