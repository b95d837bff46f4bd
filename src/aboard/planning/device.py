"""What is known of a device that models are to run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What so many threads reach together.

    Attributes
    ----------
    threads : int
        How many.
    bytes_per_s : float
        That they read from memory.
    ops_per_s : mapping of str to float
        Integer operations (a product and a sum are two), by instruction set, the best first.
    """

    threads: int
    bytes_per_s: float
    ops_per_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A machine that models are to run on. None stands for what the system doesn't tell.

    Attributes
    ----------
    measured : str
        The day, as 2026-11-24; "not measured" where figures were given by hand.
    aboard : str
        The version that measured.
    system : str
        Operating system and kind of processor.
    processor : str
        Its name.
    physical_cores : int or None
        Cores without hyper-threads.
    logical_cores : int
        All that the system sees.
    usable_cores : int
        Those that a process may use, by its affinity and its control group.
    memory_bytes : int
        Of the machine.
    available_bytes : int
        That a program could take when it was measured, without swapping.
    limit_bytes : int or None
        What the control group allows.
    load : float or None
        Programs that wanted to run when it was measured: the load average of a minute.
    battery : bool or None
        Whether there is one.
    huge_pages : str or None
        Linux's setting for transparent huge pages: "always", "madvise" or "never".
    ceilings : tuple of Ceiling
        For one thread, and for more; empty where nothing is known.
    """

    measured: str
    aboard: str
    system: str
    processor: str
    physical_cores: int | None
    logical_cores: int
    usable_cores: int
    memory_bytes: int
    available_bytes: int
    limit_bytes: int | None
    load: float | None
    battery: bool | None
    huge_pages: str | None
    ceilings: tuple[Ceiling, ...]

    @property
    def room_bytes(self) -> int:
        """Memory that a model's process may take."""
        return min(self.available_bytes, self.limit_bytes or self.available_bytes)

    @property
    def isa(self) -> str | None:
        """The best instruction set that it has; None where it isn't known."""
        sets = self.ceilings[0].ops_per_s if self.ceilings else {}
        return next(iter(sets), None)

    @property
    def was_busy(self) -> bool:
        """Whether other programs may have slowed down what was measured."""
        return self.load is not None and self.load > 0.5 * self.usable_cores

    @property
    def one_thread_ops_per_s(self) -> float | None:
        """The integer peak of a thread with the best instruction set; None where nobody knows."""
        if self.isa is None:
            return None
        return self.ceilings[0].ops_per_s[self.isa] / self.ceilings[0].threads

    def ceiling(self) -> Ceiling | None:
        """That of as many threads as it can use."""
        return self.ceilings[-1] if self.ceilings else None


def given_device(memory_bytes: int, bytes_per_s: float | None) -> Device:
    """A device of which only so much is known: memory that a process may take, and bandwidth."""
    ceilings: tuple[Ceiling, ...] = ()
    if bytes_per_s is not None:
        ceilings = (Ceiling(threads=1, bytes_per_s=bytes_per_s, ops_per_s={}),)
    return Device(
        measured="not measured",
        aboard="",
        system="",
        processor="as given",
        physical_cores=None,
        logical_cores=1,
        usable_cores=1,
        memory_bytes=memory_bytes,
        available_bytes=memory_bytes,
        limit_bytes=None,
        load=None,
        battery=None,
        huge_pages=None,
        ceilings=ceilings,
    )
