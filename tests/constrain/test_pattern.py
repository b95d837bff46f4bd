"""Regular expressions as languages: the texts that Python's `re` matches, where dialects agree."""

import random
import re

import pytest

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import both, other
from aboard.constrain.language.pattern import matched, searched
from aboard.errors import GrammarError

PATTERNS = [
    "",
    "a",
    "^$",
    "^a|b$",
    "x$|^$",
    "(^|,)x(,|$)",
    "a{2,3}b?",
    "a{2}|b{3,}|c{0,1}",
    "[^abc]+$",
    "(a|b)*abb",
    "^(?:a?b){2,}c$",
    "(?=a)a|a(?!b)",
    "^(?!@@)[@a-z,-]+$",
    r"^(?!.*ab)(?=.{1,4}$)[ab]*$",
    "(^a)?b|a?^b|(a|^)b",
    r"\\|\/|[\]\\]",
    "^[a-c]{0,2}?$",
    r"^(\/?((@{2})|([a-c\-]*))($|\/))*$",
    "^(?:(?!ab).)*$",
    "^x(?:(?!,)[abcx,])+$",
    "(a$|b)+c?",
    r"\d\D|\w\W",
    r"[\d,x]+\-?",
    r"\x61\u0062|{|}",
    r"(?<name>a)b",
    r"^\{a\}|a{b",
    "(?:a|aa)+c",
]
TEXTS = [
    "".join(each)
    for each in {tuple(random.Random(n).choices("abcx,@\\/]{}1-", k=n % 8)) for n in range(900)}
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_python_matches(pattern: str) -> None:
    questions = Questions()
    somewhere, in_full = searched(pattern), matched(pattern)

    found = [
        (questions.accepts(somewhere, text), questions.accepts(in_full, text)) for text in TEXTS
    ]

    plain = pattern.replace("(?<name>", "(?P<name>")
    assert found == [
        (bool(re.search(plain, text)), bool(re.fullmatch(plain, text))) for text in TEXTS
    ]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^\d$", "\u0663", False),  # digits, words and spaces are those of ECMA-262, not Python's
        (r"^\w$", "é", False),
        (r"^\s$", "\ufeff", True),
        (r"^\s$", "\x1c", False),
        (r"^\S$", "\x85", True),
        ("^.$", "\u2028", False),
        ("^.$", "\U0001f600", True),
        ("a$", "a\n", False),
        (r"^\cA$", "\x01", True),
        (r"^\u{1F600}\uD83D\uDE00$", "\U0001f600\U0001f600", True),
        (r"^[\b]$", "\b", True),
        ("^[^]$", "\n", True),
        ("^[a-]$", "-", True),
        (r"^\p{Lu}\p{Ll}+$", "Éa", True),
        (r"^\p{Letter}[\p{gc=Nd}_]\P{L}$", "é٣٤", True),
        (r"^\p{L}$", "1", False),
    ],
)
def test_the_dialect_is_that_of_ecmascript(pattern: str, text: str, matches: bool) -> None:
    assert Questions().accepts(searched(pattern), text) == matches


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a)\\1", "refers back"),
        ("(?<=a)b", "looks behind"),
        ("(?<!a)b", "looks behind"),
        (r"\bword", "where words begin"),
        ("(?i)a", "sets flags"),
        (r"\p{Script=Greek}", "no general category"),
        (r"\pL", "no general category"),
        (r"\Aa\Z", "isn't followed here"),
        ("a**", "repeated already"),
        ("^*", "no length is repeated"),
        ("*a", "nothing to repeat"),
        ("(a", "isn't closed"),
        ("a)", "closes nothing"),
        ("[a", "ends too early"),
        ("[b-a]", "a range of characters is none"),
        (r"[a-\d]", "a range of characters is none"),
        ("a{3,2}", "wrong way round"),
        ("a{,3}", "in several ways"),
        ("a{99999}", "more than 5000 times"),
        (r"\x6", "lacks hexadecimal digits"),
        (r"\u{110000}", "beyond Unicode"),
        (r"\uD83D", "half a surrogate pair"),
        (r"\01", "octal"),
        ("(?P<n>a)", "only Python"),
        ("(" * 50 + ")" * 50, "nested more than 40 deep"),
        ("a" * 5000, "expected at most 4096"),
        ("^(a(?!b)|c)+$", "repeats a group that holds"),
        ("\\", "ends too early"),
        ("^$" * 40, "in more than 64 places"),
        ("(^|(^|(^|(^|(^|(^|(^|(^|(^|(^|(^|(^|a)?)?)?)?)?)?)?)?)?)?)?)?^" * 2, "too many places"),
    ],
)
def test_what_cant_be_followed_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(GrammarError, match=why):
        searched(pattern)


def test_emptiness_is_found() -> None:
    questions = Questions()
    long, short = searched("^.{4,}$"), searched("^[ab]{0,3}$")

    assert questions.is_empty(both(long, short))
    assert not questions.is_empty(both(long, other(short)))
    assert questions.within(short, other(long))
    assert not questions.apart(short, searched("^a"))


def test_few_texts_are_listed() -> None:
    questions = Questions()

    assert questions.texts(both(searched("^[abc]{1,2}$"), searched("^[^b]*$")), 6) == [
        *("a", "aa", "ac"),
        *("c", "ca", "cc"),
    ]
    assert questions.texts(searched("^[abc]{1,2}$"), 6) is None
    assert questions.texts(searched("^a*$"), 6) is None
    assert questions.texts(searched("^[abc]{40}$"), 30) is None
    assert Questions(steps=1000).texts(searched("^[a-z]{2000}$"), 100) is None


def test_work_is_bounded() -> None:
    counted = searched("^(?:a|b|ab){20,40}$"), searched("^(?:aba|b){20,}$"), searched("a.b.{9}a$")

    with pytest.raises(GrammarError, match="takes too much work"):
        Questions(steps=1000).is_empty(both(*counted, other(searched("b{9}|abab"))))
