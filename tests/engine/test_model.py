"""The loaded model: its options, its refusals, its answers as a whole and as a stream."""

from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.engine import Model, Sampling, load
from aboard.errors import (
    AboardError,
    CheckpointError,
    ConfigError,
    ContextOverflow,
    TemplateError,
    TokenizerError,
    UsageError,
)
from engine.made import made
from engine.scripted import says
from tiny import tiny_llama

MESSAGES = [{"role": "user", "content": "hi"}]
# Letters alone, so that the text says which tokens were drawn.
LETTERS = Sampling(temperature=1.0, seed=3, logit_bias=dict.fromkeys(range(97, 123), 30.0))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q4_1", context=200)


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return load(path, threads=1)


# Loading.


def test_the_package_offers_what_a_program_needs(path: Path) -> None:
    loaded = aboard.load(path)

    assert isinstance(loaded, aboard.Model)
    assert isinstance(loaded.session(), aboard.Session)
    assert aboard.Sampling is Sampling


def test_a_model_says_what_it_is(model: Model, path: Path) -> None:
    assert repr(model) == f"<Model {str(path)!r}: llama>"
    assert (model.path, model.threads, model.context_length) == (path, 1, 200)
    assert len(model.weights_sha256) == 64
    assert model.weights_bytes > path.stat().st_size * 0.5
    assert model.tokenizer.n_vocabulary == model.config.n_vocabulary == 259


def test_the_file_is_not_needed_after_loading(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf")
    loaded = load(path, threads=1)
    before = loaded.logits([1, 2]).tobytes()

    path.write_bytes(b"")

    assert loaded.logits([1, 2]).tobytes() == before


def test_a_path_may_be_a_text(path: Path, model: Model) -> None:
    assert load(str(path), threads=1).weights_sha256 == model.weights_sha256


@pytest.mark.parametrize("context", [1, 5, 200])
def test_the_context_may_be_shorter_than_the_models(path: Path, context: int) -> None:
    loaded = load(path, threads=1, context=context)

    assert loaded.session().cache.capacity == context
    with pytest.raises(ContextOverflow):
        loaded.logits([1] * (context + 1))


@pytest.mark.parametrize("context", [0, -1, 201, 2**40, 1.0, "5", True])
def test_another_context_is_refused(path: Path, context: object) -> None:
    with pytest.raises(UsageError, match=r"context is .*, expected 1 to 200 tokens"):
        load(path, context=context)


@pytest.mark.parametrize("kv", ["f32", "INT8", "", None, 8])
def test_an_unknown_kv_format_is_refused(path: Path, kv: object) -> None:
    with pytest.raises(UsageError, match=r"kv is .*, expected 'f16' or 'int8'"):
        load(path, kv=kv)


@pytest.mark.parametrize("activations", ["f32", "int4", "", None, 32])
def test_unknown_activations_are_refused(path: Path, activations: object) -> None:
    with pytest.raises(UsageError, match=r"activations is .*, expected 'int8' or 'float32'"):
        load(path, activations=activations)


def test_float32_activations_exclude_an_int8_cache(path: Path) -> None:
    with pytest.raises(UsageError, match="keys and values are float32, too"):
        load(path, activations="float32", kv="int8")


def test_a_model_says_how_it_computes(path: Path, model: Model) -> None:
    exact = load(path, activations="float32")

    assert (model.activations, model.kv, model.rope) == ("int8", "f16", "plain")
    assert (exact.activations, exact.kv, exact.rope) == ("float32", "f32", "plain")


@pytest.mark.parametrize("threads", [0, 1025, 1.0, "2"])
def test_a_wrong_number_of_threads_is_refused(path: Path, model: Model, threads: object) -> None:
    with pytest.raises(UsageError, match="threads is"):
        load(path, threads=threads)
    with pytest.raises(UsageError, match="threads is"):
        model.threads = threads

    assert model.threads == 1


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"nonsense" * 100])
def test_a_file_that_is_no_model_is_refused_by_its_name(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "broken.gguf").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"broken\.gguf"):
        load(tmp_path / "broken.gguf")


