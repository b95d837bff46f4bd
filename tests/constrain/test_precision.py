"""Numbers that are written mean the same to readers that use floats, as `jsonschema` does."""

import json
import random
from typing import Any

import jsonschema
import pytest

from aboard.constrain import Grammar
from aboard.errors import GrammarError, UnsupportedSchema
from constrain.writing import Writer, accepts

BOUNDS = (
    *(0, 1, 0.1, 0.3, -0.7, 2.5, 1e-5, 123.456, 0.30000000000000004, 99999999999999.9),
    *(
        10**15,
        2**53,
        2**53 + 1,
        1e16,
        1e22,
        1e23,
        12345678901234567890,
        1.7976931348623157e308,
        5e-324,
        1e-47,
    ),
)
STEPS = (0.5, 0.25, 2.5, 1.0, 3.0, 7, 0.125, 12.5)


def digits_near(random_: random.Random, number: float) -> str:
    """A number of up to 22 digits that is close to another."""
    text = format(number, f".{random_.randint(0, 6)}f") if abs(number) < 1e25 else str(int(number))
    n_more = random_.randint(0, 22)
    more = "".join(random_.choices("0019", k=n_more))
    return text + (more if "." in text else f".{more}" if more else "")


def texts(random_: random.Random, numbers: list[float]) -> list[str]:
    found = [digits_near(random_, random_.choice(numbers)) for _ in range(120)]
    found += [str(int(n) + delta) for n in numbers if abs(n) < 1e60 for delta in (-1, 0, 1)]
    return found + [repr(n) for n in numbers if "e" not in repr(n)]


def schema_of(random_: random.Random) -> dict[str, Any]:
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    schema: dict[str, Any] = {"type": "number"}
    if random_.random() < 0.3:
        schema["multipleOf"] = random_.choice(STEPS)
    for key in random_.sample(bounds, random_.randint(0, 2)):
        schema[key] = random_.choice(BOUNDS) * random_.choice((1, -1))
    if random_.random() < 0.4:
        return {"type": "number", "not": {k: v for k, v in schema.items() if k != "type"}}
    if random_.random() < 0.3:
        schema = {"anyOf": [schema, {"enum": random_.sample(BOUNDS[:-3], 3)}]}
    return schema


def writer_of(schema: Any) -> tuple[Writer | None, str]:
    """What writes values of a schema, or why there is none."""
    try:
        return Writer(Grammar.json_schema(schema)), ""
    except GrammarError as error:
        return None, str(error)


@pytest.mark.parametrize("seed", range(150))
def test_what_can_be_written_is_valid_as_floats(seed: int) -> None:
    random_ = random.Random(seed)
    schema = schema_of(random_)
    numbers = [*BOUNDS, *(-n for n in BOUNDS)]

    writer, refusal = writer_of(schema)

    assert writer or "accepts no value" in refusal or "isn't enforced" in refusal
    oracle = jsonschema.Draft202012Validator(schema)
    candidates = texts(random_, numbers) if writer else []
    written = [text for text in candidates if writer and writer.can_write_text(text)]
    assert [text for text in written if not oracle.is_valid(json.loads(text))] == []


@pytest.mark.parametrize("seed", range(60))
def test_what_is_valid_and_short_can_be_written(seed: int) -> None:
    random_ = random.Random(seed)
    schema = schema_of(random_)
    values = [random_.randint(-(10**4), 10**4) / random_.choice((1, 2, 4, 10)) for _ in range(60)]
    oracle = jsonschema.Draft202012Validator(schema)
    valid = [value for value in values if oracle.is_valid(value)]

    writer, refusal = writer_of(schema)

    assert writer or not valid or "isn't enforced" in refusal
    assert [value for value in valid if writer and not writer.can_write(value)] == []


def test_digits_end_where_floats_do() -> None:
    grammar = Grammar.json_schema({"type": "number", "exclusiveMinimum": 0.1})

    assert accepts(grammar, "0.100000000000001")
    assert accepts(grammar, "12.0000000000000")
    assert not accepts(grammar, "0.1000000000000000001")
    assert not accepts(grammar, "123456789012345678.0")


def test_a_constant_is_written_with_all_its_digits() -> None:
    grammar = Grammar.json_schema({"enum": [0.30000000000000004, 0.5]})

    assert accepts(grammar, "0.30000000000000004")
    assert not accepts(grammar, "0.3")
    assert not accepts(grammar, "0.5" + "0" * 16)


def test_multiples_of_what_no_float_is_are_those_that_floats_find() -> None:
    schema = {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 3}
    oracle = jsonschema.Draft202012Validator(schema)

    writer = Writer(Grammar.json_schema(schema))

    values = [n / 1000 for n in range(-10, 3020)]
    assert [v for v in values if writer.can_write(v)] == [v for v in values if oracle.is_valid(v)]


@pytest.mark.parametrize(
    ("schema", "pointer", "message"),
    [
        ({"items": {"multipleOf": 0.01}}, "/items/multipleOf", "is 0.01, which no float is"),
        ({"enum": ["a", {"b": 10**64}]}, "/enum", "more than 64 digits"),
        ({"oneOf": [{"const": 10**64}, {"type": "string"}]}, "/oneOf/0/const", "more than 64"),
        ({"const": 1e-90}, "/const", "more than 64 digits"),
    ],
)
def test_what_cant_be_written_is_refused(schema: Any, pointer: str, message: str) -> None:
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        Grammar.json_schema(schema)

    assert caught.value.pointer == pointer


def test_long_constants_meet_types() -> None:
    longest = 10**47
    one_of = {"oneOf": [{"const": longest}, {"type": "number"}]}

    assert Writer(Grammar.json_schema({"const": longest, "type": "integer"})).can_write(longest)
    assert not Writer(Grammar.json_schema(one_of)).can_write(longest)
