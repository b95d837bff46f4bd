"""What this machine is and what it reaches, measured in seconds and without a network."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator

from aboard.engine.benchmark import machine
from aboard.engine.benchmark.ceilings import Ceilings
from aboard.engine.device import MAX_THREADS, force_isa, supported_isas, usable_cores
from aboard.errors import NotEnoughMemory, UnsupportedFile
from aboard.planning import machine_memory
from aboard.planning.device import Ceiling, Device

_ROUNDS = 5
_SECONDS = 6.0  # after so many no further round begins
_EACH_COUNT = 8  # up to so many threads every number is measured, beyond it every doubling

Progress = Callable[[str], None]


def measure_device(progress: Progress = lambda line: None) -> Device:
    """This machine, measured: memory bandwidth, integer peaks, cores, memory.

    It takes under ten seconds and is true of an idle machine.

    Parameters
    ----------
    progress : callable
        Told, in words, what is done next.

    Raises
    ------
    NotEnoughMemory
        The system grants none for the buffer that bandwidth is measured on.
    UnsupportedFile
        The system doesn't tell how much memory there is.
    """
    from aboard import __version__

    memory = machine_memory.memory()
    if memory is None:
        raise UnsupportedFile(
            f"{platform.system()} doesn't tell how much memory this machine has",
            hint="Give figures by hand: `aboard plan MODEL --ram 8GB --bandwidth 60GB/s`.",
        )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores = _cores()
    progress(f"measuring memory and arithmetic, {cores} threads")
    return Device(
        measured=time.strftime("%Y-%m-%d"),
        aboard=__version__,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=machine.processor(),
        physical_cores=machine_memory.physical_cores(),
        logical_cores=os.cpu_count() or 1,
        usable_cores=cores,
        memory_bytes=memory.total_bytes,
        available_bytes=memory.available_bytes,
        limit_bytes=machine_memory.memory_limit(),
        load=load,
        battery=machine_memory.battery(),
        huge_pages=machine.huge_page_setting(),
        ceilings=tuple(_ceilings(cores)),
    )


def _cores() -> int:
    """CPUs that may be used: by affinity, and by the time that the control group grants."""
    limit = machine_memory.cpu_limit()
    usable = min(usable_cores(), MAX_THREADS)
    return usable if limit is None else max(1, min(usable, round(limit)))


def counts(cores: int) -> list[int]:
    """Numbers of threads to measure: each up to eight, then doublings, and the cores."""
    few = range(1, min(cores, _EACH_COUNT) + 1)
    doubled = (_EACH_COUNT << n for n in range(1, 8))
    return sorted({*few, *(n for n in doubled if n < cores), cores})


def _ceilings(cores: int) -> Iterator[Ceiling]:
    """The medians of a few rounds for each number of threads, as the bounds of `aboard bench`."""
    try:
        probe = Ceilings(cores, cores)
    except MemoryError:
        raise NotEnoughMemory(
            "the system grants no memory to measure its bandwidth", hint="Free 256 MB."
        ) from None
    wanted, began = counts(cores), time.monotonic()
    bandwidth: dict[int, list[float]] = {count: [] for count in wanted}
    peaks: dict[tuple[int, str], list[float]] = {}
    for number in range(_ROUNDS):
        if number and time.monotonic() - began > _SECONDS:
            break
        for count in wanted:
            bandwidth[count].append(probe.bandwidth(count))
            for isa in supported_isas():
                with force_isa(isa):
                    peaks.setdefault((count, isa), []).append(probe.peak(count))
    for count in wanted:
        yield Ceiling(
            threads=count,
            bytes_per_s=statistics.median(bandwidth[count]),
            ops_per_s={isa: statistics.median(peaks[count, isa]) for isa in supported_isas()},
        )