def test_the_errors_of_a_damaged_path_are_ours(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a" / "b", Path("a\0b"), Path()):
        with pytest.raises(AboardError):
            load(path)


# Logits.


@pytest.mark.parametrize("tokens", [[5], [5, 6, 7], range(150), np.array([1, 2], np.int8)])
def test_logits_are_a_row_for_each_token(model: Model, tokens: object) -> None:
    got = model.logits(tokens)

    assert (got.shape, got.dtype) == ((len(tokens), 259), np.float32)
    assert np.isfinite(got).all()


def test_logits_are_the_callers_own(model: Model) -> None:
    first = model.logits([1, 2])

    first[:] = 0

    assert model.logits([1, 2]).any()


@pytest.mark.parametrize("tokens", [[], [259], [-1], [0.5], "ab", None, [[1]]], ids=str)
def test_logits_of_no_tokens_are_refused(model: Model, tokens: object) -> None:
    with pytest.raises(UsageError):
        model.logits(tokens)


def test_logits_beyond_the_context_are_refused(model: Model) -> None:
    with pytest.raises(ContextOverflow, match="201 tokens, the context holds 200"):
        model.logits([1] * 201)


# Several sessions together.


def test_a_batch_gives_each_session_its_own_logits_and_token(model: Model) -> None:
    sessions = [model.session() for _ in range(3)]

    rows = model.decode_together(sessions, [1, 2, 3])

    assert (rows.shape, rows.dtype) == ((3, 259), np.float32)
    assert [session.tokens for session in sessions] == [(1,), (2,), (3,)]


@pytest.mark.parametrize("n_tokens", [0, 1, 3])
def test_a_batch_needs_a_token_for_each_session(model: Model, n_tokens: int) -> None:
    with pytest.raises(UsageError, match=f"{n_tokens} tokens for 2 different sessions"):
        model.decode_together([model.session(), model.session()], [1] * n_tokens)


def test_an_empty_batch_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="0 tokens for 0"):
        model.decode_together([], [])


def test_a_session_twice_in_a_batch_is_refused(model: Model) -> None:
    session = model.session()

    with pytest.raises(UsageError, match="2 tokens for 1 different sessions"):
        model.decode_together([session, session], [1, 2])

    assert session.tokens == ()


def test_a_session_of_another_model_is_refused(model: Model, path: Path) -> None:
    foreign = load(path, threads=1).session()

    with pytest.raises(UsageError, match="another model"):
        model.decode_together([model.session(), foreign], [1, 2])
    with pytest.raises(UsageError, match="another model"):
        model.decode_together([foreign], [1])

    assert foreign.tokens == ()


def test_a_full_session_in_a_batch_stops_the_batch_before_it_begins(model: Model) -> None:
    full, other = model.session(), model.session()
    full.prefill([1] * 200)
    other.prefill([2])

    with pytest.raises(ContextOverflow):
        model.decode_together([other, full], [3, 4])

    assert other.tokens == (2,)
    assert other.decode(3).tobytes() == model.logits([2, 3])[-1].tobytes()


def test_a_token_outside_the_vocabulary_stops_the_batch_before_it_begins(model: Model) -> None:
    session = model.session()

    with pytest.raises(UsageError, match="token 259"):
        model.decode_together([session, model.session()], [1, 259])

    assert session.tokens == ()


# Answers.


def test_a_stream_is_the_answer_in_pieces(model: Model) -> None:
    whole = model.generate("once", sampling=LETTERS, max_tokens=30)

    pieces = list(model.generate("once", sampling=LETTERS, max_tokens=30, stream=True))

    assert "".join(pieces) == whole
    assert all(pieces)
    assert len(pieces) == len(whole) == 30


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_stream_ends_where_the_answer_does(model: Model, cut: int) -> None:
    full = model.generate("once", sampling=LETTERS, max_tokens=30)
    stop = full[cut : cut + 3]

    whole = model.generate("once", sampling=LETTERS, max_tokens=30, stop=[stop])
    pieces = list(model.generate("once", sampling=LETTERS, max_tokens=30, stop=stop, stream=True))

    assert whole == "".join(pieces) == full.split(stop)[0]


def test_options_may_come_one_by_one_or_as_a_sampling(model: Model) -> None:
    options = {"temperature": 1.2, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "seed": 11}

    one_by_one = model.generate("once", max_tokens=12, **options)

    assert one_by_one == model.generate("once", max_tokens=12, sampling=Sampling(**options))


def test_greedy_is_what_comes_without_options(model: Model) -> None:
    tokens = model.tokenizer.encode("once")
    steps = model.session().generate(tokens, max_tokens=8)
    want = "".join(step.text for step in steps)

    assert model.generate("once", max_tokens=8) == want


