"""The CPU the engine runs on: how many threads it may use, and which instruction set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from aboard.engine.arguments import checked_integer
from aboard.errors import UsageError

MAX_THREADS = 1024


def usable_cores() -> int:
    """CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked_threads(threads: int | None) -> int:
    """The number of threads to use; None is one for each usable core.

    Raises
    ------
    UsageError
        It is not an integer from 1 to 1024.
    """
    if threads is None:
        return min(usable_cores(), MAX_THREADS)
    return checked_integer("threads", threads, 1, MAX_THREADS)


def supported_isas() -> list[str]:
    """The instruction sets that this build has and this CPU runs, the best first."""
    from aboard import _native

    return _native.supported_isas()


@contextmanager
def force_isa(name: str) -> Iterator[None]:
    """Run everything inside with this instruction set; the answers are the same, bit for bit.

    Raises
    ------
    UsageError
        This build or this CPU doesn't have it.
    """
    from aboard import _native

    before = _native.active_isa()
    use_isa(name)
    try:
        yield
    finally:
        _native.use_isa(before)


def use_isa(name: str) -> None:
    """Run everything from now on with this instruction set.

    Raises
    ------
    UsageError
        This build or this CPU doesn't have it.
    """
    from aboard import _native

    try:
        _native.use_isa(name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def use_isa_of_environment() -> None:
    """Follow `ABOARD_ISA` where it is set.

    Raises
    ------
    UsageError
        It names an instruction set that doesn't run here.
    """
    name = os.environ.get("ABOARD_ISA")
    if name:
        try:
            use_isa(name)
        except UsageError as error:
            raise UsageError(f"ABOARD_ISA: {error}") from None


def numerics_version() -> int:
    """The integer that names the exact arithmetic; see docs/decisions/0002-numerics-contract.md."""
    from aboard import _native

    return _native.NUMERICS_VERSION
