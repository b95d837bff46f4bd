"""What the machine allows, sampled again and again while a benchmark runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aboard.engine.benchmark.report import Ceiling, Kind, Spread

if TYPE_CHECKING:
    from aboard._native import ReadProbe

_BUFFER_BYTES = 256 << 20  # far larger than any cache


class Ceilings:
    """Samples of bandwidth and integer peak, for each number of threads up to the cores.

    More threads than cores are allowed no more than the cores: their samples are those of the
    cores.
    """

    def __init__(self, most_threads: int, cores: int) -> None:
        from aboard import _native

        self._cores = cores
        self._counts = range(1, min(most_threads, cores) + 1)
        self._bandwidth: dict[int, list[float]] = {count: [] for count in self._counts}
        self._peak: dict[int, list[float]] = {count: [] for count in self._counts}
        self._probe: ReadProbe = _native.ReadProbe(_BUFFER_BYTES)

    @property
    def memory(self) -> tuple[int, int]:
        """Address and size of the buffer."""
        return self._probe.memory

    def sample_all(self) -> None:
        """Take one sample of either for each number of threads."""
        for count in self._counts:
            self.bandwidth(count)
            self.peak(count)

    def bandwidth(self, threads: int) -> float:
        """A sample of the bytes a second that so many threads can read."""
        threads = min(threads, self._cores)
        self._bandwidth[threads].append(self._probe.bytes_per_s(threads))
        return self._bandwidth[threads][-1]

    def peak(self, threads: int) -> float:
        """A sample of the integer operations a second that so many threads can do."""
        from aboard import _native

        threads = min(threads, self._cores)
        self._peak[threads].append(_native.dot_ops_per_s(threads))
        return self._peak[threads][-1]

    def of(self, kind: Kind, threads: int) -> float:
        """A sample of what bounds this kind of work."""
        return self.peak(threads) if kind == "prompt" else self.bandwidth(threads)

    def report(self) -> tuple[Ceiling, ...]:
        """All samples."""
        return tuple(
            Ceiling(
                threads=count,
                memory_bytes_per_s=Spread.of(self._bandwidth[count]),
                integer_ops_per_s=Spread.of(self._peak[count]),
            )
            for count in self._counts
        )
