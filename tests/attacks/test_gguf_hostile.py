"""Hostile GGUF files: each is refused with a message that names the file, the place and the cause,
in memory of at most three times the file and 64 MiB.
"""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aboard.checkpoint.gguf import open_gguf
from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile
from checkpoint.handmade import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I64,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    array,
    gguf,
    key,
    tensor,
    text,
)

HUGE = [2**31, 2**32 - 1, 2**32, 2**61, 2**63 - 1, 2**63, 2**64 - 1]


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "hostile.gguf"
    path.write_bytes(content)
    return path


# Opens a file in a process of its own; prints what came of it, the growth of memory at its peak
# and the CPU time.
OPEN_AND_MEASURE = """
import resource, sys
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import CheckpointError

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

before, start = peak_bytes(), cpu_seconds()
try:
    open_gguf(sys.argv[1])
    outcome = "sound"
except CheckpointError as error:
    outcome = str(error)
print(peak_bytes() - before, cpu_seconds() - start, outcome)
"""


def outcome_in_bounds(path: Path) -> str:
    """What came of opening `path`.

    Fails where memory grew by more than three times the file and 64 MiB, or CPU time passed one
    second and one more per megabyte.
    """
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_MEASURE, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    peak_bytes, cpu_s, outcome = done.stdout.rstrip().split(" ", 2)
    size = path.stat().st_size
    assert int(peak_bytes) <= 3 * size + (64 << 20)
    assert float(cpu_s) <= size / 1e6 + 1
    return outcome


@contextmanager
def allocating_at_most(limit_bytes: int) -> Iterator[None]:
    """Fails where more than `limit_bytes` is allocated at any time."""
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes <= limit_bytes


def refused(path: Path, message: str, error: type[CheckpointError] = MalformedFile) -> None:
    """Fails unless opening `path` gives `error` with `message`, at next to no cost."""
    with allocating_at_most(2 << 20), pytest.raises(error, match=message) as caught:
        open_gguf(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300


def rich_file() -> bytes:
    """A file with every feature, which ends with its last tensor."""
    keys = [
        key("general.alignment", U32, 16),
        key("name", TEXT, "Grüße"),
        key("tokens", ARRAY, array(TEXT, ["a", "é", ""])),
        key("scores", ARRAY, array(F64, [0.5, 1.5])),
        key("flags", ARRAY, array(BOOL, [0, 1])),
        key("nested", ARRAY, array(ARRAY, [array(I8, [1]), array(TEXT, ["x"])])),
    ]
    entries = [tensor("a", [4, 2]), tensor("b", [32], 2, 32), tensor("c", [3], 1, 64)]
    return gguf(keys, entries, bytes(range(64)) + bytes(6), alignment=16)


def test_a_file_cut_anywhere_is_malformed(tmp_path: Path) -> None:
    whole = rich_file()
    open_gguf(saved(tmp_path, whole))

    for size in range(len(whole)):
        with pytest.raises(MalformedFile, match=r"hostile\.gguf"):
            open_gguf(saved(tmp_path, whole[:size]))


@pytest.mark.parametrize("count", HUGE)
@pytest.mark.parametrize("kind", [U8, BOOL, TEXT, ARRAY, F64])
def test_49_bytes_that_claim_an_endless_array_are_refused(
    tmp_path: Path, kind: int, count: int
) -> None:
    content = gguf([key("k", ARRAY, array(kind, [], count=count))])[:49]

    refused(saved(tmp_path, content), r"metadata key 'k' claims \d+ bytes at byte 49, but the file")


@pytest.mark.parametrize("count", [1, *HUGE])
def test_more_keys_than_bytes_are_refused(tmp_path: Path, count: int) -> None:
    refused(saved(tmp_path, gguf(n_keys=count)[:24]), "the metadata claims")


@pytest.mark.parametrize("count", [1, *HUGE])
def test_more_tensors_than_bytes_are_refused(tmp_path: Path, count: int) -> None:
    refused(saved(tmp_path, gguf(n_tensors=count)[:24]), "the list of tensors claims")


@pytest.mark.parametrize("length", [4, *HUGE])
@pytest.mark.parametrize("start", ["value", "element"])
def test_a_text_longer_than_the_file_is_refused(tmp_path: Path, start: str, length: int) -> None:
    before = {
        "value": text("k") + TEXT.to_bytes(4, "little"),
        "element": key("k", ARRAY, array(TEXT, [], count=1)),
    }
    content = gguf(n_keys=1)[:24] + before[start] + length.to_bytes(8, "little") + b"abc"

    refused(saved(tmp_path, content), f"metadata key 'k' claims {length} bytes at byte")


@pytest.mark.parametrize("length", [0, 1025, *HUGE])
def test_a_name_that_is_empty_or_longer_than_any_is_refused(tmp_path: Path, length: int) -> None:
    start = length.to_bytes(8, "little") + b"a" * 2000

    refused(saved(tmp_path, gguf([start])), f"metadata key 0 has {length} bytes, expected 1 to")
    refused(saved(tmp_path, gguf([], [start])), f"tensor 0 has {length} bytes, expected 1 to 1024")


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
)
def test_text_that_is_not_utf8_is_refused(tmp_path: Path, bad: bytes) -> None:
    refused(saved(tmp_path, gguf([key(b"k" + bad, U8, 0)])), "name of metadata key 0 is not UTF-8")
    refused(saved(tmp_path, gguf([key("k", TEXT, bad)])), "key 'k' is not UTF-8")
    refused(saved(tmp_path, gguf([], [tensor(bad, [1])], bytes(4))), "tensor 0 is not UTF-8")
    strings = array(TEXT, ["fine", b"fine" + bad, "fine"])
    refused(saved(tmp_path, gguf([key("k", ARRAY, strings)])), "string 1 that is not UTF-8")


