"""What is recommended: the most exact that fits and is quick enough."""

import pytest

from aboard.engine.footprint import Footprint
from aboard.planning import Candidate, Range, Speeds
from aboard.planning.choice import recommend


def candidate(type: str, mb: int, speed: float | None, **changes: object) -> Candidate:
    """One that takes so many MB of the 100 that there are."""
    memory = Footprint(weights=mb * 10**6, kv=0, scratch=0, tokenizer=0, process=0)
    decode = None if speed is None else Range(speed, speed, speed)
    fields = {
        "type": type,
        "kv": "f16",
        "own": False,
        "file_bytes": mb * 10**6,
        "memory": memory,
        "peak_bytes": memory.peak,
        "margin_bytes": 100 * 10**6 - memory.peak,
        "fits": mb <= 100,
        "speeds": Speeds(
            decode_tokens_per_s=decode,
            prompt_tokens_per_s=None,
            first_token_s=None,
            decode_bytes=0,
            basis="",
        ),
        "notes": (),
    }
    return Candidate(**(fields | changes))


F16 = candidate("F16", 90, 20.0, own=True)
Q8 = candidate("Q8_0", 50, 40.0)
Q4 = candidate("Q4_0", 30, 60.0)


@pytest.mark.parametrize(
    ("candidates", "users", "type", "reason"),
    [
        ([F16, Q8, Q4], 1, "Q8_0", "the most exact, up to Q8_0"),
        ([F16, Q8, Q4], 5, "Q4_0", "the most exact, up to Q8_0"),
        ([F16, Q8, Q4], 10, "Q4_0", "none reaches 10 tokens/s"),
        ([F16, candidate("Q8_0", 120, 40.0), Q4], 1, "Q4_0", "the most exact, up to Q8_0"),
        ([F16, candidate("Q6_K", 40, 50.0), Q4], 1, "Q6_K", "the most exact"),
        ([F16, candidate("Q8_0", 120, 9.0)], 1, "F16", "the most exact, up to Q8_0"),
        ([F16], 1, "F16", "it fits as it is"),
        ([candidate("Q8_0", 50, None), candidate("Q4_0", 30, None)], 1, "Q8_0", "isn't known"),
    ],
)
def test_the_choice(candidates: list[Candidate], users: int, type: str, reason: str) -> None:
    chosen, why = recommend(candidates, users)

    assert chosen is not None
    assert chosen.type == type
    assert reason in why


def test_int8_keys_are_taken_where_nothing_else_fits() -> None:
    whole, half = candidate("Q4_0", 110, 50.0), candidate("Q4_0", 95, 50.0, kv="int8")

    chosen, why = recommend([whole, half], 1)

    assert chosen is half
    assert "once keys and values are int8" in why


def test_where_nothing_fits_it_is_told_what_lacks_least() -> None:
    large, small = candidate("Q4_0", 130, 50.0), candidate("Q2_K", 110, 50.0)

    chosen, why = recommend([large, small], 1)

    assert chosen is None
    assert "Q2_K with keys and values in f16, lacks 10 MB" in why
