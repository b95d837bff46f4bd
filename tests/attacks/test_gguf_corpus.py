"""What fuzzing the GGUF reader has found stays mended: its corpus and its crashes are replayed."""

import re
from pathlib import Path

import pytest

from attacks.fuzz_targets import FUZZ, load

examine = load("fuzz_gguf").examine
INPUTS = sorted(path for path in FUZZ.glob("*/gguf/*") if path.parts[-3] in ("corpus", "crashes"))
SEEDS = list(load("seeds_gguf").seeds())


def test_there_is_a_corpus() -> None:
    assert len(INPUTS) > 50
    assert sum(path.stat().st_size for path in INPUTS) < 200_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parts[-3]}-{path.name[:12]}")
def test_an_input_of_the_fuzzer_is_read_or_refused(tmp_path: Path, path: Path) -> None:
    outcome = examine(path.read_bytes(), tmp_path)

    assert re.match(r"sound$|tensor |weights in the format |" + re.escape(str(tmp_path)), outcome)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_the_seeds_are_sound_but_for_a_part_and_a_format(tmp_path: Path, seed: bytes) -> None:
    outcome = examine(seed, tmp_path)

    assert re.search(r"^sound$|part 0 of 2|not the first of 2|the format 'I8'", outcome)
