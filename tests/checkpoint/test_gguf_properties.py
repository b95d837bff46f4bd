"""Properties of the GGUF reader: what was put in comes out, and broken bytes never break more."""

import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aboard.checkpoint.gguf import open_gguf
from attacks.fuzz_targets import load
from checkpoint.handmade import ARRAY, BOOL, LAYOUTS, TEXT, array, gguf, key, tensor

FIXED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
examine = load("fuzz_gguf").examine
SEEDS = list(load("seeds_gguf").seeds())

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = {"B": (0, 2**8 - 1), "b": (-(2**7), 2**7 - 1), "H": (0, 2**16 - 1)}
NUMBERS |= {"h": (-(2**15), 2**15 - 1), "I": (0, 2**32 - 1), "i": (-(2**31), 2**31 - 1)}
NUMBERS |= {"Q": (0, 2**64 - 1), "q": (-(2**63), 2**63 - 1)}


def values_of(kind: int) -> st.SearchStrategy[object]:
    if kind == TEXT:
        return texts
    if kind == BOOL:
        return st.booleans()
    if LAYOUTS[kind] in "fd":
        return st.floats(allow_nan=False, width=8 * struct.calcsize(LAYOUTS[kind]))
    return st.integers(*NUMBERS[LAYOUTS[kind]])


kinds = st.sampled_from([*LAYOUTS, TEXT])
scalars = kinds.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind)))
arrays = kinds.flatmap(lambda kind: st.tuples(st.just(kind), st.lists(values_of(kind), max_size=9)))
metadata = st.dictionaries(texts.filter(bool), scalars | arrays, max_size=8)


def encoded(name: str, kind: int, value: object) -> bytes:
    if isinstance(value, list):
        return key(name, ARRAY, array(kind, value))
    return key(name, kind, value)


@settings(FIXED, max_examples=150)
@given(metadata.filter(lambda keys: "general.alignment" not in keys and "split.count" not in keys))
def test_any_metadata_comes_back(tmp_path: Path, keys: dict[str, tuple[int, object]]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([encoded(name, *value) for name, value in keys.items()]))

    found = open_gguf(path).metadata

    assert list(found) == list(keys)
    for name, (_, value) in keys.items():
        assert (list(found[name]) if isinstance(value, list) else found[name]) == value


@settings(FIXED, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=6), st.randoms())
def test_any_tensors_come_back_wherever_they_lie(
    tmp_path: Path, shapes: list[list[int]], random: object
) -> None:
    places = list(range(len(shapes)))
    random.shuffle(places)
    rows = np.random.default_rng(0).standard_normal((len(shapes), 640), np.float32)
    entries = [tensor(f"t{n}", shape[::-1], 0, places[n] * 2560) for n, shape in enumerate(shapes)]
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([], entries, rows.tobytes()))

    file = open_gguf(path)

    assert [list(each.shape) for each in file.tensors.values()] == shapes
    for n, each in enumerate(file.tensors.values()):
        values = file.read(each.name).view("<f4")
        assert values.tobytes() == rows[places[n]].ravel()[: values.size].tobytes()


numbers = st.sampled_from([0, 1, 2, 8, 9, 12, 255, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
new_bytes = (
    st.binary(max_size=9)
    | numbers.map(lambda n: struct.pack("<Q", n))
    | numbers.map(lambda n: struct.pack("<I", n % 2**32))
)
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), new_bytes), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def folder() -> Path:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@settings(FIXED, max_examples=600)
@given(st.sampled_from(SEEDS), edits)
def test_edited_files_are_read_or_refused(
    folder: Path, seed: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    content = seed
    for place, removed, added in edits:
        at = int(place * len(content))
        content = content[:at] + added + content[at + removed :]

    outcome = examine(content, folder)

    assert outcome
