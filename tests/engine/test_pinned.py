"""Beginnings on disk: what comes back, what is never used, and who else may be at the folder."""

import errno
import hashlib
import json
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aboard.engine import Model, load
from aboard.engine.pinned import Pinned, pin_beginning
from aboard.errors import ContextOverflow, UsageError
from engine.made import DELTA_NETS, convolutions
from tiny import tiny_llama
from tiny_families import tiny_model

BEGINNING = [(i * 97 + 13) % 256 for i in range(150)]
PROMPT = [*BEGINNING, 1, 2, 3]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")


def start(file: Path, **options: object) -> Model:
    return load(file, threads=1, **{"context": 512, **options})


@pytest.fixture
def kept(file: Path, tmp_path: Path) -> Path:
    """The file that an earlier start has left."""
    path = pin_beginning(start(file), BEGINNING, tmp_path).path
    assert path is not None
    return path


def answer(model: Model, *, known: int) -> str:
    """The hash of the logits of a prompt and 5 tokens, of which so many were not computed."""
    with model.session(prefix_cache=known > 0) as session:
        rows = [session.prefill(PROMPT), *(session.decode(token) for token in range(5))]
        assert session.cached_tokens == known
    return hashlib.sha256(np.stack(rows).tobytes()).hexdigest()


def assert_replaced(pinned: Pinned, model: Model, sound: bytes) -> None:
    """It was computed, its file is as it should be, and prompts get the right bits."""
    assert (pinned.source, pinned.unwritten) == ("computed", None)
    assert pinned.path is not None
    assert pinned.path.read_bytes() == sound
    assert answer(model, known=150) == answer(model, known=0)


@pytest.mark.parametrize("options", [{}, {"kv": "int8"}, {"activations": "float32"}])
def test_the_next_start_finds_all_tokens_and_gives_the_same_bits(
    file: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    first, second = start(file, **options), start(file, **options)

    made = pin_beginning(first, BEGINNING, tmp_path)
    found = pin_beginning(second, BEGINNING, tmp_path)

    assert (made.source, found.source) == ("computed", "file")
    assert made.n_tokens == found.n_tokens == 150
    assert made.size_bytes == second.prefix_cache.stats.pinned_bytes == found.size_bytes
    assert found.size_bytes == 3 * first.session().cache.chunk_bytes
    assert answer(first, known=150) == answer(second, known=150) == answer(first, known=0)
    assert [each.name for each in tmp_path.iterdir()] == [f"{found.path.stem}.state"]


def test_without_a_folder_it_is_kept_in_memory(file: Path) -> None:
    model = start(file)

    pinned = pin_beginning(model, BEGINNING)

    assert (pinned.source, pinned.path) == ("computed", None)
    assert answer(model, known=150) == answer(model, known=0)


def test_convolutions_keep_whole_chunks(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "tiny.gguf", convolutions(3))
    first, second = start(path), start(path)

    made = pin_beginning(first, BEGINNING, tmp_path)
    found = pin_beginning(second, BEGINNING, tmp_path)

    assert (made.n_tokens, found.n_tokens, found.source) == (128, 128, "file")
    assert answer(second, known=128) == answer(second, known=0)


def test_where_the_context_ends_the_last_part_is_left_out(file: Path) -> None:
    assert pin_beginning(start(file, context=160), BEGINNING).n_tokens == 128


def test_what_can_not_be_kept_is_told(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ContextOverflow):
        pin_beginning(start(file, context=100), BEGINNING)
    with pytest.raises(UsageError, match="not in the vocabulary"):
        pin_beginning(start(file), [1 << 20])
    with pytest.raises(UsageError, match="0 tokens are too few"):
        pin_beginning(start(file), [])
    delta = tiny_model(tmp_path / "delta.gguf", DELTA_NETS)
    with pytest.raises(UsageError, match="delta nets"):
        pin_beginning(start(delta), BEGINNING)


# Files that are not used.


@pytest.mark.parametrize("at", [0, 9, 40, 2000, -40, -1])
def test_an_altered_file_is_replaced(file: Path, kept: Path, at: int) -> None:
    sound = kept.read_bytes()
    altered = bytearray(sound)
    altered[at] ^= 1
    kept.write_bytes(altered)
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert str(kept) in pinned.unsound
    assert_replaced(pinned, model, sound)


@pytest.mark.parametrize("n_bytes", [0, 1, 11, 12, 44, 500, -1, -33, -5000])
def test_a_truncated_file_is_replaced(file: Path, kept: Path, n_bytes: int) -> None:
    sound = kept.read_bytes()
    kept.write_bytes(sound[:n_bytes])
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert_replaced(pinned, model, sound)
    assert pinned.unsound is not None


def resealed(content: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    """A state with another header, and the right hash."""
    (length,) = struct.unpack_from("<I", content, 8)
    header = json.loads(content[12 : 12 + length])
    header = change(header) or header
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    fresh = content[:8] + struct.pack("<I", len(raw)) + raw + content[12 + length : -32]
    return fresh + hashlib.sha256(fresh).digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(label="0" * 64),
        lambda header: header.pop("label") and None,
        lambda header: header.update(weights_sha256="0" * 64),
        lambda header: header.update(numerics_version=0),
        lambda header: header.update(kv="int8"),
        lambda header: header.update(tokens=header["tokens"][::-1]),
        lambda header: header.update(tokens=[]),
        lambda header: header.update(tokens=[1 << 70]),
        lambda header: header.update(tokens=[[1]]),
        lambda header: header.update(tokens=[7] * 600),  # beyond the context
        lambda header: header.update(tokens=None),
        lambda header: header.update(chunk_bytes=-1),
        lambda header: b"[" * 4000,
        lambda header: b"null",
        lambda header: b"\xff",
    ],
)
def test_a_foreign_file_with_a_right_hash_is_replaced(
    file: Path, kept: Path, change: Callable[[dict[str, object]], object]
) -> None:
    sound = kept.read_bytes()
    kept.write_bytes(resealed(sound, change))
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert_replaced(pinned, model, sound)
    assert pinned.unsound is not None


