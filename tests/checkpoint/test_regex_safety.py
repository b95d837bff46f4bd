"""Which regular expressions of a stranger's file are run."""

import pytest

from aboard.checkpoint.pretokenizers import WORD_RULES
from aboard.checkpoint.regex_safety import danger
from aboard.checkpoint.tokenizer_pipeline import _known


@pytest.mark.parametrize("name", WORD_RULES)
def test_what_the_families_publish_is_run(name: str) -> None:
    patterns = [dict([cut[1]])["Regex"] for cut in _known(name) if cut[0] == "Split"]  # type: ignore[list-item]

    assert [danger(str(pattern)) for pattern in patterns] == [None] * len(patterns)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
        r"(?=(\d{3})+(?!\d))",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"[\p{L}&&[^\p{Han}]]+|[一-龥]+",
        r" {2,}",
        r"\A | \z",
        r"(?<!\p{L})a{,3}\x{41}[\]\[]",
        "{",
        "a{}",
    ],
)
def test_what_takes_bounded_time_is_run(pattern: str) -> None:
    assert danger(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a|aa)+c", "repeats a group that can match in several ways"),
        (r"(a+)+c", "repeats a group that can match in several ways"),
        (r"(?:(?:a*)b?){2}", "repeats a group that can match in several ways"),
        (r"(?:a?){30}a{30}", "repeats a group that can match in several ways"),
        (r"(?:a{0,9}){99}", "repeats a group that can match in several ways"),
        (r"(?=(a+)+c)", "repeats a group that can match in several ways"),
        (r"a*a*a*a*c", "more than 3 of its parts may be of any length"),
        (r"(?:a*b)(?:a*b)(?:a*b)a{0,99}", "more than 3 of its parts may be of any length"),
        (r"a{2}{3}", "repeats what is repeated already"),
        (r"a{99999}", "repeats what is repeated already"),
        (r"(a)\1", r"it has '\\\\1'"),
        (r"\k<a>", r"it has '\\\\k'"),
        (r"(?<a>b)", r"it has a group '\(\?<a'"),
        (r"(?x: # [\n)(a|aa)+", r"it has a group '\(\?x:'"),
        (r"(?#[)(a|aa)+(?#])", r"it has a group"),
        (r"(?~a)", "it has a group"),
        (r"(*FAIL)", "it has a group"),
        (r"[[:alpha:]]", "it has"),
        (r"[]a]", "it has"),
        (r"[^]a]", "it has"),
        ("(" * 40 + ")" * 40, "nests groups too deeply"),
        ("a" * 9000, "more than 8192 characters"),
        ("(a", "a parenthesis isn't closed"),
        ("a)", "a parenthesis closes nothing"),
        ("[a", "a class of characters isn't closed"),
        ("\\", "it has"),
    ],
)
def test_what_may_run_on_and_on_is_not(pattern: str, reason: str) -> None:
    import re

    found = danger(pattern)

    assert found is not None
    assert re.search(reason, found), found