def test_a_character_cut_in_two_by_the_border_of_strings_is_refused(tmp_path: Path) -> None:
    strings = array(TEXT, ["a", b"\xc3", b"\xa9", "b"])

    refused(saved(tmp_path, gguf([key("k", ARRAY, strings)])), "string 1 that is not UTF-8")


@pytest.mark.parametrize("kind", [13, 255, 2**32 - 1])
def test_an_unknown_type_of_value_is_refused(tmp_path: Path, kind: int) -> None:
    number = kind.to_bytes(4, "little")

    refused(saved(tmp_path, gguf([text("k") + number + bytes(8)])), f"value of type {kind}")
    inner = number + bytes(8)
    refused(saved(tmp_path, gguf([key("k", ARRAY, inner)])), f"array of type {kind}")


def test_a_boolean_that_is_neither_is_refused(tmp_path: Path) -> None:
    refused(saved(tmp_path, gguf([key("k", BOOL, 2)])), "neither 0 nor 1")
    refused(saved(tmp_path, gguf([key("k", ARRAY, array(BOOL, [1, 255]))])), "neither 0 nor 1")


def test_names_that_stand_twice_are_refused(tmp_path: Path) -> None:
    entry, second = tensor("t", [1]), tensor("t", [1], 0, 32)

    refused(saved(tmp_path, gguf([key("k", U8, 1), key("k", U8, 1)])), "key 'k' stands there twice")
    refused(saved(tmp_path, gguf([], [entry, second], bytes(36))), "'t' stands there twice")


def test_a_long_name_is_shown_in_short(tmp_path: Path) -> None:
    content = gguf([text("k" * 1024) + (99).to_bytes(4, "little") + bytes(8)])

    refused(saved(tmp_path, content), r"'k{77}\.\.\.' has a value of type 99")


def test_arrays_nested_too_deep_are_refused(tmp_path: Path) -> None:
    content = array(U8, [1])
    for _ in range(1000):
        content = array(ARRAY, [content])

    refused(saved(tmp_path, gguf([key("k", ARRAY, content)])), "nests arrays deeper than 4")


