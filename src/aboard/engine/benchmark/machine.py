"""What the system tells of this machine and this process; None where it doesn't."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path

Extent = tuple[int, int]  # address and size in bytes

_PROC = Path("/proc")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_RANGE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ")


def processor(cpuinfo: Path = _PROC / "cpuinfo") -> str:
    """The CPU's name, with family and model where the system gives them."""
    found: dict[str, str] = {}
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found and "model" in found:
        return f"{name} (family {found['cpu family']}, model {found['model']})"
    return name


def peak_rss_bytes(status: Path = _PROC / "self" / "status") -> int | None:
    """The most memory this process has had at once."""
    if status.exists():  # unlike getrusage, not inherited from the process that started this one
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def huge_page_setting(enabled: Path = _HUGE_PAGES) -> str | None:
    """Linux's setting for transparent huge pages: "always", "madvise" or "never"."""
    try:
        found = re.search(r"\[(\w+)\]", enabled.read_text())
    except OSError:
        return None
    return found[1] if found else None


def huge_page_fraction(
    extents: Iterable[Extent], smaps: Path = _PROC / "self" / "smaps"
) -> float | None:
    """The part of these extents' memory, as far as it is in use, that lies on huge pages.

    Counted over the mappings that an extent touches. The engine's large memory has mappings of its
    own: around each there is a stretch without the advice for huge pages, so none merge.
    """
    wanted = list(extents)
    try:
        text = smaps.read_text()
    except OSError:
        return None
    used = huge = 0
    inside = False
    for line in text.splitlines():
        bounds = _RANGE.match(line)
        if bounds:
            first, end = (int(bound, 16) for bound in bounds.groups())
            inside = any(first < address + size and address < end for address, size in wanted)
        elif inside and line.startswith("Rss:"):
            used += int(line.split()[1])
        elif inside and line.startswith("AnonHugePages:"):
            huge += int(line.split()[1])
    return huge / used if used else None
