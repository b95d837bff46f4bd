"""What fuzzing the reader of config.json has found stays mended: its corpus is replayed."""

from pathlib import Path

import pytest

from attacks.fuzz_targets import FUZZ, load

examine = load("fuzz_config").examine
INPUTS = sorted(path for path in FUZZ.glob("*/config/*") if path.parts[-3] in ("corpus", "crashes"))
SEEDS = list(load("seeds_config").seeds())


def test_there_is_a_corpus() -> None:
    assert len(INPUTS) > 40
    assert sum(path.stat().st_size for path in INPUTS) < 200_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parts[-3]}-{path.name[:12]}")
def test_an_input_of_the_fuzzer_is_read_or_refused(path: Path) -> None:
    outcome = examine(path.read_bytes())

    assert outcome == "sound" or outcome.startswith(("config.json", "metadata '", "unknown hyper"))


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_the_seeds_are_sound(seed: bytes) -> None:
    assert examine(seed) == "sound"
