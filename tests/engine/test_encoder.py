"""Encoders: the same bits however the work is cut, what is refused, what texts become."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aboard
from aboard import EmbeddingModel
from aboard.artifact.importing import import_checkpoint
from aboard.engine.device import force_isa, supported_isas
from aboard.errors import ContextOverflow, NumericalError, UsageError
from tiny import tiny_llama
from tiny_blocks import Random
from tiny_encoders import PIECES, TinyBert, bert_folder, bert_weights

LENGTHS = (1, 2, 15, 16, 17, 64, 65, 128, 150)
SHAPES = {
    "F32": (TinyBert(), None),
    "Q8_0": (TinyBert(), "q8_0"),
    "Q4_0": (TinyBert(), "q4_0"),
    "ragged": (TinyBert(width=60, heads=5, ffn=100), None),
    "wide heads": (TinyBert(width=80, heads=2, pooling="cls"), None),
}
MODES = ["int8", "float32"]
TEXTS = ["the sea", "", "until the boat is there, er, in the sea." * 2, "日本語 é"]


def texts(seed: int = 5) -> list[list[int]]:
    ids = Random(seed).bytes(sum(LENGTHS)).astype(int) % len(PIECES)
    return [part.tolist() for part in np.split(ids, np.cumsum(LENGTHS)[:-1])]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    found = {}
    for i, (name, (shape, fmt)) in enumerate(SHAPES.items()):
        found[name] = folder / f"{i}.gguf"
        import_checkpoint(bert_folder(folder / str(i), shape, seed=i), found[name], type=fmt)
    return found


@pytest.fixture
def model(paths: dict[str, Path]) -> EmbeddingModel:
    loaded = aboard.load(paths["Q8_0"])
    assert isinstance(loaded, EmbeddingModel)
    return loaded


def alone(model: EmbeddingModel) -> bytes:
    """The vectors, each text on its own, by one thread."""
    model.threads = 1
    return b"".join(model.embed_tokens([text]).tobytes() for text in texts())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("name", SHAPES)
def test_any_number_of_threads_and_any_batch_give_the_same_bits(
    name: str, threads: int, mode: str, paths: dict[str, Path]
) -> None:
    model = aboard.load(paths[name], activations=mode)
    plain = alone(model)
    model.threads = threads

    together = model.embed_tokens(texts())
    backwards = model.embed_tokens(texts()[::-1])[::-1]

    assert together.tobytes() == plain
    assert backwards.tobytes() == plain


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("isa", supported_isas())
@pytest.mark.parametrize("name", SHAPES)
def test_every_instruction_set_gives_the_same_bits(
    name: str, isa: str, mode: str, paths: dict[str, Path]
) -> None:
    model = aboard.load(paths[name], activations=mode)
    plain = alone(model)

    with force_isa(isa):
        found = model.embed_tokens(texts())

    assert found.tobytes() == plain


def test_callers_at_once_get_what_they_would_get_alone(model: EmbeddingModel) -> None:
    wanted = model.embed(TEXTS).tobytes()
    found: list[bytes] = []
    callers = [
        threading.Thread(target=lambda: found.append(model.embed(TEXTS).tobytes()))
        for _ in range(4)
    ]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert found == [wanted] * 4


def test_vectors_have_the_length_that_was_asked_for(model: EmbeddingModel) -> None:
    raw = model.embed(TEXTS, normalize=False)

    normalised = model.embed(TEXTS)

    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.1
    assert normalised == pytest.approx(raw / lengths, abs=1e-6)
    assert model.embed(TEXTS, normalize=True).tobytes() == normalised.tobytes()


def test_many_texts_are_computed_in_batches(model: EmbeddingModel) -> None:
    many = texts() * 12  # more tokens than are computed together

    found = model.embed_tokens(many)

    assert found.tobytes() == model.embed_tokens(texts()).tobytes() * 12


def test_no_texts_give_no_vectors(model: EmbeddingModel) -> None:
    assert model.embed([]).shape == (0, 64)


def test_a_text_that_is_too_long_is_refused_or_cut_when_asked(model: EmbeddingModel) -> None:
    long = "a b c d e f g h " * 30
    ids = model.tokenizer.encode(long)

    with pytest.raises(ContextOverflow, match="242 tokens, the context holds 160"):
        model.embed([long])
    cut = model.embed([long], truncate=True)

    assert cut.tobytes() == model.embed_tokens([[*ids[:159], ids[-1]]]).tobytes()


def test_texts_are_cut_where_the_makers_cut_them(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny", TinyBert(text_length=20))
    import_checkpoint(folder, tmp_path / "tiny.gguf")
    text = "a " * 30

    with pytest.raises(ContextOverflow, match="32 tokens, the context holds 20"):
        aboard.load(tmp_path / "tiny.gguf").embed([text])
    longer = aboard.load(tmp_path / "tiny.gguf", context=160)

    assert longer.embed([text]).shape == (1, 64)
    with pytest.raises(UsageError, match="1 to 160 tokens"):
        aboard.load(tmp_path / "tiny.gguf", context=161)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([[]], "text 0 has no tokens"),
        ([[1], [len(PIECES)]], "not in the vocabulary"),
        ([[-1]], "not in the vocabulary"),
        ([["a"]], "expected"),
    ],
)
def test_ids_that_are_none_are_refused(
    sequences: list[list[int]], message: str, model: EmbeddingModel
) -> None:
    with pytest.raises(UsageError, match=message):
        model.embed_tokens(sequences)


@pytest.mark.parametrize("given", ["the sea", b"the sea", None, 5])
def test_what_is_no_iterable_of_texts_is_refused(model: EmbeddingModel, given: Any) -> None:
    with pytest.raises(UsageError, match="expected an iterable of texts"):
        model.embed(given)
    with pytest.raises(UsageError, match="expected an iterable of sequences of token ids"):
        model.embed_tokens(given)


@pytest.mark.parametrize("value", ["yes", 1, 0.0])
@pytest.mark.parametrize("name", ["normalize", "truncate"])
def test_a_choice_that_is_neither_true_nor_false_is_refused(
    model: EmbeddingModel, name: str, value: Any
) -> None:
    with pytest.raises(UsageError, match=f"{name} is {value!r}, expected True or False"):
        model.embed(["the sea"], **{name: value})


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.generate("the"),
        lambda model: model.generate("the", stream=True),
        lambda model: model.generate_many(["the"]),
        lambda model: model.chat([{"role": "user", "content": "the"}]),
        lambda model: model.session(),
        lambda model: model.batch(),
        lambda model: model.logits([1]),
        lambda model: aboard.DraftModel(model).model.session(),
    ],
    ids=["generate", "stream", "many", "chat", "session", "batch", "logits", "draft"],
)
def test_what_makes_text_says_that_an_encoder_does_not(use, model: EmbeddingModel) -> None:
    with pytest.raises(UsageError, match="is an encoder") as caught:
        use(model)

    assert "embed" in (caught.value.hint or "")


def test_a_decoder_says_that_it_makes_no_vectors(tmp_path: Path) -> None:
    model = aboard.load(tiny_llama(tmp_path / "tiny.gguf"))

    with pytest.raises(UsageError, match="is a decoder"):
        model.embed(["the sea"])


def test_weights_beyond_float32_are_an_error(tmp_path: Path) -> None:
    weights = bert_weights(TinyBert(), 0)
    weights["embeddings.word_embeddings.weight"] *= np.float32(1e38)
    import_checkpoint(bert_folder(tmp_path / "tiny", weights=weights), tmp_path / "tiny.gguf")

    with pytest.raises(NumericalError, match="NaN or infinity instead of a vector"):
        aboard.load(tmp_path / "tiny.gguf").embed(TEXTS)