def test_a_bomb_of_empty_arrays_is_refused(tmp_path: Path) -> None:
    empty = array(U8, [])
    content = array(ARRAY, [array(ARRAY, [empty] * 300)] * 300)
    path = saved(tmp_path, gguf([key("k", ARRAY, content)]))

    assert "has 300 entries, more than" in outcome_in_bounds(path)


def test_more_keys_than_any_model_has_are_refused(tmp_path: Path) -> None:
    keys = [key(f"{number:x}", U8, 0) for number in range(2**16 + 1)]

    refused(saved(tmp_path, gguf(keys)), "has 65537 entries", UnsupportedFile)


def test_more_tensors_than_any_model_has_are_refused(tmp_path: Path) -> None:
    entries = [tensor("t", [1])] * (2**16 + 1)

    refused(saved(tmp_path, gguf([], entries)), "has 65537 tensors", UnsupportedFile)


@pytest.mark.parametrize("n", [0, 5, 2**32 - 1])
def test_too_few_or_too_many_dimensions_are_refused(tmp_path: Path, n: int) -> None:
    content = gguf([], [tensor("t", [1] * min(n, 5), n_dimensions=n)], bytes(64))

    refused(saved(tmp_path, content), f"'t' has {n} dimensions, expected 1 to 4")


@pytest.mark.parametrize("dims", [[0], [0, 4], [4, 0], [0, 0, 0, 0], [0, 2**63]], ids=str)
def test_a_tensor_without_weights_is_refused(tmp_path: Path, dims: list[int]) -> None:
    refused(saved(tmp_path, gguf([], [tensor("t", dims)], bytes(64))), "has no weights")


@pytest.mark.parametrize(
    "dims",
    [
        [2**62],
        [2**63],
        [2**32, 2**32],
        [2**31, 2**31, 2**2],
        [2**63, 2],
        [2**64 - 1, 2**64 - 1],
        [2**64 - 32, 2**64 - 1, 2**64 - 1, 2**64 - 1],
    ],
    ids=str,
)
def test_a_shape_whose_product_overflows_is_refused(tmp_path: Path, dims: list[int]) -> None:
    refused(saved(tmp_path, gguf([], [tensor("t", dims)], bytes(64))), r"'t' ends at byte \d+, but")


@pytest.mark.parametrize(("kind", "columns"), [(2, 31), (8, 33), (12, 128), (12, 257), (39, 1)])
def test_a_row_that_is_no_multiple_of_the_block_is_refused(
    tmp_path: Path, kind: int, columns: int
) -> None:
    content = gguf([], [tensor("t", [columns, 32], kind)], bytes(20_000))

    refused(saved(tmp_path, content), f"rows of {columns} weights, expected a multiple of")


@pytest.mark.parametrize(
    ("kind", "name"), [(4, "Q4_2"), (31, "Q4_0_4_4"), (38, "IQ4_NL_8_8"), (9, "Q8_1")]
)
def test_a_type_that_was_dropped_is_refused_by_name(tmp_path: Path, kind: int, name: str) -> None:
    content = gguf([], [tensor("t", [256], kind)], bytes(512))

    refused(saved(tmp_path, content), f"'t' is of type {kind}, {name}", UnsupportedFile)


@pytest.mark.parametrize("kind", [42, 200, 2**31, 2**32 - 1])
def test_a_type_that_is_unknown_is_refused_by_number(tmp_path: Path, kind: int) -> None:
    content = gguf([], [tensor("t", [256], kind)], bytes(512))

    refused(saved(tmp_path, content), f"of type {kind}, which Aboard doesn't", UnsupportedFile)


@pytest.mark.parametrize("offset", [1, 4, 16, 31, 33, 2**63 + 1])
def test_a_tensor_off_the_alignment_is_refused(tmp_path: Path, offset: int) -> None:
    content = gguf([], [tensor("t", [1], 0, offset)], bytes(256))

    refused(saved(tmp_path, content), f"begins at {offset}, expected a multiple of 32")


