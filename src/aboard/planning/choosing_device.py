"""The device that a plan is asked for: carried in a file, this machine, or figures by hand."""

from __future__ import annotations

from pathlib import Path

from aboard.errors import UsageError
from aboard.planning.device import Device, given_device
from aboard.planning.device_file import read_device
from aboard.planning.measuring import Progress, measure_device
from aboard.planning.units import parse_bandwidth, parse_size

THIS_MACHINE = "this-machine"


def chosen_device(
    file: Path | None = None,
    *,
    this_machine: bool = False,
    ram: str | None = None,
    bandwidth: str | None = None,
    progress: Progress = lambda line: None,
) -> Device:
    """The device; this machine, measured now, where nothing is said.

    Parameters
    ----------
    file : Path, optional
        That `write_device` wrote.
    this_machine : bool
        Measure this one.
    ram, bandwidth : str, optional
        As people write them: "8GB", and "60GB/s" or nothing.
    progress : callable
        Told, in words, what is done next.

    Raises
    ------
    CheckpointError
        The file can't be read or is no device's.
    UsageError
        More than one device is asked for, or a figure can't be understood.
    """
    if [file is not None, this_machine, ram is not None].count(True) > 1:
        raise UsageError(
            "more than one device", hint="Give one of --device, --this-machine and --ram."
        )
    if bandwidth is not None and ram is None:
        raise UsageError(
            "a bandwidth without a size of memory", hint="Add how much there is: --ram 8GB."
        )
    if file is not None:
        return read_device(file)
    if ram is not None:
        speed = None if bandwidth is None else parse_bandwidth(bandwidth)
        return given_device(parse_size(ram), speed)
    return measure_device(progress)


def device_named(name: str, progress: Progress = lambda line: None) -> Device:
    """The device that one word says: a file of `write_device`, `this-machine`, or a size as "8GB".

    A file of that name goes first. Of a size, and no more is known, predictions have no speed.

    Parameters
    ----------
    name : str
        The word.
    progress : callable
        Told, in words, what is done next.

    Raises
    ------
    CheckpointError, UsageError
        As for `chosen_device`.
    """
    if Path(name).exists():
        return read_device(name)
    if name == THIS_MACHINE:
        return measure_device(progress)
    if name[:1].isdigit():
        return chosen_device(ram=name)
    return read_device(name)
