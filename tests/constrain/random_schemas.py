"""Random schemas of all keywords, and values that come close to them."""

from random import Random
from typing import Any

PATTERNS = ("^a", "b$", "^[ab]*$", "c", "^.{2}$", "^(?!a).*$", "a|b")
NAMES = ("a", "b", "c", "ab", "bc", "aa")
TYPES = (
    *("null", "boolean", "integer", "number", "string", "array", "object", "object", "array"),
    *(["integer", "null"], ["string", "object"], ["array", "object", "number"]),
)
FLAT = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"),
    *("maxLength", "pattern", "minItems", "maxItems", "required", "minProperties", "maxProperties"),
    *("enum", "const", "dependentRequired", "uniqueItems", "required", "$ref"),
)
NESTED = (
    *("items", "prefixItems", "contains", "properties", "additionalProperties", "properties"),
    *("patternProperties", "propertyNames", "allOf", "anyOf", "oneOf", "not", "if"),
    *("dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
)


def random_case(seed: int) -> tuple[Any, list[Any]]:
    """A schema, and values of which some are likely to be accepted."""
    random = Random(seed)
    names = ("x", "y") if random.random() < 0.3 else ()
    schema = _Schemas(random, names).schema(0)
    if names:
        schema = {"allOf": [schema]} if isinstance(schema, bool) else schema
        schema["$defs"] = {name: _Schemas(random, names).schema(1) for name in names}
    return schema, [near(schema, random, 0) for _ in range(20)]


class _Schemas:
    def __init__(self, random: Random, names: tuple[str, ...]) -> None:
        self._random = random
        self._names = names

    def schema(self, depth: int) -> Any:
        random = self._random
        if random.random() < 0.06:
            return random.random() < 0.7
        made: dict[str, Any] = {}
        if random.random() < 0.6:
            made["type"] = random.choice(TYPES)
        for _ in range(random.choice((0, 1, 1, 2, 2, 3))):
            keyword = random.choice(FLAT if depth > 2 else FLAT + NESTED)
            if keyword == "$ref" and not self._names:
                continue
            made[keyword] = self._value(keyword, depth + 1)
            if keyword == "if":
                made |= {"then": self.schema(depth + 1), "else": self.schema(depth + 1)}
        return made

    def _value(self, keyword: str, depth: int) -> Any:
        random = self._random
        match keyword:
            case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
                return random.choice((-3, 0, 1, 2, 5, 1.5, -2.25, 10))
            case "multipleOf":
                return random.choice((1, 2, 3, 5, 0.5, 0.25))
            case "pattern":
                return random.choice(PATTERNS)
            case "prefixItems" | "allOf" | "anyOf" | "oneOf":
                return [self.schema(depth) for _ in range(random.randint(1, 3))]
            case "properties" | "dependentSchemas":
                return {name: self.schema(depth) for name in random.sample(NAMES, 2)}
            case "patternProperties":
                return {pattern: self.schema(depth) for pattern in random.sample(PATTERNS, 2)}
            case "required":
                return random.sample(NAMES[:3], random.randint(1, 2))
            case "dependentRequired":
                return {random.choice(NAMES): random.sample(NAMES, 1)}
            case "enum":
                return [value(random, 1) for _ in range(random.randint(1, 4))]
            case "const":
                return value(random, 1)
            case "uniqueItems":
                return random.random() < 0.8
            case "$ref":
                return f"#/$defs/{random.choice(self._names)}"
            case "minProperties" | "maxProperties":
                return random.randint(0, 2)
            case "minLength" | "maxLength" | "minItems" | "maxItems":
                return random.randint(0, 3)
        return self.schema(depth)


def value(random: Random, depth: int) -> Any:
    kind = random.random() * (0.55 if depth > 2 else 1)
    if kind < 0.1:
        return None
    if kind < 0.18:
        return random.random() < 0.5
    if kind < 0.3:
        return random.randint(-6, 12)
    if kind < 0.38:
        return random.choice((0.5, 1.5, -2.25, 3.75, 10.25, 0.1))
    if kind < 0.55:
        return "".join(random.choices("abc", k=random.randint(0, 3)))
    if kind < 0.75:
        return [value(random, depth + 1) for _ in range(random.randint(0, 3))]
    return {random.choice(NAMES): value(random, depth + 1) for _ in range(random.randint(0, 3))}


def near(schema: Any, random: Random, depth: int) -> Any:
    """A value that follows the schema as far as it is seen at once."""
    if not isinstance(schema, dict) or depth > 3 or random.random() < 0.15:
        return value(random, depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema and random.random() < 0.5:
            return near(random.choice(schema[keyword]), random, depth)
    kind = schema.get("type")
    kind = random.choice(kind) if isinstance(kind, list) else kind
    if kind == "object" or (kind is None and "properties" in schema):
        return _near_object(schema, random, depth)
    if kind == "array" or (kind is None and "items" in schema):
        listed = [near(each, random, depth + 1) for each in schema.get("prefixItems", ())]
        rest = schema.get("items", schema.get("contains", {}))
        return listed + [near(rest, random, depth + 1) for _ in range(random.randint(0, 3))]
    if kind in ("integer", "number"):
        return random.choice((*range(-6, 12), *((1.5, -2.25) if kind == "number" else ())))
    return value(random, depth)


def _near_object(schema: dict[str, Any], random: Random, depth: int) -> dict[str, Any]:
    made = {
        name: near(each, random, depth + 1)
        for name, each in schema.get("properties", {}).items()
        if random.random() < 0.7
    }
    for name in schema.get("required", ()):
        made.setdefault(name, value(random, depth + 1))
    if random.random() < 0.4:
        rest = schema.get("additionalProperties", {})
        made.setdefault(random.choice(NAMES), near(rest, random, depth + 1))
    return made
