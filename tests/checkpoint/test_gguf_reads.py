"""Reading the bytes of tensors: where, how much, by whom, and what goes wrong meanwhile."""

import errno
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aboard.checkpoint.gguf import open_gguf
from aboard.errors import CheckpointError, MalformedFile, UsageError
from checkpoint.handmade import (
    ARRAY,
    TEXT,
    array,
    gguf,
    key,
    tensor,
)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_part_of_a_tensor_is_read_into_the_callers_memory(tmp_path: Path) -> None:
    data = bytes(range(200))
    file = open_gguf(saved(tmp_path / "m.gguf", gguf([], [tensor("t", [50])], data)))
    array_2d, octets = np.zeros((2, 3), "<u2"), bytearray(5)

    file.read_into("t", array_2d, 10)
    file.read_into("t", octets, 195)
    file.read_into("t", memoryview(octets)[:0], 200)
    file.read_into("t", np.empty((0, 4)), 0)

    assert array_2d.tobytes() == data[10:22]
    assert octets == data[195:]


@pytest.mark.parametrize(("start", "size"), [(-1, 1), (0, 201), (200, 1), (2**70, 1), (1, 200)])
def test_a_range_beyond_the_tensor_is_refused(tmp_path: Path, start: int, size: int) -> None:
    file = open_gguf(saved(tmp_path / "m.gguf", gguf([], [tensor("t", [50])], bytes(300))))

    with pytest.raises(UsageError, match="of tensor 't', which has 200"):
        file.read_into("t", bytearray(size), start)


@pytest.mark.parametrize(
    "buffer", [memoryview(b"read-only"), np.zeros((4, 4), np.uint8)[:, ::2]], ids=["const", "gaps"]
)
def test_a_buffer_that_cannot_be_filled_is_refused(tmp_path: Path, buffer: memoryview) -> None:
    file = open_gguf(saved(tmp_path / "m.gguf", gguf([], [tensor("t", [50])], bytes(200))))

    with pytest.raises(UsageError, match="read-only or not contiguous"):
        file.read_into("t", buffer)


def test_a_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = open_gguf(saved(tmp_path / "m.gguf", gguf()))

    with pytest.raises(MalformedFile, match=r"m\.gguf: has no tensor 'output\.weight'"):
        file.read("output.weight")


def test_a_file_cut_short_after_opening_is_an_error_not_a_signal(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.gguf", gguf([], [tensor("t", [2500])], bytes(10_000)))
    file = open_gguf(path)
    os.truncate(path, 5_000)

    with pytest.raises(MalformedFile, match="cut short: it ended at byte 5000"):
        file.read("t")


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype="<u4")
    file = open_gguf(
        saved(tmp_path / "m.gguf", gguf([], [tensor("t", [100_000], 26)], values.tobytes()))
    )
    found = np.zeros_like(values)

    def read_every_fourth(first: int) -> None:
        for start in range(first * 1000, 100_000, 4000):
            file.read_into("t", found[start : start + 1000], 4 * start)

    threads = [threading.Thread(target=read_every_fourth, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert np.array_equal(found, values)


def two_tensors() -> bytes:
    keys = [key("k", ARRAY, array(TEXT, ["text"] * 20))]
    return gguf(keys, [tensor("a", [50]), tensor("b", [100], 0, 224)], bytes(range(256)) * 3)


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_files_are_let_go_of_by_close_by_with_and_by_themselves(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.gguf", gguf([], [tensor("t", [2])], bytes(8)))
    bad = saved(tmp_path / "bad.gguf", gguf(n_keys=1))
    before = open_descriptors()

    with open_gguf(path) as closed:
        closed.read("t")
    open_gguf(path)
    with pytest.raises(MalformedFile):
        open_gguf(bad)

    assert open_descriptors() == before
    with pytest.raises(UsageError, match="was closed"):
        closed.read("t")
    closed.close()


def test_reads_that_give_less_than_asked_for_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "m.gguf", two_tensors())
    whole = open_gguf(path)
    expected = {name: whole.read(name).tobytes() for name in whole.tensors}
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: preadv(fd, [buffers[0][:7]], at))

    file = open_gguf(path)

    assert {name: file.read(name).tobytes() for name in file.tensors} == expected


def failing_after(n_reads: int) -> Callable[[int, list[memoryview], int], int]:
    """A `preadv` that gives at most 100 bytes, `n_reads` times, and then fails."""
    preadv, reads = os.preadv, iter(range(n_reads))

    def read(descriptor: int, buffers: list[memoryview], position: int) -> int:
        if next(reads, None) is None:
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, [buffers[0][:100]], position)

    return read


@pytest.mark.parametrize("n_reads", range(8))
def test_a_read_that_fails_at_any_time_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_reads: int
) -> None:
    path, before = saved(tmp_path / "m.gguf", two_tensors()), open_descriptors()
    monkeypatch.setattr(os, "preadv", failing_after(n_reads))

    with pytest.raises(CheckpointError, match=r"m\.gguf: can't be read: Input/output error"):
        open_gguf(path).read("b")

    assert open_descriptors() == before
