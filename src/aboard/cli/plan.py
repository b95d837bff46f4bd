"""`aboard plan`: whether a model fits a device, and how fast it will be there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.planning import Candidate, Device, Plan, Range


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A GGUF file, a Hugging Face folder, or a name of the catalogue that was pulled.",
        ),
    ],
    device: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `aboard device -o FILE` measured there."),
    ] = None,
    this_machine: Annotated[
        bool,
        typer.Option(
            "--this-machine", help="Measure this machine, as without any of these options."
        ),
    ] = False,
    ram: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory that the model may take: 8GB, or 7.5GiB."),
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(metavar="RATE", help="Beside --ram: of its memory, 60GB/s.")
    ] = None,
    context: options.UserContext = None,
    users: options.Users = 1,
    prompt: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Tokens of a prompt.", show_default="512, or the context"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Tell whether MODEL fits a device and how fast it will be, from its headers.

    A line for each precision that it can have; headers alone are read, no weights. Memory is
    counted; speeds are predicted, from bandwidth and integer peak of the device and the part of
    them that the engine reaches.
    """
    from dataclasses import asdict

    from aboard.cli.output import json_result, note
    from aboard.planning import THIS_MACHINE, chosen_device
    from aboard.planning import plan as planned
    from aboard.store import resolve_checkpoint

    source = resolve_checkpoint(model)
    where = chosen_device(
        device,
        this_machine=this_machine,
        ram=ram,
        bandwidth=bandwidth,
        progress=lambda line: note(f"aboard: {line}"),
    )
    found = planned(source, where, context=context, users=users, prompt=prompt)
    command = found.command(ram or (THIS_MACHINE if device is None else str(device)))
    if as_json:
        json_result(asdict(found) | {"command": command})
    else:
        _show(found, command)


def _show(found: Plan, command: str | None) -> None:
    from aboard.amounts import megabytes
    from aboard.cli.output import columns, facts, note, result

    people = f", {found.users} users at once" if found.users > 1 else ""
    facts(
        {
            "model": f"{found.architecture}, {found.n_parameters:,} parameters",
            "device": _device(found.device),
            "planned for": f"a context of {found.context:,} tokens (the model takes "
            f"{found.longest_context:,}){people}, a prompt of {found.prompt:,}",
            "predictions": found.candidates[0].speeds.basis,
        }
    )
    result("")
    head = ("type", "KV", "file", "weights", "KV cache", "rest", "peak", "fits", "decode/s")
    rows = [_row(each) for each in found.candidates]
    columns([(*head, "prompt/s", "first token"), *rows])
    result("")
    best = found.recommended
    if best is None:
        result(f"recommended: none; {found.reason}")
    else:
        result(f"recommended: {best.label}: {found.reason}")
    if command is not None:
        result(f"to make it: {command}")
    if found.prefix_cache_bytes:
        size = megabytes(found.prefix_cache_bytes)
        note(f"aboard: beginnings of prompts may be kept in up to {size} beyond the peak")
    for candidate in {each.type: each for each in found.candidates}.values():
        for each in candidate.notes:
            note(f"aboard: {candidate.type}: {each}")
    for each in found.notes:
        note(f"aboard: {each}")


def _device(device: Device) -> str:
    from aboard.amounts import megabytes

    room = f"{megabytes(device.room_bytes)} for the model"
    ceiling = device.ceiling()
    if ceiling is None:
        return f"{device.processor}, {room}"
    speed = f"{ceiling.bytes_per_s / 1e9:.1f} GB/s"
    cores = "" if device.isa is None else f", {ceiling.threads} threads, {device.isa}"
    return f"{device.processor}{cores}, {room}, {speed}"


def _row(each: Candidate) -> tuple[str, ...]:
    from aboard.amounts import megabytes

    memory, speeds = each.memory, each.speeds
    rest = memory.scratch + memory.tokenizer + memory.process
    margin = megabytes(abs(each.margin_bytes))
    return (
        each.type + (" (as it is)" if each.own else ""),
        each.kv or "none",
        megabytes(each.file_bytes),
        megabytes(memory.weights),
        megabytes(memory.kv),
        megabytes(rest),
        megabytes(each.peak_bytes),
        f"yes, {margin} left" if each.fits else f"no, lacks {margin}",
        _range(speeds.decode_tokens_per_s),
        _range(speeds.prompt_tokens_per_s),
        _range(speeds.first_token_s, " s"),
    )


def _range(found: Range | None, unit: str = "") -> str:
    if found is None:
        return "unknown"
    digits = 0 if found.low >= 100 else 1 if found.low >= 1 else 2
    return f"{found.value:,.{digits}f} ({found.low:,.{digits}f} to {found.high:,.{digits}f}){unit}"
