"""Stop texts: what is let through, and when, against the plain text cut at the first of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aboard.engine.stop import StopTexts
from aboard.errors import UsageError

letters = st.text("ab", max_size=12)


def pushed(stops: StopTexts, pieces: list[str]) -> list[str]:
    return [*(stops.push(piece) for piece in pieces), stops.finish()]


@pytest.mark.parametrize(
    ("stop", "pieces", "shown"),
    [
        ([], ["a", "", "b"], ["a", "", "b", ""]),
        (["END"], ["a", "E", "N", "D", "x"], ["a", "", "", "", "", ""]),
        (["END"], ["aEN", "x"], ["a", "ENx", ""]),
        (["END"], ["aEEN", "D"], ["aE", "", ""]),
        (["END"], ["aEN"], ["a", "EN"]),
        (["END"], ["one END two END"], ["one ", ""]),
        (["aab"], ["aaa", "b"], ["a", "", ""]),
        (["\n"], ["a\nb"], ["a", ""]),
        (["two", "one"], ["x one two"], ["x ", ""]),
        (["abcd", "bc"], ["ab", "c"], ["", "a", ""]),
        (["ä"], ["x", "ä"], ["x", "", ""]),
        ("END", ["E", "ND"], ["", "", ""]),
    ],
)
def test_text_is_let_through_piece_by_piece(
    stop: list[str] | str, pieces: list[str], shown: list[str]
) -> None:
    assert pushed(StopTexts(stop), pieces) == shown


@given(st.lists(letters), st.text("ab", min_size=1, max_size=4))
def test_what_is_let_through_is_the_text_before_the_stop_text(pieces: list[str], stop: str) -> None:
    stops = StopTexts([stop])
    text = "".join(pieces)

    shown = "".join(pushed(stops, pieces))

    assert shown == text.split(stop)[0]
    assert stops.found == (stop if stop in text else None)


@given(st.lists(letters), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_nothing_is_held_back_that_no_stop_text_begins_with(
    pieces: list[str], stop: list[str]
) -> None:
    stops = StopTexts(stop)
    shown, given_text = "", ""

    for piece in pieces:
        shown += stops.push(piece)
        given_text += piece
        held = given_text.removeprefix(shown)

        assert given_text.startswith(shown)
        assert (
            stops.found
            or held == ""
            or any(each.startswith(held) and each != held for each in stop)
        )
        assert not any(each in shown for each in stop)


@pytest.mark.parametrize("stop", [[""], ["a", ""], [None], [b"x"], [5], "", 5, None], ids=repr)
def test_what_is_no_text_is_refused(stop: object) -> None:
    if stop == "":
        stop = [stop]

    with pytest.raises(UsageError, match="stop text"):
        StopTexts(stop)
