"""What is asked of an answer: `Grammar`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aboard.constrain.constraint import Constraint
from aboard.constrain.vocabulary import vocabulary

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer

_HEAD = (
    '%llguidance {"no_forcing": true}\n'  # else text that is forced could only be cut in one way
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must be; any number of answers of any model can be held to it.

    Attributes
    ----------
    kind : str
        "json_schema", "regex", "lark".
    lark : str
        It, as llguidance reads it.
    """

    kind: str
    lark: str

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any] | str) -> Grammar:
        """A JSON value that a schema accepts."""
        given = json.loads(schema) if isinstance(schema, str) else dict(schema)
        given["x-guidance"] = {"whitespace_pattern": r"\n?[ \t]{0,32}"}
        return cls("json_schema", f"{_HEAD}start: %json {json.dumps(given)}\n")

    def constraint(self, tokenizer: Tokenizer, n_tokens: int) -> Constraint:
        """The state of an answer that hasn't begun.

        Parameters
        ----------
        tokenizer : Tokenizer
            Of the model that answers.
        n_tokens : int
            Rows of its head.

        Raises
        ------
        GrammarError
            It can't be compiled within the limits.
        """
        return Constraint(vocabulary(tokenizer, n_tokens), self.lark)
