"""The headline: the same logits, bit for bit, however the work is cut and on whatever it runs.

Each model is run once, plainly: one thread, one token at a time, the best instruction set. All
other ways of doing the same must give the very bytes.
"""

from pathlib import Path

import numpy as np
import pytest

from aboard.engine import Model, load
from aboard.engine.device import force_isa, supported_isas
from tiny import FORMATS, tiny_llama

# Four chunks of 64 keys, the last one begun; from a prompt of 196 tokens and 4 more.
PROMPT, TOTAL = 196, 200
TOKENS = (np.arange(TOTAL) * 97 + 13) % 259
THREADS = [1, 2, 3, 5]
CHUNKS = [7, 32, 512]  # and 1: the plain way

SHAPES = {
    **{fmt: {"fmt": fmt} for fmt in FORMATS},
    "heads of 8": {"width": 32, "heads": 4, "kv_heads": 2, "head_dim": 8, "ffn": 64},
    "heads of 40": {"heads": 4, "kv_heads": 1, "head_dim": 40},
    "heads of 80": {"heads": 6, "kv_heads": 2, "head_dim": 80},
    "ragged rows": {"width": 60, "heads": 3, "kv_heads": 3, "ffn": 172, "vocabulary": 331},
}
BLOCKS_OF_256 = {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"}
# Of an int8 cache: the answers are others than with float16, but of them the same holds.
CODED = {
    "int8": {"fmt": "Q8_0"},
    "int8, heads of 8": SHAPES["heads of 8"],
    "int8, heads of 40": SHAPES["heads of 40"],
    "int8, ragged rows": SHAPES["ragged rows"],
}
SHAPES |= CODED
DEEP = ["Q4_1", "Q8_0", "Q6_K", "F16", "heads of 40", "ragged rows", *CODED]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    loaded = {}
    for i, (name, shape) in enumerate(SHAPES.items()):
        wide = {"width": 256, "ffn": 256} if name in BLOCKS_OF_256 else {}
        path = tiny_llama(folder / f"{i}.gguf", seed=i, **{"layers": 2, **wide, **shape})
        loaded[name] = load(path, threads=1, kv="int8" if name in CODED else "f16")
    return loaded


@pytest.fixture(scope="module")
def plain(models: dict[str, Model]) -> dict[str, np.ndarray]:
    """Logits of every token, (TOTAL, V), processed one by one."""
    return {name: one_by_one(model) for name, model in models.items()}


def one_by_one(model: Model) -> np.ndarray:
    model.threads = 1
    with model.session() as session:
        return np.stack([session.decode(token) for token in TOKENS])


def replayed(model: Model, chunk: int = 128) -> np.ndarray:
    """Logits of the last token of the prompt and of each token after it."""
    with model.session() as session:
        first = session.prefill(TOKENS[:PROMPT], chunk=chunk)
        return np.stack([first, *(session.decode(token) for token in TOKENS[PROMPT:])])


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_finite_and_differ_from_token_to_token(
    plain: dict[str, np.ndarray], name: str
) -> None:
    assert np.isfinite(plain[name]).all()
    assert len(np.unique(plain[name].round(3), axis=0)) > 0.9 * TOTAL


@pytest.mark.parametrize("isa", supported_isas())
@pytest.mark.parametrize("name", SHAPES)
def test_every_instruction_set_gives_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str, isa: str
) -> None:
    models[name].threads = 1

    with force_isa(isa):
        together = models[name].logits(TOKENS)
        alone = replayed(models[name])

    assert together.tobytes() == plain[name].tobytes()
    assert alone.tobytes() == plain[name][PROMPT - 1 :].tobytes()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_number_of_threads_gives_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str, threads: int
) -> None:
    models[name].threads = threads

    got = replayed(models[name])

    assert got.tobytes() == plain[name][PROMPT - 1 :].tobytes()


def test_the_number_of_threads_may_change_at_any_token(
    models: dict[str, Model], plain: dict[str, np.ndarray]
) -> None:
    model = models["Q4_1"]
    rows = []

    with model.session() as session:
        session.prefill(TOKENS[:120])
        for i, token in enumerate(TOKENS[120:132]):
            model.threads = THREADS[i % len(THREADS)]
            rows.append(session.decode(token))

    assert np.stack(rows).tobytes() == plain["Q4_1"][120:132].tobytes()


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_size_of_prompt_chunk_gives_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str, chunk: int
) -> None:
    models[name].threads = 1

    with models[name].session() as session:
        got = session.prefill(TOKENS, chunk=chunk)

    assert got.tobytes() == plain[name][-1].tobytes()


