"""Answers of tokens drawn at random of those allowed: text, a trigger, then calls that validate."""

import json
import random
from collections.abc import Sequence

import jsonschema
import pytest

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.constrain import Constraint
from aboard.tool_calls import Arguments, Begun, Text, Tool, ToolCalling, Wanted
from tool_calls.templates import FAMILIES, metadata_of

SCHEMAS = {
    "plot": {
        "type": "object",
        "properties": {
            "at": {"type": "array", "items": {"enum": [-1, 0, 25]}, "maxItems": 2},
            "label": {"type": "string", "pattern": '^[{}"<>a-z]{0,8}$'},
        },
        "required": ["label"],
        "additionalProperties": False,
    },
    "plot-2": {"type": "object", "additionalProperties": False},
}
TOOLS = [Tool(name=name, parameters=schema) for name, schema in SCHEMAS.items()]
STOP = ("zz",)
CLOSING = frozenset(b'"}]')


def drawn(
    constraint: Constraint, tokenizer: Tokenizer, begins: Sequence[int], chance: random.Random
) -> list[int]:
    """The tokens of an answer that begins with `begins`; those that close things come often."""
    tokens: list[int] = []
    while not constraint.ended and len(tokens) < 2000:
        words = constraint.allowed()
        allowed = [t for t in range(tokenizer.n_vocabulary) if words[t // 32] >> (t % 32) & 1]
        if len(tokens) < len(begins):
            token = begins[len(tokens)]
            assert token in allowed
        elif constraint.may_end and chance.random() < 0.3:
            return tokens
        else:
            allowed = [token for token in allowed if token not in tokenizer.stop_ids]
            closing = [token for token in allowed if token in CLOSING]
            token = chance.choice(closing if closing and chance.random() < 0.5 else allowed)
        constraint.accept(token)
        tokens.append(token)
    assert constraint.ended
    return tokens


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", FAMILIES)
def test_text_is_kept_and_calls_validate(name: str, seed: int) -> None:
    metadata, chance = metadata_of(FAMILIES[name]), random.Random(seed)
    tokenizer = Tokenizer.from_gguf(metadata)
    calling = ToolCalling(ChatTemplate.from_gguf(metadata), tokenizer)
    form = calling.form
    grammar = calling.grammar(Wanted(tools=TOOLS, stop=STOP))
    said = "".join(chance.choices("abc <\n", k=seed)) if form.anywhere else ""
    begins = form.text_begins + said + chance.choice(form.triggers)

    tokens = drawn(
        grammar.constraint(tokenizer, tokenizer.n_vocabulary),
        tokenizer,
        tokenizer.encode(begins, add_special=False),
        chance,
    )

    reader, decoder = calling.reader(STOP), calling.decoder()
    parts = [part for token in tokens for part in reader.push(decoder.push(token))]
    parts += reader.finish()
    assert "".join(part.text for part in parts if isinstance(part, Text)) == said.rstrip()
    called = [part.name for part in parts if isinstance(part, Begun)]
    assert len(called) == reader.n_calls >= 1
    values = json_values("".join(part.text for part in parts if isinstance(part, Arguments)))
    for called_name, value in zip(called, values, strict=True):
        jsonschema.Draft202012Validator(SCHEMAS[called_name]).validate(value)


def json_values(text: str) -> list[object]:
    """The values of JSON texts that follow on each other."""
    values, at = [], 0
    while at < len(text):
        value, at = json.JSONDecoder().raw_decode(text, at)
        values.append(value)
    return values
