"""What the system tells of memory, cores, control groups and batteries; None where it doesn't."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED = 1 << 60  # the first version of control groups writes a huge number for no limit


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the machine, and what of it a program could take without swapping; bytes."""

    total_bytes: int
    available_bytes: int


def memory(root: Path = _ROOT) -> Memory | None:
    """How much memory there is."""
    text = _text(root / "proc/meminfo") or ""
    found = {key: int(kb) * 1024 for key, kb in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}
    if {"MemTotal", "MemAvailable"} <= found.keys():
        return Memory(found["MemTotal"], found["MemAvailable"])
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory(total, total) if total > 0 else None


def physical_cores(root: Path = _ROOT) -> int | None:
    """Cores, each with its hyper-threads counted once."""
    folder = root / "sys/devices/system/cpu"
    siblings = {_text(each) for each in folder.glob("cpu[0-9]*/topology/thread_siblings_list")}
    return len(siblings - {None}) or None


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes that the control groups of this process allow, the least of them."""
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [int(text) for text in _control_group(root, "memory", names) if text.isdecimal()]
    least = min(limits, default=_UNLIMITED)
    return least if 0 < least < _UNLIMITED else None


def cpu_limit(root: Path = _ROOT) -> float | None:
    """Cores' worth of time that the control groups of this process grant, the least of them."""
    limits = []
    for text in _control_group(root, "cpu", ("cpu.max",)):
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    quotas = _control_group(root, "cpu", ("cpu.cfs_quota_us",))
    periods = _control_group(root, "cpu", ("cpu.cfs_period_us",))
    for quota, period in zip(quotas, periods, strict=False):
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def battery(root: Path = _ROOT) -> bool | None:
    """Whether the machine has a battery."""
    folder = root / "sys/class/power_supply"
    if not folder.is_dir():
        return None
    return any(_text(each) == "Battery" for each in folder.glob("*/type"))


def _control_group(root: Path, controller: str, names: tuple[str, ...]) -> Iterator[str]:
    """What files of these names say, in this process's group and in those above it.

    Within a container the path of /proc/self/cgroup may be the host's; then only the root is there.
    """
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        folder = root / "sys/fs/cgroup" / (controllers and controller)
        group = folder / path.strip("/")
        for each in (group, *group.parents):
            if folder not in (each, *each.parents):
                break
            for name in names:
                text = _text(each / name)
                if text is not None:
                    yield text


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None
