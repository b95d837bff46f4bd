"""`aboard device`: what this machine is and reaches, for `aboard plan` elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.planning import Device


def device(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write it to this file, to be carried."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure this machine: memory bandwidth, integer arithmetic, cores and memory.

    It takes a few seconds, needs no network and should be done while nothing else runs. The file
    says nothing of who owns the machine or what is on it; `aboard plan --device FILE` reads it.
    """
    from aboard.cli.output import json_result, note, result
    from aboard.planning import measure_device, write_device

    if out is not None:
        from aboard.artifact.replacement import require_writable

        require_writable(out)
    found = measure_device(lambda line: note(f"aboard: {line}"))
    if found.was_busy:
        note(f"aboard: the machine is busy (load {found.load:.1f}): measure again when it is idle")
    if out is not None:
        write_device(found, out)
    if as_json:
        json_result(found)
    elif out is not None:
        result(str(out))
    else:
        _show(found)


def _show(found: Device) -> None:
    from aboard.amounts import megabytes
    from aboard.cli.output import facts

    limit = "" if found.limit_bytes is None else f", limited to {megabytes(found.limit_bytes)}"
    battery = {True: "yes", False: "no", None: "unknown"}
    values = {
        "system": found.system,
        "processor": found.processor,
        "cores": f"{found.physical_cores or 'unknown'} physical, {found.logical_cores} logical, "
        f"{found.usable_cores} usable",
        "memory": f"{megabytes(found.memory_bytes)}, {megabytes(found.available_bytes)} "
        f"available{limit}",
        "battery": battery[found.battery],
        "huge pages": found.huge_pages or "unknown",
    }
    for each in found.ceilings:
        peaks = ", ".join(f"{isa} {ops / 1e9:,.0f}" for isa, ops in each.ops_per_s.items())
        values[f"{each.threads} threads" if each.threads > 1 else "1 thread"] = (
            f"memory {each.bytes_per_s / 1e9:.1f} GB/s; billion integer operations/s: {peaks}"
        )
    facts(values)
