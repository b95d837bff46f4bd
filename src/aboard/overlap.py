"""Whether two texts share passages: a sample of the hashes of their runs of characters.

What was used to make a model, such as the calibration text of a quantised file, must not be what
it is evaluated on. Every run of `RUN` characters is hashed to 64 bits; of a text that is used, the
`SAMPLE` smallest hashes are kept, which is a fair sample of its runs, whatever its length, of at
most 8 KiB. A text that shares n of the N runs then shares about n / N of the sample.

White space and case don't count, so that a text that was wrapped, indented or set anew is the same
text, and tokenizers don't matter. (Runs of 13 tokens were missed where spaces were doubled.)

A quantised file carries the sample in its metadata, under the keys below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RUN = 48
"""Characters of a run, about ten words: shorter ones occur in unrelated texts, as phrases."""
SAMPLE = 1024
"""Hashes that are kept, at most. Of 256,000 runs, a shared passage of 2,000 has about 8."""

KEY_HASHES = "aboard.calibration.run_hashes"
KEY_RUNS = "aboard.calibration.runs"
KEY_RUN_LENGTH = "aboard.calibration.run_length"

Hashes = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # splitmix64's


def characters_of(text: str) -> str:
    """What of `text` counts: no white space, no case."""
    return "".join(text.split()).casefold()


def run_hashes(characters: str) -> Hashes:
    """The hash of each run of `RUN` of `characters`, in order, (n - RUN + 1,) uint64; few: none.

    The polynomial sum of (code point + 1) * factor^i modulo 2^64, then the finaliser of splitmix64
    (Steele, Lea and Flood, 2014), so that the small ones are a fair sample.
    """
    octets = characters.encode("utf-32-le", "surrogatepass")
    codes: Hashes = np.frombuffer(octets, "<u4").astype(np.uint64)
    n_runs = codes.size - RUN + 1
    if n_runs < 1:
        return np.empty(0, np.uint64)
    sums = np.zeros(n_runs, np.uint64)
    for i in range(RUN):  # wraps, as is meant
        sums = sums * _FACTOR + (codes[i : i + n_runs] + np.uint64(1))
    sums = (sums ^ (sums >> np.uint64(30))) * _MIX[0]
    sums = (sums ^ (sums >> np.uint64(27))) * _MIX[1]
    mixed: Hashes = sums ^ (sums >> np.uint64(31))
    return mixed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSample:
    """A sample of the runs of a text.

    Attributes
    ----------
    hashes : (S,) uint64
        The smallest hashes of its different runs, in order; at most `SAMPLE`.
    n_runs : int
        How many different runs they stand for.
    """

    hashes: Hashes
    n_runs: int

    def metadata(self) -> dict[str, object]:
        """The entries of a GGUF file's metadata that carry it."""
        return {KEY_HASHES: self.hashes, KEY_RUNS: self.n_runs, KEY_RUN_LENGTH: RUN}


def sample_runs(texts: Iterable[str]) -> RunSample:
    """The sample of what was used, text by text; no run goes over the end of one."""
    parts = [run_hashes(characters_of(text)) for text in texts]
    different = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)
    return RunSample(hashes=different[:SAMPLE], n_runs=int(different.size))


def sample_of_metadata(metadata: Mapping[str, object]) -> RunSample | None:
    """The sample that a file's metadata carries; None where it has none, or one of other runs."""
    hashes, n_runs = metadata.get(KEY_HASHES), metadata.get(KEY_RUNS)
    if metadata.get(KEY_RUN_LENGTH) != RUN or not isinstance(hashes, np.ndarray):
        return None
    if hashes.dtype.kind not in "ui" or not isinstance(n_runs, int) or n_runs < hashes.size:
        return None
    return RunSample(hashes=np.unique(hashes.astype(np.uint64))[:SAMPLE], n_runs=n_runs)


class OverlapCount:
    """Counts, piece by piece, what a text shares with a sample."""

    def __init__(self, sample: RunSample) -> None:
        self._sample = sample
        self._found: set[int] = set()
        self._n_runs = 0
        self._end = ""

    def add(self, text: str) -> None:
        """Count what follows; runs go on over where pieces were cut."""
        characters = self._end + characters_of(text)
        hashes = run_hashes(characters)
        self._end = characters[-RUN + 1 :]
        self._n_runs += hashes.size
        shared = hashes[np.isin(hashes, self._sample.hashes)]
        self._found.update(shared.tolist())

    @property
    def n_shared(self) -> int:
        """Hashes of the sample that were found."""
        return len(self._found)

    @property
    def fraction(self) -> float:
        """About which part of the runs that were added also stand in the sampled text."""
        if not self._n_runs or not self._found:
            return 0.0
        each = self._sample.n_runs / self._sample.hashes.size  # runs that a hash stands for
        return min(1.0, len(self._found) * each / self._n_runs)
