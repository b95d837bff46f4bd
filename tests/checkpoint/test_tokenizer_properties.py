"""The tokenizers against their definitions, on random vocabularies and texts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint.vocabularies import CONTROL, byte_level, letters, sentence_piece, tokenizer

LETTERS = letters()
SPECIAL = {"<|a|>": CONTROL, "<|b|>": CONTROL, "ab▁": 4}
some_text = st.text(st.sampled_from("abcé🙂 ▁<|>\n日") | st.characters(codec="utf-8"), max_size=40)


@st.composite
def merges(draw: st.DrawFn) -> list[str]:
    """Up to 20 merges over the letters a, b, c, space; each half is a token by then."""
    made = ["a", "b", "c", "Ġ"]
    found: list[str] = []
    for _ in range(draw(st.integers(0, 20))):
        pair = draw(st.tuples(st.sampled_from(made), st.sampled_from(made)))
        if "".join(pair) not in made:
            made.append("".join(pair))
            found.append(" ".join(pair))
    return found


@st.composite
def scored_pieces(draw: st.DrawFn) -> dict[str, float]:
    """Pieces over the letters a, b, c and the space mark; scores tie often."""
    names = draw(st.sets(st.text("abc▁", min_size=1, max_size=5), max_size=24))
    return {name: float(-draw(st.integers(0, 6))) for name in sorted(names)}


def byte_pairs_by_definition(word: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """The pair with the lowest rank is merged, leftmost first, until none is left."""
    while True:
        pairs = [(ranks[pair], i) for i, pair in enumerate(zip(word, word[1:])) if pair in ranks]  # noqa: B905, RUF007
        if not pairs:
            return word
        _, i = min(pairs)
        word = [*word[:i], word[i] + word[i + 1], *word[i + 2 :]]


def pieces_by_definition(text: str, scores: dict[str, float]) -> list[str]:
    """The two neighbours whose union has the highest score are joined, leftmost first."""
    parts = list(text)
    while True:
        unions = [
            (-scores[parts[i] + parts[i + 1]], i)
            for i in range(len(parts) - 1)
            if parts[i] + parts[i + 1] in scores
        ]
        if not unions:
            return parts
        _, i = min(unions)
        parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


@settings(max_examples=60, deadline=None)
@given(merges(), st.text("abc", max_size=24))
def test_a_word_is_merged_by_rank(pairs: list[str], word: str) -> None:
    ranks = {(one, other): rank for rank, (one, other) in enumerate(map(str.split, pairs))}
    ours = tokenizer(byte_level(pairs))

    ids = ours.encode(word)

    merged = byte_pairs_by_definition(list(word), ranks)
    assert [ours.piece(token_id).decode() for token_id in ids] == merged


@settings(max_examples=150, deadline=None)
@given(scored_pieces(), st.text("abc ", max_size=24))
def test_pieces_are_joined_by_score(scores: dict[str, float], text: str) -> None:
    ours = tokenizer(sentence_piece(scores, add_space_prefix=False))
    index = {piece: 259 + i for i, piece in enumerate(scores)}

    ids = ours.encode(text, add_special=False)

    expected: list[int] = []
    for part in pieces_by_definition(text.replace(" ", "▁"), scores):
        spelled = [3 + byte for letter in part for byte in letter.encode()]
        expected += [index[part]] if part in index else spelled
    assert ids == expected


@settings(max_examples=100, deadline=None)
@given(some_text, merges(), st.booleans())
def test_byte_level_text_comes_back(text: str, pairs: list[str], parse_special: bool) -> None:
    ours = tokenizer(byte_level(pairs, SPECIAL))

    ids = ours.encode(text, parse_special=parse_special)

    assert ours.decode(ids, skip_special=False) == text
    assert parse_special or not {256 + len(pairs), 257 + len(pairs)} & set(ids)


@settings(max_examples=100, deadline=None)
@given(some_text, scored_pieces())
def test_sentencepiece_text_comes_back(text: str, pieces: dict[str, float]) -> None:
    pieces.pop("ab▁", None)
    ours = tokenizer(sentence_piece(pieces | {"▁": -7.0}, SPECIAL))

    ids = ours.encode(text, add_special=False)

    assert ours.decode(ids, skip_special=False) == text.replace("▁", " ")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 258), max_size=40), st.booleans(), st.booleans())
def test_a_stream_gives_what_decode_gives(
    ids: list[int], skip_special: bool, continues: bool
) -> None:
    for found in (byte_level(special=SPECIAL), sentence_piece({"▁a": -1.0})):
        ours = tokenizer(found)
        stream = ours.stream(skip_special=skip_special, continues=continues)
        bound = [token_id % ours.n_vocabulary for token_id in ids]

        text = "".join([*map(stream.push, bound), stream.finish()])

        assert text == ours.decode(bound, skip_special=skip_special, continues=continues)
        spelled = b"".join(ours.piece(token_id) for token_id in bound)
        assert len(text.encode()) <= 3 * len(spelled)