@pytest.mark.parametrize("offset", [64, 2**32, 2**63, 2**64 - 32])
def test_a_tensor_beyond_the_end_is_refused(tmp_path: Path, offset: int) -> None:
    content = gguf([], [tensor("t", [1], 0, offset)], bytes(64))

    refused(saved(tmp_path, content), f"but the file at byte {len(content)}")


@pytest.mark.parametrize(
    "entries",
    [
        [tensor("a", [9]), tensor("b", [1], 0, 32)],
        [tensor("b", [1], 0, 32), tensor("a", [9])],
        [tensor("a", [8]), tensor("b", [8])],
        [tensor("x", [1], 0, 96), tensor("a", [20]), tensor("b", [4], 0, 64)],
    ],
    ids=["by four bytes", "in another order", "the same bytes", "not neighbours in the list"],
)
def test_tensors_that_overlap_are_refused(tmp_path: Path, entries: list[bytes]) -> None:
    refused(saved(tmp_path, gguf([], entries, bytes(128))), "tensor 'b' overlaps tensor 'a'")


@pytest.mark.parametrize(
    ("kind", "value"), [(U32, 0), (U32, 3), (U32, 48), (I64, -32), (F32, 32.0), (TEXT, "32")]
)
def test_an_alignment_that_is_no_power_of_two_is_refused(
    tmp_path: Path, kind: int, value: object
) -> None:
    content = gguf([key("general.alignment", kind, value)])

    refused(saved(tmp_path, content), "general.alignment is .*, expected a power of two")


def test_an_alignment_beyond_the_file_leaves_no_room_for_tensors(tmp_path: Path) -> None:
    content = gguf([key("general.alignment", U64, 2**63)], [tensor("t", [1])], bytes(4))

    refused(saved(tmp_path, content), "'t' ends at byte")


def test_a_header_that_runs_through_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    content = gguf([key("k", ARRAY, array(TEXT, [], count=2**34))])
    path = saved(tmp_path, content)
    with path.open("r+b") as file:
        file.truncate(2**40)

    refused(path, "'k' reaches beyond 268435456 bytes", UnsupportedFile)


def test_texts_that_would_swell_in_memory_are_refused(tmp_path: Path) -> None:
    content = gguf([text("k") + TEXT.to_bytes(4, "little") + (2**25 + 1).to_bytes(8, "little")])
    path = saved(tmp_path, content)
    with path.open("r+b") as file:
        file.truncate(2**30)

    refused(path, "longer than 33554432 bytes together", UnsupportedFile)


@pytest.mark.parametrize(
    "content",
    [
        gguf([key("k", ARRAY, array(TEXT, [], count=2**20) + bytes(8 * 2**20))]),
        gguf([key("k", TEXT, "🌍" + "a" * (4 << 20))]),
        gguf([key(f"{number:04x}", U8, 0) for number in range(2**16)]),
        gguf([], [tensor(f"{n:04x}", [1], 24, 32 * n) for n in range(2**16)], bytes(32 << 16)),
        gguf([key("k", ARRAY, array(ARRAY, [array(U8, [])] * (2**16 - 1)))]),
        gguf([key("k", ARRAY, array(U16, [], count=2**22) + bytes(2**23))]),
    ],
    ids=["empty texts", "wide text", "keys", "tensors", "arrays", "numbers"],
)
def test_the_largest_of_each_kind_stays_within_memory_and_time(
    tmp_path: Path, content: bytes
) -> None:
    path = saved(tmp_path, content)

    assert outcome_in_bounds(path) == "sound"


def test_a_vocabulary_takes_less_than_three_times_its_bytes(tmp_path: Path) -> None:
    tokens = array(TEXT, [f"tok{number}" for number in range(30_000)])
    merges = array(TEXT, [f"a{number} b" for number in range(30_000)])
    types = array(U32, [1] * 30_000)
    keys = [key("tokens", ARRAY, tokens), key("merges", ARRAY, merges), key("types", ARRAY, types)]
    content = gguf(keys)
    path = saved(tmp_path, content)

    with allocating_at_most(3 * len(content)):
        open_gguf(path)
