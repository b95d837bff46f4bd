"""Layers whose state isn't keys and values, or those of another layer: no way of going on with a
sequence changes a bit.

What a short convolution looks back on is kept for the last tokens, and at the ends of chunks; the
state of a delta net where the last pass of several tokens began. From there a session computes
again what it holds. The plain run is one token at a time.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.engine import Model
from aboard.engine.info import describe
from aboard.engine.sampling import Sampling
from aboard.engine.speculation import Cost
from engine.made import DELTA_NETS, convolutions
from tiny_differing import DIFFERING
from tiny_families import tiny_model

TOTAL = 200
TOKENS = (np.arange(TOTAL) * 97 + 13) % 259
WAYS = {"f16": {}, "int8": {"kv": "int8"}, "f32": {"activations": "float32"}}


MODELS = {
    **{f"{taps} taps": convolutions(taps) for taps in (2, 3, 4, 17)},
    "delta": DELTA_NETS,
    "shared": DIFFERING,
}
PARAMS = [
    *("2 taps, f16", "3 taps, f16", "3 taps, int8", "4 taps, f32", "17 taps, f16"),
    *("delta, f16", "delta, int8", "delta, f32"),
    *("shared, f16", "shared, int8", "shared, f32"),
]


@pytest.fixture(scope="module", params=PARAMS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    name, way = request.param.split(", ")
    path = tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf", MODELS[name])
    return aboard.load(path, threads=2, **WAYS[way])


@pytest.fixture(scope="module")
def plain(model: Model) -> np.ndarray:
    """Logits of every token, (TOTAL, V), processed one by one by one thread."""
    model.threads = 1
    with model.session() as session:
        found = np.stack([session.decode(token) for token in TOKENS.tolist()])
    model.threads = 2
    return found


def cached(model: Model, n_whole: int, n_same: int) -> int:
    """Tokens that a prefix cache gives of `n_same` known ones; whole chunks have `n_whole`."""
    first = model.config.layers[0]
    return 0 if first.delta_net else n_whole if first.short_conv else n_same


def other_tokens(n_tokens: int) -> list[int]:
    return [258 - int(token) for token in TOKENS[:n_tokens]]


@pytest.mark.parametrize("to", [0, 1, 2, 31, 62, 63, 64, 65, 66, 127, 128, 150, 183, 198, 199])
@pytest.mark.parametrize("chunk", [7, 512])
def test_a_rewound_session_goes_on_with_the_same_bits(
    model: Model, plain: np.ndarray, to: int, chunk: int
) -> None:
    with model.session() as session:
        session.prefill([*TOKENS[:to], *other_tokens(TOTAL - to)], chunk=chunk)
        session.rewind(to)

        got = session.logits(TOKENS[to:])

    assert got.tobytes() == plain[to:].tobytes()


def test_rewinding_again_and_again_changes_no_bit(model: Model, plain: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    with model.session() as session:
        for _ in range(60):
            held = session.n_tokens
            if held == TOTAL or rng.random() < 0.4:
                session.rewind(int(rng.integers(0, held + 1)))
            n_tokens = int(rng.integers(1, 1 + min(90, TOTAL - session.n_tokens)))
            first = session.n_tokens

            got = session.logits(TOKENS[first : first + n_tokens])

            assert got.tobytes() == plain[first : first + n_tokens].tobytes()


@pytest.mark.parametrize("at", [1, 2, 61, 62, 63, 64, 65, 66, 128, 150])
def test_a_restored_session_goes_on_with_the_same_bits(
    model: Model, plain: np.ndarray, at: int, tmp_path: Path
) -> None:
    with model.session() as session:
        session.prefill([*TOKENS[:at], *other_tokens(20)])
        session.rewind(at)
        session.save(tmp_path / "saved")
    with model.session() as session:
        session.restore(tmp_path / "saved")
        first = session.logits(TOKENS[at : at + 10])

        session.rewind(max(at - 5, 0))
        again = session.logits(TOKENS[session.n_tokens :])

    assert first.tobytes() == plain[at : at + 10].tobytes()
    assert again.tobytes() == plain[max(at - 5, 0) :].tobytes()


def test_a_snapshot_depends_on_its_tokens_only(model: Model, tmp_path: Path) -> None:
    with model.session() as session:
        session.prefill(TOKENS[:90], chunk=7)
        session.save(tmp_path / "one")
    with model.session() as session:
        session.prefill([*TOKENS[:90], *other_tokens(70)])
        session.rewind(90)
        session.save(tmp_path / "other")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(("n_same", "n_found"), [(63, 0), (64, 64), (100, 64), (130, 128)])
def test_whole_chunks_of_a_prompt_that_is_known_are_not_computed_again(
    model: Model, plain: np.ndarray, n_same: int, n_found: int
) -> None:
    model.prefix_cache.clear()
    with model.session(prefix_cache=True) as session:
        session.prefill([*TOKENS[:n_same], *other_tokens(TOTAL - n_same)])

    with model.session(prefix_cache=True) as session:
        got = session.prefill(TOKENS[:180])
        rest = session.logits(TOKENS[180:])

    assert session.cached_tokens == cached(model, n_found, n_same)
    assert got.tobytes() == plain[179].tobytes()
    assert rest.tobytes() == plain[180:].tobytes()


def test_going_back_into_a_shared_chunk_leaves_it_to_the_others(
    model: Model, plain: np.ndarray
) -> None:
    model.prefix_cache.clear()
    with model.session(prefix_cache=True) as session:
        session.prefill(TOKENS[:70])
        session.rewind(62)  # into the chunk that the cache now has, too
        session.prefill(other_tokens(30))
    with model.session(prefix_cache=True) as session:
        got = session.prefill(TOKENS[:100])

    assert session.cached_tokens == cached(model, 64, 64)
    assert got.tobytes() == plain[99].tobytes()


@pytest.mark.parametrize("n_right", [0, 1, 7, 16])
@pytest.mark.parametrize("n_guessed", [1, 5, 16, 40])
def test_guesses_that_are_taken_back_change_no_bit(
    model: Model, plain: np.ndarray, n_guessed: int, n_right: int
) -> None:
    got = []
    with model.session() as session:
        session.prefill(TOKENS[:40])
        for at in range(40, TOTAL):
            right = [*TOKENS[at + 1 : at + 1 + min(n_right, n_guessed)]]
            draft = [*right, *other_tokens(n_guessed - len(right))]
            got.append(session.decode(int(TOKENS[at]), draft=[int(token) for token in draft]))

    assert np.stack(got).tobytes() == plain[40:].tobytes()


def test_neighbours_in_a_pass_change_no_bit(model: Model, plain: np.ndarray) -> None:
    lengths = [1, 2, 62, 63, 64, 65, 150]
    sessions = [model.session() for _ in lengths]
    for session, length in zip(sessions, lengths, strict=True):
        session.prefill(TOKENS[:length])

    for step in range(5):
        rows = model.decode_together(sessions, [int(TOKENS[n + step]) for n in lengths])
        assert rows.tobytes() == plain[[n + step for n in lengths]].tobytes()


class Guesser:
    """Guesses that the last tokens come again: sometimes right, mostly wrong."""

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        self.tokens = list(tokens)

    def push(self, token: int) -> None:
        self.tokens.append(token)

    def propose(self, limit: int, cost: Cost) -> Sequence[int]:
        return self.tokens[-min(limit, 15) :]


PROMPTS = ["Once upon a time", "Once upon a night in June, when all the others slept already,", "x"]


def test_answers_are_the_same_alone_together_and_speculated(model: Model) -> None:
    model.prefix_cache.clear()
    options = {"max_tokens": 100, "temperature": 0.8, "seed": 3}
    alone = [model.generate(prompt, **options) for prompt in PROMPTS]

    assert model.generate_many(PROMPTS * 3, **options) == alone * 3
    assert [model.generate(each, speculate=Guesser(), **options) for each in PROMPTS] == alone
    assert [model.generate(each, speculate="prompt", **options) for each in PROMPTS] == alone


@pytest.mark.parametrize(
    ("way", "value_bytes"), [({}, 2), ({"activations": "float32"}, 4)], ids=["f16", "f32"]
)
def test_keys_that_layers_share_are_kept_once(
    tmp_path: Path, way: dict[str, str], value_bytes: int
) -> None:
    path = tiny_model(tmp_path / "tiny.gguf", DIFFERING)

    with aboard.load(path, **way).session() as session:
        session.prefill([1, 2, 3])
        chunk_bytes = session.cache.chunk_bytes

    # Of five layers three: two with two heads of 20, stored as 32, one with a head of 44, as 48.
    assert chunk_bytes == 64 * 2 * (2 * 2 * 32 + 48) * value_bytes
    if not way:
        assert describe(path).kv_bytes_per_token == chunk_bytes // 64
