"""A string is found where a dict would find it, whatever the strings are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aboard.checkpoint import string_index
from aboard.checkpoint.gguf_strings import StringArray
from aboard.checkpoint.string_index import StringIndex

some_text = st.text(st.sampled_from("ab\0é🙂") | st.characters(codec="utf-8"), max_size=20)
WORDS = [f"<{i:x}>" * (1 + i % 5) for i in range(3000)]


@settings(max_examples=200, deadline=None)
@given(st.lists(some_text, max_size=60, unique=True), st.lists(some_text, max_size=20))
def test_every_string_is_found_and_no_other(strings: list[str], others: list[str]) -> None:
    expected = {string: i for i, string in enumerate(strings)}
    index = StringIndex(StringArray.of(strings))

    found = {text: index.find(text) for text in [*strings, *others]}

    assert found == {text: expected.get(text) for text in found}
    assert index.repeated is None


@settings(max_examples=200, deadline=None)
@given(st.lists(some_text, max_size=60, unique=True), st.lists(some_text, max_size=20))
def test_many_are_found_at_once_as_one_by_one(strings: list[str], others: list[str]) -> None:
    index, wanted = StringIndex(StringArray.of(strings)), StringArray.of([*others, *strings])
    expected = {string: i for i, string in enumerate(strings)}

    found = index.find_all(wanted.octets, *wanted.spans)

    assert found.tolist() == [expected.get(text, -1) for text in wanted]


@settings(max_examples=100, deadline=None)
@given(st.lists(some_text, min_size=1, max_size=40, unique=True), st.data())
def test_a_string_that_stands_there_twice_is_named(strings: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(strings) - 1))

    index = StringIndex(StringArray.of([*strings, strings[first]]))

    assert index.repeated == (first, len(strings))


def test_look_ups_give_the_same_before_and_after_a_dict_pays() -> None:
    index = StringIndex(StringArray.of(WORDS))

    found = [index.find(word) for word in [*WORDS, "absent", *WORDS]]

    assert found == [*range(3000), None, *range(3000)]


def test_strings_made_to_have_one_hash_are_still_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        string_index, "_hashes", lambda octets, starts, ends: np.ones(starts.size, np.uint64)
    )

    index = StringIndex(StringArray.of(WORDS))

    wanted = StringArray.of([*WORDS[:9], "absent"])
    assert [index.find(word) for word in wanted] == [*range(9), None]
    assert index.find_all(wanted.octets, *wanted.spans).tolist() == [*range(9), -1]
    assert index.repeated is None


def test_strings_made_to_crowd_the_table_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The hashes differ but in bits that choose neither the slot nor the step.
    monkeypatch.setattr(
        string_index,
        "_hashes",
        lambda octets, starts, ends: np.arange(starts.size, dtype=np.uint64) << np.uint64(20),
    )

    index = StringIndex(StringArray.of(WORDS))

    wanted = StringArray.of([*WORDS[:9], "absent"])
    assert [index.find(word) for word in wanted] == [*range(9), None]
    assert index.find_all(wanted.octets, *wanted.spans).tolist() == [*range(9), -1]
