"""A device whose figures are easy to reckon with."""

from dataclasses import replace

from aboard.planning import Ceiling, Device

LAPTOP = Device(
    measured="2026-11-24",
    aboard="0.1.0",
    system="Linux 6.1, x86_64",
    processor="A CPU",
    physical_cores=2,
    logical_cores=4,
    usable_cores=2,
    memory_bytes=8_000_000_000,
    available_bytes=5_000_000_000,
    limit_bytes=None,
    load=0.1,
    battery=True,
    huge_pages="madvise",
    ceilings=(
        Ceiling(threads=1, bytes_per_s=20e9, ops_per_s={"avx2": 300e9, "scalar": 100e9}),
        Ceiling(threads=2, bytes_per_s=40e9, ops_per_s={"avx2": 600e9, "scalar": 200e9}),
    ),
)


def laptop(**changes: object) -> Device:
    """The device, with changes."""
    return replace(LAPTOP, **changes)
