"""Simplified expressions, against Python's `re` over all short texts."""

import itertools
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from aboard.constrain import Grammar
from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.pattern import matched, searched
from constrain.writing import Writer

TEXTS = ["".join(each) for n in range(6) for each in itertools.product("ab", repeat=n)]
BOUNDS = st.sampled_from(
    ("*", "+", "?", "{0}", "{1}", "{2}", "{3}", "{0,2}", "{1,2}", "{2,3}", "{0,}", "{1,}", "{2,}")
)
LETTERS = st.sampled_from(("a", "b", "[ab]", "[^a]", ".", "(?:)"))


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("(?:{}){}".format, inner, BOUNDS),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
    )


PLAIN = st.recursive(LETTERS, compound, max_leaves=6)
# Not repeated: Python repeats nothing of no length, and ECMA-262 neither.
ASSERTING = st.recursive(
    st.one_of(
        st.builds("{}{}{}".format, PLAIN, st.sampled_from(("^", "$", "")), PLAIN),
        st.builds("{}(?{}{}){}".format, PLAIN, st.sampled_from("=!"), PLAIN, PLAIN),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
    ),
    max_leaves=3,
)


def fitting(pattern: str) -> list[str]:
    return [text for text in TEXTS if re.fullmatch(pattern, text)]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.one_of(PLAIN, ASSERTING))
@example("(?:a+){2}")
@example("(?:(?:a+){0,2}b*){2}")
def test_a_pattern_matches_the_texts_that_python_matches(pattern: str) -> None:
    questions = Questions()
    in_full, somewhere = matched(pattern), searched(pattern)

    assert [text for text in TEXTS if questions.accepts(in_full, text)] == fitting(pattern)
    assert [text for text in TEXTS if questions.accepts(somewhere, text)] == [
        text for text in TEXTS if re.search(pattern, text)
    ]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.one_of(PLAIN, ASSERTING))
@example("(?:a+){2}")
@example("(?:(?:a+){0,2}b*){2}")
def test_a_grammar_writes_the_texts_that_python_matches(pattern: str) -> None:
    expected = fitting(pattern)
    if Questions().is_empty(matched(pattern)):
        assert expected == []
        return

    writer = Writer(Grammar.regex(pattern))

    assert [text for text in TEXTS if writer.can_write_text(text)] == expected
