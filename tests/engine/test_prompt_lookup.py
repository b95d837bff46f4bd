"""What prompt lookup guesses, and how far it pays to guess."""

from collections.abc import Sequence

import pytest

from aboard.engine import PromptLookup, Sampling
from aboard.engine.speculation import MAX_DRAFT, worthwhile

# How far to guess.


@pytest.mark.parametrize(
    ("chances", "cost", "length"),
    [
        ([], 0.1, 0),
        ([0.0] * 15, 0.1, 0),
        ([0.1] * 15, 0.3, 0),
        ([1.0] * 15, 0.3, 15),
        ([1.0] * 15, 1.0, 0),
        ([0.9, 0.9, 0.0, 1.0], 0.1, 2),
        ([0.5] * 15, 0.1, 2),
        ([0.3, 1.0, 1.0, 1.0], 0.2, 4),
    ],
)
def test_a_guess_is_as_long_as_it_pays(chances: list[float], cost: float, length: int) -> None:
    assert worthwhile(chances, lambda n: cost * n) == length


# Prompt lookup.


def cheap(n_drafted: int) -> float:
    return 0.0


def proposed(tokens: Sequence[int], limit: int = 6) -> list[int]:
    drafter = PromptLookup()
    drafter.begin(tokens, Sampling())
    return list(drafter.propose(limit, cheap))


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        (b"", b""),
        (b"a", b""),
        (b"ab", b""),
        (b"abcd", b""),
        (b"abcdefghab", b"cdefgh"),
        (b"one two. one", b" two. "),
        (b"ab1 ab2 ab3 ab", b"3 ab3 "),
        (b"xab1 ab2 ab3 xab", b"1 ab2 "),
        (b"aaa", b"aaaaaa"),
        (b"xyzxyz", b"xyzxyz"),
    ],
)
def test_the_longest_match_is_continued_and_of_equal_ones_the_latest(
    text: bytes, guess: bytes
) -> None:
    assert bytes(proposed(list(text))) == guess


def test_tokens_pushed_one_by_one_are_looked_up_like_a_prompt() -> None:
    text = b"to be or not to be, that is the question; to be or not "
    grown = PromptLookup()
    grown.begin(list(text[:3]), Sampling())

    for token in text[3:]:
        grown.push(token)

    assert bytes(grown.propose(6, cheap)) == bytes(proposed(list(text))) == b"to be,"


def test_matches_that_prove_wrong_are_no_longer_followed() -> None:
    drafter = PromptLookup()
    drafter.begin([], Sampling())
    guesses = []

    for i in range(300):
        for token in (1, 2, 100 + i):
            drafter.push(token)
            guesses.append(len(drafter.propose(8, lambda n: 0.05 * n)))

    assert max(guesses[:60]) > 0
    assert sum(guesses[-60:]) == 0


def test_a_quotation_is_followed_further_and_further() -> None:
    text = [(7919 * i) % 50_021 for i in range(400)]
    drafter = PromptLookup()
    drafter.begin(text, Sampling())
    guesses = []

    for token in text[:100]:
        drafter.push(token)
        guesses.append(len(drafter.propose(MAX_DRAFT, lambda n: 0.3 * n)))

    assert guesses[-1] == MAX_DRAFT


def test_the_memory_of_a_lookup_is_a_few_bytes_for_a_token() -> None:
    drafter = PromptLookup()
    drafter.begin([], Sampling())

    for i in range(20_000):
        drafter.push((i * i) % 50_000)

    arrays = [each for each in vars(drafter).values() if hasattr(each, "buffer_info")]
    assert sum(each.itemsize * len(each) for each in arrays) == 20_000 * 8 + 4 * 16_384
