"""Sessions in files: what comes back, what is refused, and what a failure leaves behind."""

import errno
import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from aboard import _native
from aboard.engine import Model, Session, load
from aboard.errors import ContextOverflow, NotEnoughMemory, SessionMismatch, UsageError
from tiny import tiny_llama
from tiny_families import Tiny, tiny_model

TOKENS = [(7 * i) % 259 for i in range(100)]  # two chunks of keys


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(tiny_llama(folder / "tiny.gguf"), threads=1, context=256)


@pytest.fixture(scope="module")
def saved(folder: Path, model: Model) -> bytes:
    with model.session() as session:
        session.prefill(TOKENS)
        session.save(folder / "saved")
    return (folder / "saved").read_bytes()


def parts(saved: bytes) -> tuple[dict[str, object], bytes]:
    """The header and the chunks."""
    (length,) = struct.unpack_from("<I", saved, 8)
    return json.loads(saved[12 : 12 + length]), saved[12 + length : -32]


def sealed(header: object, chunks: bytes, length: int | None = None) -> bytes:
    """A file whose hash is right, whatever it holds."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = struct.pack("<I", len(raw) if length is None else length)
    content = b"ABOARDKV" + size + raw + chunks
    return content + hashlib.sha256(content).digest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_use(model: Model) -> Session:
    session = model.session()
    session.prefill([1, 2, 3])
    return session


def assert_unchanged(session: Session) -> None:
    assert session.tokens == (1, 2, 3)
    assert session.decode(4).tobytes() == session.model.logits([1, 2, 3, 4])[-1].tobytes()


# What comes back.


@pytest.mark.parametrize("n_tokens", [0, 1, 64, 100, 256])
def test_a_restored_session_holds_the_tokens_and_forgets_its_own(
    model: Model, tmp_path: Path, n_tokens: int
) -> None:
    with model.session() as session:
        for token in [*TOKENS, *TOKENS, *TOKENS][:n_tokens]:
            session.decode(token)
        session.save(tmp_path / "saved")
    restored = in_use(model)

    restored.restore(tmp_path / "saved")

    assert restored.tokens == tuple([*TOKENS, *TOKENS, *TOKENS][:n_tokens])
    assert restored.cache.size == n_tokens


def test_a_path_may_be_a_text(model: Model, tmp_path: Path) -> None:
    in_use(model).save(str(tmp_path / "saved"))
    session = model.session()

    session.restore(str(tmp_path / "saved"))

    assert_unchanged(session)


def test_another_model_object_of_the_same_weights_restores_it(
    model: Model, folder: Path, saved: bytes
) -> None:
    same = load(model.path, threads=2, context=100)
    session = same.session()

    session.restore(folder / "saved")

    assert session.tokens == tuple(TOKENS)


def test_the_name_may_be_as_long_as_names_may_be(model: Model, tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)

    in_use(model).save(path)

    model.session().restore(path)


def test_a_file_that_is_there_is_replaced_and_nothing_is_left_beside_it(
    model: Model, tmp_path: Path
) -> None:
    (tmp_path / "saved").write_text("old")

    in_use(model).save(tmp_path / "saved")

    assert names(tmp_path) == ["saved"]
    model.session().restore(tmp_path / "saved")


# What is refused.


@pytest.mark.parametrize("kept", [0, 1, 8, 11, 12, 43, 44, 45, 200, -1, -32, -33, -5000])
def test_a_file_cut_short_is_refused(model: Model, saved: bytes, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut").write_bytes(saved[:kept])
    session = in_use(model)

    with pytest.raises(SessionMismatch, match=r"cut: is (damaged|no saved session)"):
        session.restore(tmp_path / "cut")

    assert_unchanged(session)


@pytest.mark.parametrize("at", [0, 7, 8, 12, 60, 500, 20_000, -33, -32, -1])
def test_a_changed_bit_is_noticed(model: Model, saved: bytes, tmp_path: Path, at: int) -> None:
    changed = bytearray(saved)
    changed[at] ^= 4
    (tmp_path / "changed").write_bytes(changed)
    session = in_use(model)

    with pytest.raises(SessionMismatch, match=r"changed: is (damaged|no saved session)"):
        session.restore(tmp_path / "changed")

    assert_unchanged(session)


def test_bytes_after_the_end_are_noticed(model: Model, saved: bytes, tmp_path: Path) -> None:
    (tmp_path / "longer").write_bytes(saved + b"\0")

    with pytest.raises(SessionMismatch, match="is damaged"):
        model.session().restore(tmp_path / "longer")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"weights_sha256": "0" * 64}, "weights_sha256 is 0000"),
        ({"weights_sha256": None}, "weights_sha256 is None"),
        ({"config_sha256": "0" * 64}, "config_sha256 is 0000"),
        ({"numerics_version": 2}, "numerics_version is 2, this model's is 1"),
        ({"numerics_version": "1"}, "numerics_version is 1"),
        ({"kv": "int8"}, "kv is int8, this model's is f16"),
        ({"activations": "float32"}, "activations is float32, this model's is int8"),
        ({"rope": "long"}, "rope is long, this model's is plain"),
        ({"chunk_bytes": 64}, "chunk_bytes is 64"),
        ({"tokens": None}, "has no list of tokens"),
        ({"tokens": 100}, "has no list of tokens"),
        ({"tokens": "a" * 100}, "has no list of tokens"),
        ({"tokens": [1.5] * 100}, "expected .* integers"),
        ({"tokens": [[1]] * 100}, "expected .* integers"),
        ({"tokens": [None] * 100}, "expected .* integers"),
        ({"tokens": [259] * 100}, "token 259 is not in the vocabulary of 259"),
        ({"tokens": [-1] * 100}, "token -1 is not in the vocabulary"),
        ({"tokens": [2**40] * 100}, "is not in the vocabulary"),
        ({"tokens": TOKENS[:64]}, "bytes of keys and values for 64 tokens"),
        ({"tokens": TOKENS + TOKENS}, "bytes of keys and values for 200 tokens"),
        ({"tokens": []}, "bytes of keys and values for 0 tokens"),
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_is_refused_though_its_hash_is_right(
    model: Model, saved: bytes, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    header, chunks = parts(saved)
    (tmp_path / "crafted").write_bytes(sealed(header | change, chunks))
    session = in_use(model)

    with pytest.raises(SessionMismatch, match=rf"crafted: .*{named}"):
        session.restore(tmp_path / "crafted")

    assert_unchanged(session)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"1", None),
        (b"{}", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"9" * 10_000, None),
        (b"{}", 2**20),
        (b"{}", 2**32 - 1),
    ],
    ids=["empty", "open", "list", "number", "bare", "utf8", "deep", "digits", "long", "longest"],
)
def test_a_header_that_is_none_is_refused_though_its_hash_is_right(
    model: Model, tmp_path: Path, header: bytes, length: int | None
) -> None:
    (tmp_path / "crafted").write_bytes(sealed(header, b"\0" * 64, length))
    session = in_use(model)

    with pytest.raises(SessionMismatch, match=r"has no header|numerics_version is None"):
        session.restore(tmp_path / "crafted")

    assert_unchanged(session)


@pytest.mark.parametrize("kept", [0, 1, 100, -1, -64])
def test_chunks_cut_short_are_refused_though_the_hash_is_right(
    model: Model, saved: bytes, tmp_path: Path, kept: int
) -> None:
    header, chunks = parts(saved)
    (tmp_path / "crafted").write_bytes(sealed(header, chunks[:kept]))
    session = in_use(model)

    with pytest.raises(SessionMismatch, match="bytes of keys and values for 100 tokens"):
        session.restore(tmp_path / "crafted")

    assert_unchanged(session)


def test_a_session_of_other_weights_is_refused(folder: Path, saved: bytes, tmp_path: Path) -> None:
    other = load(tiny_llama(tmp_path / "other.gguf", seed=1), threads=1)

    with pytest.raises(SessionMismatch, match=r"weights_sha256 is .*, this model's is") as caught:
        other.session().restore(folder / "saved")

    assert caught.value.hint


def test_a_session_of_another_numerics_version_is_refused(
    model: Model, folder: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_native, "NUMERICS_VERSION", 2)

    with pytest.raises(SessionMismatch, match="numerics_version is 1, this model's is 2"):
        model.session().restore(folder / "saved")


def test_more_tokens_than_the_context_holds_are_refused(
    model: Model, folder: Path, saved: bytes
) -> None:
    session = in_use(load(model.path, threads=1, context=99))

    with pytest.raises(ContextOverflow, match="holds 100 tokens, the context 99"):
        session.restore(folder / "saved")

    assert_unchanged(session)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "tiny.gguf/inside", "no/such/folder", "n" * 256, "a\0b"]
)
@pytest.mark.parametrize("method", ["save", "restore"])
def test_a_path_that_leads_nowhere_is_refused(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, name: str
) -> None:
    monkeypatch.chdir(folder)
    before = names(folder)

    with pytest.raises(UsageError):
        getattr(in_use(model), method)(name)

    assert names(folder) == before


def test_a_pipe_is_not_replaced_by_a_file(model: Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="is no regular file"):
        in_use(model).save(tmp_path / "pipe")

    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_what_is_held_takes_no_room_from_the_prompt_of_a_state(
    model: Model, saved: bytes, tmp_path: Path
) -> None:
    (tmp_path / "saved").write_bytes(saved)
    session = model.session()
    session.prefill([1] * 200)

    rest = session.resume(tmp_path / "saved", [*TOKENS, 5])

    assert rest.tolist() == [5]
    assert session.tokens == tuple(TOKENS)


def test_a_file_that_is_no_saved_session_is_refused(model: Model) -> None:
    with pytest.raises(SessionMismatch, match="is no saved session"):
        model.session().restore(model.path)


# What a failure leaves behind.


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_failure_while_saving_leaves_the_old_file_and_nothing_else(
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: type[BaseException],
) -> None:
    def fail(*_: object) -> None:
        raise error(errno.ENOSPC, "No space left")

    (tmp_path / "saved").write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[where], fail)
        with pytest.raises(UsageError if error is OSError else error) as caught:
            in_use(model).save(tmp_path / "saved")

    assert "No space left" in str(caught.value)
    assert names(tmp_path) == ["saved"]
    assert (tmp_path / "saved").read_text() == "old"


@pytest.mark.parametrize(
    ("error", "told"), [(KeyboardInterrupt, KeyboardInterrupt), (MemoryError, NotEnoughMemory)]
)
def test_what_ends_restoring_leaves_an_empty_session(
    model: Model,
    folder: Path,
    saved: bytes,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    told: type[BaseException],
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    session = in_use(model)
    with monkeypatch.context() as patched:
        patched.setattr(Session, "adopt", interrupted)
        with pytest.raises(told):
            session.restore(folder / "saved")

    assert session.tokens == ()
    assert session.prefill([5, 6]).tobytes() == model.logits([5, 6])[-1].tobytes()


def test_a_session_of_another_kv_format_is_refused(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    other = load(model.path, threads=1, kv="int8")
    with in_use(other) as session:
        session.save(tmp_path / "coded")

    with pytest.raises(SessionMismatch, match="kv is int8, this model's is f16"):
        model.session().restore(tmp_path / "coded")
    with pytest.raises(SessionMismatch, match="kv is f16, this model's is int8"):
        other.session().restore(folder / "saved")


def test_a_session_with_float32_activations_is_no_other_models(
    model: Model, saved: bytes, folder: Path, tmp_path: Path
) -> None:
    exact = load(model.path, threads=1, activations="float32")
    with in_use(exact) as session:
        session.save(tmp_path / "exact")

    with pytest.raises(SessionMismatch, match="kv is f32, this model's is f16"):
        model.session().restore(tmp_path / "exact")
    with pytest.raises(SessionMismatch, match="kv is f16, this model's is f32"):
        exact.session().restore(folder / "saved")


def test_a_session_of_a_longrope_belongs_to_contexts_of_the_same_length(tmp_path: Path) -> None:
    own = {"rope.scaling.original_context_length": 32, "rope.scaling.attn_factor": 1.1}
    factors = {f"rope_factors_{name}": (1.0,) * 8 for name in ("short", "long")}
    path = tiny_model(tmp_path / "phi3.gguf", Tiny("phi3", own=own, vectors=factors))
    short, long = load(path, context=32), load(path, context=33)
    with short.session() as session:
        session.prefill([1, 2, 3])
        session.save(tmp_path / "short")

    with pytest.raises(SessionMismatch, match="rope is short, this model's is long"):
        long.session().restore(tmp_path / "short")
    with load(path, context=8).session() as session:
        session.restore(tmp_path / "short")


def test_a_file_that_states_none_of_the_choices_was_made_before_there_were_any(
    model: Model, saved: bytes, tmp_path: Path
) -> None:
    header, chunks = parts(saved)
    for name in ("kv", "activations", "rope"):
        del header[name]
    (tmp_path / "old").write_bytes(sealed(header, chunks))
    session = model.session()

    session.restore(tmp_path / "old")

    assert list(session.tokens) == header["tokens"]