def test_an_answer_has_at_most_512_tokens_unless_told_otherwise(tmp_path: Path) -> None:
    long = load(made(tmp_path / "tiny", metadata={"llama.context_length": 600}), threads=1)

    usual = long.generate("ab", sampling=says("x" * 1000))
    limitless = long.generate("ab", sampling=says("x" * 1000), max_tokens=None)

    assert (len(usual), len(limitless)) == (512, 599)


def test_a_chat_is_the_templates_text_continued(model: Model) -> None:
    prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

    tokens = model.chat_tokens(MESSAGES)

    assert tokens[0] == 257
    assert model.tokenizer.decode(tokens, skip_special=False) == prompt
    assert model.chat(MESSAGES, max_tokens=6) == model.generate(prompt, max_tokens=6)
    assert "".join(model.chat(MESSAGES, max_tokens=6, stream=True)) == model.chat(
        MESSAGES, max_tokens=6
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temprature": 1.0}, "unknown options: temprature"),
        ({"n": 1, "best_of": 2}, "unknown options: best_of, n"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": "many"}, "max_tokens is 'many'"),
        ({"stop": [""]}, "a stop text is ''"),
        ({"sampling": 1.0}, "sampling is a float"),
        ({"sampling": Sampling(), "seed": 1}, "sampling and seed exclude each other"),
    ],
)
def test_a_wrong_option_is_refused_when_it_is_given(
    model: Model, options: dict[str, object], named: str, stream: bool
) -> None:
    with pytest.raises(UsageError, match=named):
        model.generate("once", stream=stream, **options)
    with pytest.raises(UsageError, match=named):
        model.chat(MESSAGES, stream=stream, **options)


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_prompt_is_refused_when_it_is_given(model: Model, stream: bool) -> None:
    with pytest.raises(UsageError, match="no tokens"):
        model.generate("", stream=stream)


@pytest.mark.parametrize("prompt", [None, 5, b"bytes", ["a"]], ids=repr)
def test_a_prompt_that_is_no_text_is_refused(model: Model, prompt: object) -> None:
    with pytest.raises(UsageError):
        model.generate(prompt)


def test_a_prompt_beyond_the_context_is_refused(model: Model) -> None:
    with pytest.raises(ContextOverflow, match="the context holds 200"):
        model.generate("x" * 201)


# Files that lack something.


def test_a_file_without_a_tokenizer_serves_ids_alone(tmp_path: Path) -> None:
    nothing = dict.fromkeys(
        [
            "tokenizer.ggml.model",
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.token_type",
            "tokenizer.ggml.merges",
        ]
    )
    loaded = load(made(tmp_path / "bare", metadata=nothing), threads=1)

    assert loaded.logits([1, 2]).shape == (2, 259)
    with pytest.raises(TokenizerError, match="bare: has no tokenizer") as caught:
        loaded.generate("a")
    assert caught.value.hint
    with pytest.raises(TokenizerError, match="bare: has no tokenizer"):
        loaded.session().generate([1])


def test_a_file_without_a_template_refuses_to_chat(tmp_path: Path) -> None:
    metadata = {"tokenizer.chat_template": None}
    loaded = load(made(tmp_path / "plain", metadata=metadata), threads=1)

    with pytest.raises(TemplateError, match="plain: has no chat template") as caught:
        loaded.chat(MESSAGES)

    assert caught.value.hint
    assert loaded.generate("a", max_tokens=2, sampling=says("ok")) == "ok"


def test_the_longest_context_that_a_file_may_state_costs_nothing_until_used(
    tmp_path: Path,
) -> None:
    metadata = {"llama.context_length": 2**31 - 1}
    loaded = load(made(tmp_path / "endless", metadata=metadata), threads=1)

    with loaded.session() as session:
        assert session.prefill([1, 2, 3]).shape == (259,)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"tokenizer.ggml.tokens": ["a"] * 259}, TokenizerError),
        ({"tokenizer.chat_template": 5}, TemplateError),
        ({"llama.block_count": 0}, ConfigError),
    ],
)
def test_what_is_wrong_with_metadata_is_told_with_the_name_of_the_file(
    metadata: dict[str, object], error: type[AboardError], tmp_path: Path
) -> None:
    file = made(tmp_path / "tiny.gguf", metadata=metadata)

    with pytest.raises(error, match=rf"^{file}: "):
        load(file, threads=1)
