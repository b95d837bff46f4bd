"""What the system tells, read from made folders of /proc and /sys."""

from pathlib import Path

import pytest

from aboard.planning import machine_memory


def made(root: Path, files: dict[str, str]) -> Path:
    """These files below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_is_told_in_bytes(tmp_path: Path) -> None:
    text = "MemTotal:       8000 kB\nMemFree:  10 kB\nMemAvailable:    5000 kB\n"

    found = machine_memory.memory(made(tmp_path, {"proc/meminfo": text}))

    assert found == machine_memory.Memory(8000 * 1024, 5000 * 1024)


def test_hyper_threads_count_once(tmp_path: Path) -> None:
    name = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    files = {name.format(i): f"{i % 2},{i % 2 + 2}\n" for i in range(4)}

    assert machine_memory.physical_cores(made(tmp_path, files)) == 2
    assert machine_memory.physical_cores(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "900\n",
                "sys/fs/cgroup/a/memory.max": "800\n",
            },
            800,
        ),
        ({"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/memory.max": "700\n"}, 700),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n1:cpu,cpuacct:/\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "600\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            600,
        ),
        ({}, None),
    ],
    ids=["no limit", "the group above", "in a container", "version 1", "no groups"],
)
def test_the_least_limit_of_memory_counts(
    tmp_path: Path, files: dict[str, str], limit: int | None
) -> None:
    assert machine_memory.memory_limit(made(tmp_path, files)) == limit


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "1:cpu:/a\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
    ],
    ids=["a half and one", "no limit", "version 1"],
)
def test_the_time_that_is_granted_counts_as_cores(
    tmp_path: Path, files: dict[str, str], limit: float | None
) -> None:
    assert machine_memory.cpu_limit(made(tmp_path, files)) == limit


def test_a_battery_is_told_from_a_charger(tmp_path: Path) -> None:
    folder = "sys/class/power_supply"

    assert machine_memory.battery(tmp_path) is None
    assert machine_memory.battery(made(tmp_path, {f"{folder}/AC/type": "Mains\n"})) is False
    assert machine_memory.battery(made(tmp_path, {f"{folder}/BAT0/type": "Battery\n"})) is True
