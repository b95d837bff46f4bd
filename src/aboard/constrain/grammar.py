"""What is asked of an answer: `Grammar`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aboard.constrain.constraint import Constraint
from aboard.constrain.vocabulary import vocabulary
from aboard.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain.language.derivative import Questions
    from aboard.constrain.language.expression import Expression
    from aboard.constrain.schema.document import Schema

Kind = Literal["json_schema", "regex", "choice", "lark"]
MAX_CHOICES = 10_000
MAX_CHOICE_CHARS = 200_000

# Without it text that only one way remains for would have to be cut into tokens in one way, too.
_HEAD = '%llguidance {"no_forcing": true}\n'


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must be; any number of answers of any model can be held to it.

    Equal ones are compiled once for a model.

    Attributes
    ----------
    kind : str
        "json_schema", "regex", "choice" or "lark".
    text : str
        The grammar, as llguidance reads it.
    """

    kind: Kind
    text: str

    @classmethod
    def json_schema(cls, schema: Schema, others: Mapping[str, Schema] | None = None) -> Grammar:
        """JSON texts of the values that a JSON Schema accepts.

        Keys come in the order in which the schema names them, other keys behind them. White space
        is what people write: see `aboard.constrain.schema.punctuation`.

        Parameters
        ----------
        schema : mapping, bool or str
            Of draft 4 to 2020-12, as Python values or as JSON text.
        others : mapping of str to schemas, optional
            Those that references in it name, by their URIs. None is looked for anywhere else.

        Raises
        ------
        UnsupportedSchema
            A keyword can't be enforced exactly; the error names it and where it stands.
        GrammarError
            It is no schema, is too large, takes too much work, or accepts nothing.
        """
        from aboard.constrain.schema.compiling import compile_schema

        with _bounded_nesting("the schema"):
            return cls("json_schema", _HEAD + compile_schema(schema, others))

    @classmethod
    def json_object(cls) -> Grammar:
        """Any JSON object."""
        return cls.json_schema({"type": "object"})

    @classmethod
    def regex(cls, pattern: str) -> Grammar:
        """Texts that a regular expression matches from beginning to end.

        Parameters
        ----------
        pattern : str
            As ECMA-262 writes it (JavaScript, JSON Schema), with look-ahead, without references
            back, look-behind, word boundaries and flags.

        Raises
        ------
        GrammarError
            It is none, takes too much work, or matches nothing.
        """
        from aboard.constrain.language.pattern import matched

        if not isinstance(pattern, str):
            raise UsageError(f"pattern is a {type(pattern).__name__}, expected str")
        what = f"the pattern {pattern[:80]!r}"
        with _bounded_nesting(what):
            return cls("regex", _grammar_of(matched(pattern), what))

    @classmethod
    def choice(cls, texts: Iterable[str]) -> Grammar:
        """One of `texts`.

        Raises
        ------
        GrammarError
            There are none, more than 10,000, or of more than 200,000 characters in all.
        UsageError
            They are no texts.
        """
        from aboard.constrain.language.expression import literals

        given = [texts] if isinstance(texts, str) else list(texts)
        if isinstance(texts, str) or not all(isinstance(text, str) for text in given):
            raise UsageError(f"choices are {texts!r:.80}, expected an iterable of texts")
        if not 0 < len(given) <= MAX_CHOICES:
            raise GrammarError(f"there are {len(given)} choices, expected 1 to {MAX_CHOICES}")
        n_chars = sum(map(len, given))
        if n_chars > MAX_CHOICE_CHARS:
            raise GrammarError(
                f"the choices have {n_chars} characters, expected at most {MAX_CHOICE_CHARS}"
            )
        with _bounded_nesting("the choices"):
            return cls("choice", _grammar_of(literals(given), "the choices"))

    @classmethod
    def lark(cls, text: str) -> Grammar:
        """Texts of a context-free grammar in llguidance's variant of Lark; its rule is `start`.

        JSON Schemas in it, `%json {...}`, are enforced as by `json_schema`.

        Raises
        ------
        GrammarError
            It has something that isn't supported here. Whether it is sound is found out with the
            first answer, for that depends on the model's tokens.
        """
        from aboard.constrain.lark_text import with_schemas

        if not isinstance(text, str):
            raise UsageError(f"grammar is a {type(text).__name__}, expected str")
        with _bounded_nesting("the grammar"):
            return cls("lark", _HEAD + with_schemas(text))

    @classmethod
    def rules(cls, text: str) -> Grammar:
        """Texts of a grammar that this program has written, in the words of llguidance.

        Its schemas are rules already, of `schema_rules`. Nothing is checked: for what users write
        there is `lark`.
        """
        return cls("lark", _HEAD + text)

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
        return Constraint(vocabulary(tokenizer, n_tokens), self.text)


def schema_rules(schema: Schema, name: str, questions: Questions | None = None) -> str:
    """Rules of which `name` is the JSON texts that a JSON Schema accepts, for `Grammar.rules`.

    All other names begin with it. `questions` counts the work. Errors are those of
    `Grammar.json_schema`.
    """
    from aboard.constrain.schema.compiling import compile_schema

    with _bounded_nesting("the schema"):
        return compile_schema(schema, name=name, questions=questions)


@contextmanager
def _bounded_nesting(what: str) -> Iterator[None]:
    """Refuse what is nested deeper than Python's calls can be."""
    try:
        yield
    except RecursionError:
        raise GrammarError(f"{what}: what it means is nested too deeply") from None


def _grammar_of(language: Expression, what: str) -> str:
    from aboard.constrain.language.derivative import Questions
    from aboard.constrain.language.lark import Terminals
    from aboard.constrain.schema.productions import MAX_TEXT

    if Questions().is_empty(language):
        raise GrammarError(f"{what} matches no text")
    terminals = Terminals()
    start = terminals.name(language)
    text = _HEAD + "\n".join([f"start: {start}", *terminals.lines, ""])
    if len(text) > MAX_TEXT:
        raise GrammarError(f"{what}: takes a grammar of more than {MAX_TEXT} characters")
    return text
