"""A shared passage is found, an unrelated text isn't; the sample survives a GGUF file."""

import textwrap
from collections.abc import Callable
from functools import cache
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


def letters(n: int, seed: int) -> str:
    return "".join(map(chr, np.random.default_rng(seed).integers(97, 123, n)))


@cache
def prose(n: int, seed: int) -> str:
    """So many words, in lines and paragraphs."""
    spelled, lengths = letters(20_000, seed), np.random.default_rng(seed).integers(2, 9, 3000)
    words = [spelled[5 * i : 5 * i + length] for i, length in enumerate(lengths.tolist())]
    chosen = [words[i] for i in np.random.default_rng(seed + 1000).integers(0, 3000, n)]
    lines = [" ".join(chosen[i : i + 12]).capitalize() + "." for i in range(0, n, 12)]
    return "\n\n".join("\n".join(lines[i : i + 6]) for i in range(0, len(lines), 6))


def plain_hash(run: str) -> int:
    """By Python's own integers."""
    h = 0
    for character in run:
        h = (h * 0x9E3779B97F4A7C15 + ord(character) + 1) & _MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
    return h ^ (h >> 31)


def shared(sample_of: list[str], text: list[str]) -> OverlapCount:
    count = OverlapCount(sample_runs(sample_of))
    for each in text:
        count.add(each)
    return count


def test_hashes_are_those_of_plain_arithmetic() -> None:
    text = letters(80, 0) + "\u00e4\u6865\U0001f600" + letters(40, 1)

    want = [plain_hash(text[i : i + RUN]) for i in range(len(text) - RUN + 1)]

    assert run_hashes(text).tolist() == want


@pytest.mark.parametrize("n", [0, 1, RUN - 1])
def test_few_characters_have_no_run(n: int) -> None:
    assert run_hashes(letters(n, 0)).size == 0
    assert sample_runs([letters(n, 0)]).n_runs == 0


def test_the_small_hashes_are_a_fair_sample() -> None:
    hashes = run_hashes(letters(240_000, 1))
    small = np.sort(hashes)[:SAMPLE]
    first_half = np.isin(hashes[:120_000], small).sum()

    assert 400 < first_half < 624  # of 1,024, within 7 standard deviations
    assert np.median(hashes.astype(float)) == pytest.approx(2.0**63, rel=0.02)


@pytest.mark.parametrize("part", [1.0, 0.5, 0.1])
def test_the_part_that_is_shared_is_estimated(part: float) -> None:
    calibration = letters(256_000, 2)
    n = int(256_000 * part)
    text = [calibration[:n], letters(256_000 - n, 3)]

    assert shared([calibration], text).fraction == pytest.approx(part, abs=0.03)


def test_one_passage_of_a_long_calibration_text_is_found() -> None:
    calibration = letters(256_000, 4)

    count = shared([calibration], [calibration[80_000:88_000], letters(56_000, 5)])

    assert count.fraction > 0.05


def test_unrelated_texts_share_nothing() -> None:
    count = shared([letters(256_000, 6)], [letters(2048, seed) for seed in range(100, 200)])

    assert (count.n_shared, count.fraction) == (0, 0.0)


def test_a_run_over_the_end_of_a_sequence_does_not_count() -> None:
    text = letters(2 * RUN, 7)

    assert sample_runs([text[:RUN], text[RUN:]]).n_runs == 2


def test_a_text_that_is_counted_in_pieces_counts_as_a_whole() -> None:
    text = letters(4000, 7)

    count = shared([text], [text[i : i + 20] for i in range(0, 4000, 20)])

    assert count.fraction == 1.0
    assert count.n_shared == SAMPLE


CHANGES = {
    "none": lambda text: text,
    "a span": lambda text: text[20_000:50_000],
    "wrapped anew": lambda text: textwrap.fill(text, 40),
    "one line": lambda text: " ".join(text.split()),
    "a word a line": lambda text: "\n".join(text.split()),
    "spaces doubled": lambda text: text.replace(" ", "  "),
    "indented": lambda text: textwrap.indent(text, "    "),
    "lines of Windows": lambda text: text.replace("\n", "\r\n"),
    "spaces that break no line": lambda text: text.replace(" ", "\u00a0"),
    "capitals": lambda text: text.upper(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_text_that_was_set_anew_is_the_same_text(change: Callable[[str], str]) -> None:
    text = prose(12_000, 11)

    assert shared([text], [change(text)]).fraction > 0.85
    assert shared([text], [change(prose(12_000, 12))]).fraction == 0


def test_a_tenth_of_a_text_in_another_dress_is_found() -> None:
    text, other = prose(12_000, 11), prose(12_000, 12)
    tenth = textwrap.fill(text[:7000], 40)

    assert shared([text], [tenth, other[:63_000]]).fraction == pytest.approx(0.1, abs=0.05)


def test_a_text_that_repeats_itself_counts_once() -> None:
    assert sample_runs(["a" * 1000]).n_runs == 1


def test_the_sample_survives_a_file(tmp_path: Path) -> None:
    sample = sample_runs([letters(3000, 8)])
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
        {KEY_RUN_LENGTH: 13},
        {KEY_RUN_LENGTH: None},
        {KEY_HASHES: "text"},
        {KEY_HASHES: np.ones(3, np.float32)},
        {KEY_RUNS: 1},
        {KEY_RUNS: "many"},
    ],
)
def test_what_is_no_sample_is_none(changed: dict[str, object]) -> None:
    entries = sample_runs([letters(100, 9)]).metadata()

    assert sample_of_metadata(entries) is not None
    assert sample_of_metadata(entries | changed) is None