def test_the_state_of_another_beginning_under_this_name_is_replaced(file: Path, kept: Path) -> None:
    sound = kept.read_bytes()
    other = pin_beginning(start(file), BEGINNING[::-1], kept.parent)
    kept.write_bytes(other.path.read_bytes())
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert_replaced(pinned, model, sound)


def test_a_file_larger_than_a_state_is_not_even_read(file: Path, kept: Path) -> None:
    sound = kept.read_bytes()
    os.truncate(kept, 1 << 40)  # of holes
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert "is no regular file of at most" in pinned.unsound
    assert_replaced(pinned, model, sound)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_left_alone(
    file: Path, kept: Path, make: Callable[[Path], None]
) -> None:
    kept.unlink()
    make(kept)
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, kept.parent)

    assert "is no regular file" in pinned.unsound
    assert "is no regular file" in pinned.unwritten
    assert answer(model, known=150) == answer(model, known=0)


# Where one of all that decides a state differs, so does its name.


def test_each_model_and_each_format_has_a_file_of_its_own(tmp_path: Path) -> None:
    made = [
        pin_beginning(start(path, **options), BEGINNING, tmp_path)
        for path, options in [
            (tiny_llama(tmp_path / "one.gguf", fmt="Q8_0"), {}),
            (tiny_llama(tmp_path / "two.gguf", fmt="Q8_0", seed=9), {}),
            (tiny_llama(tmp_path / "three.gguf", fmt="Q8_0", rope_base=500.0), {}),
            (tmp_path / "one.gguf", {"kv": "int8"}),
            (tmp_path / "one.gguf", {"activations": "float32"}),
        ]
    ]

    assert {each.source for each in made} == {"computed"}
    assert len({each.path for each in made}) == 5


def test_a_full_disk_is_told_and_the_beginning_is_kept_all_the_same(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    model = start(file)

    pinned = pin_beginning(model, BEGINNING, tmp_path)

    assert "No space left" in pinned.unwritten
    assert list(tmp_path.iterdir()) == []
    assert answer(model, known=150) == answer(model, known=0)


def test_several_servers_may_share_a_folder(file: Path, tmp_path: Path) -> None:
    models = [start(file) for _ in range(4)]
    made: list[Pinned] = []
    ready = threading.Barrier(len(models))

    def begin(model: Model) -> None:
        ready.wait(60)
        for _ in range(3):
            made.append(pin_beginning(model, BEGINNING, tmp_path))

    threads = [threading.Thread(target=begin, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(made) == 12
    assert {(each.n_tokens, each.unwritten, each.unsound) for each in made} == {(150, None, None)}
    last = start(file)
    assert pin_beginning(last, BEGINNING, tmp_path).source == "file"
    assert len(list(tmp_path.iterdir())) == 1
    assert answer(last, known=150) == answer(last, known=0)