@pytest.mark.parametrize("name", SHAPES)
def test_neighbours_of_any_length_change_no_bit(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str
) -> None:
    model = models[name]
    model.threads = 2
    sessions = [model.session() for _ in range(8)]
    lengths = [1, PROMPT, 63, 64, 65, 127, 5, 190]
    for session, length in zip(sessions, lengths, strict=True):
        session.prefill(TOKENS[:length])

    rows = [
        model.decode_together(sessions, [int(TOKENS[n + step]) for n in lengths])
        for step in range(2)
    ]

    for step, row in enumerate(rows):
        want = plain[name][[n + step for n in lengths]]
        assert row.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", supported_isas())
def test_a_sequence_keeps_its_bits_among_other_neighbours(
    models: dict[str, Model], plain: dict[str, np.ndarray], isa: str
) -> None:
    model = models["Q5_0"]
    model.threads = 2
    others = [model.session() for _ in range(7)]
    for i, other in enumerate(others):
        other.prefill((TOKENS[: 20 * i + 1] + i) % 259)
    session = model.session()
    session.prefill(TOKENS[:100])

    with force_isa(isa):
        rows = [
            model.decode_together([*others[:n], session, *others[n:]], [*[n] * 7, token])[n]
            if n == 7
            else model.decode_together([*others[:n], session], [*[n] * n, token])[n]
            for n, token in enumerate(TOKENS[100:108])
        ]

    assert np.stack(rows).tobytes() == plain["Q5_0"][100:108].tobytes()


@pytest.mark.parametrize("at", [1, 63, 64, 65, PROMPT])
@pytest.mark.parametrize("name", DEEP)
def test_a_restored_session_goes_on_with_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str, at: int, tmp_path: Path
) -> None:
    model = models[name]
    model.threads = 2
    with model.session() as session:
        session.prefill(TOKENS[:at])
        session.save(tmp_path / "saved")

    with model.session() as session:
        session.restore(tmp_path / "saved")
        got = session.logits(TOKENS[at:])

    assert got.tobytes() == plain[name][at:].tobytes()


@pytest.mark.parametrize("shape", ["Q4_1", *CODED])
def test_a_snapshot_of_another_session_with_the_same_tokens_is_the_same_file(
    models: dict[str, Model], tmp_path: Path, shape: str
) -> None:
    model = models[shape]
    for name, chunk, threads in [("one", 7, 1), ("other", 77, 3)]:
        model.threads = threads
        with model.session() as session:
            session.prefill(TOKENS, chunk=chunk)
            session.rewind(150)
            session.save(tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("to", [0, 1, 63, 64, 65, 199])
@pytest.mark.parametrize("name", DEEP)
def test_a_rewound_session_goes_on_with_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str, to: int
) -> None:
    models[name].threads = 2
    with models[name].session() as session:
        session.prefill(TOKENS[:to].tolist() + [258] * (TOTAL - to))  # others than those below
        session.rewind(to)

        got = session.logits(TOKENS[to:])

    assert got.tobytes() == plain[name][to:].tobytes()


@pytest.mark.parametrize("name", CODED)
def test_a_prompt_whose_beginning_is_shared_goes_on_with_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str
) -> None:
    model = models[name]
    model.threads = 2
    with model.session(prefix_cache=True) as session:
        session.prefill(TOKENS)

    with model.session(prefix_cache=True) as session:
        got = session.prefill(TOKENS)

    assert model.prefix_cache.stats.found_tokens >= TOTAL - 64
    assert got.tobytes() == plain[name][-1].tobytes()


@pytest.mark.parametrize("name", CODED)
def test_an_int8_cache_answers_almost_as_float16_does(
    models: dict[str, Model], plain: dict[str, np.ndarray], name: str
) -> None:
    exact = load(models[name].path, threads=1).logits(TOKENS)

    off = np.sqrt(np.mean((plain[name] - exact) ** 2))
    assert 0 < off < 0.02 * exact.std()


def test_a_model_loaded_again_gives_the_same_bits(
    models: dict[str, Model], plain: dict[str, np.ndarray]
) -> None:
    again = load(models["Q4_K"].path, threads=4)

    assert again.logits(TOKENS).tobytes() == plain["Q4_K"].tobytes()


def test_a_shorter_context_changes_no_bit(
    models: dict[str, Model], plain: dict[str, np.ndarray]
) -> None:
    short = load(models["Q4_K"].path, threads=1, context=TOTAL)

    assert short.logits(TOKENS).tobytes() == plain["Q4_K"].tobytes()
