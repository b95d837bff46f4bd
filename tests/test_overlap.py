"""A shared passage is found, an unrelated text isn't; the sample survives a GGUF file."""

from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.checkpoint.gguf import open_gguf
from aboard.overlap import (
    KEY_HASHES,
    KEY_RUN_LENGTH,
    KEY_RUNS,
    RUN,
    SAMPLE,
    OverlapCount,
    run_hashes,
    sample_of_metadata,
    sample_runs,
)
from tiny import tiny_llama

_MASK = (1 << 64) - 1


def tokens(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 49_000, n)


def plain_hash(run: list[int]) -> int:
    """By Python's own integers."""
    h = 0
    for token in run:
        h = (h * 0x9E3779B97F4A7C15 + token + 1) & _MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
    return h ^ (h >> 31)


def shared(sample_of: list[np.ndarray], text: list[np.ndarray]) -> OverlapCount:
    count = OverlapCount(sample_runs(sample_of))
    for each in text:
        count.add(each)
    return count


def test_hashes_are_those_of_plain_arithmetic() -> None:
    ids = tokens(40, 0).tolist()

    want = [plain_hash(ids[i : i + RUN]) for i in range(40 - RUN + 1)]

    assert run_hashes(ids).tolist() == want


@pytest.mark.parametrize("n", [0, 1, RUN - 1])
def test_few_tokens_have_no_run(n: int) -> None:
    assert run_hashes(tokens(n, 0)).size == 0
    assert sample_runs([tokens(n, 0)]).n_runs == 0


def test_the_small_hashes_are_a_fair_sample() -> None:
    hashes = run_hashes(tokens(60_000, 1))
    small = np.sort(hashes)[:SAMPLE]
    first_half = np.isin(hashes[:30_000], small).sum()

    assert 400 < first_half < 624  # of 1,024, within 7 standard deviations
    assert np.median(hashes.astype(float)) == pytest.approx(2.0**63, rel=0.02)


@pytest.mark.parametrize("part", [1.0, 0.5, 0.1])
def test_the_part_that_is_shared_is_estimated(part: float) -> None:
    calibration = tokens(64_000, 2)
    n = int(64_000 * part)
    text = [calibration[:n], tokens(64_000 - n, 3)]

    assert shared([calibration], text).fraction == pytest.approx(part, abs=0.03)


def test_one_passage_of_a_long_calibration_text_is_found() -> None:
    calibration = tokens(64_000, 4)

    count = shared([calibration], [calibration[20_000:22_000], tokens(14_000, 5)])

    assert count.fraction > 0.05


def test_unrelated_texts_share_nothing() -> None:
    count = shared([tokens(64_000, 6)], [tokens(512, seed) for seed in range(100, 200)])

    assert (count.n_shared, count.fraction) == (0, 0.0)


def test_a_run_over_the_end_of_a_sequence_does_not_count() -> None:
    ids = tokens(2 * RUN, 7)

    assert sample_runs([ids[:RUN], ids[RUN:]]).n_runs == 2


def test_a_text_that_repeats_itself_counts_once() -> None:
    assert sample_runs([np.zeros(1000, int)]).n_runs == 1


def test_the_sample_survives_a_file(tmp_path: Path) -> None:
    sample = sample_runs([tokens(3000, 8)])
    path = tiny_llama(tmp_path / "tiny.gguf", metadata=sample.metadata())

    with open_gguf(path) as file:
        found = sample_of_metadata(file.metadata)

    assert found is not None
    assert found.n_runs == 3000 - RUN + 1
    assert found.hashes.tolist() == sample.hashes.tolist()
    assert aboard.load(path, threads=1).logits([1]).shape == (1, 259)


@pytest.mark.parametrize(
    "changed",
    [
        {KEY_RUN_LENGTH: 12},
        {KEY_RUN_LENGTH: None},
        {KEY_HASHES: "text"},
        {KEY_HASHES: np.ones(3, np.float32)},
        {KEY_RUNS: 1},
        {KEY_RUNS: "many"},
    ],
)
def test_what_is_no_sample_is_none(changed: dict[str, object]) -> None:
    entries = sample_runs([tokens(100, 9)]).metadata()

    assert sample_of_metadata(entries) is not None
    assert sample_of_metadata(entries | changed) is None
