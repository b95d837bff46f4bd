"""`aboard attest`: prove that this machine computes what another one did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aboard.cli import options


def attest(
    model: options.Model,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare with this file, printed by `attest --json` elsewhere.",
            exists=True,  # looked at before the model is loaded
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    threads: options.Threads = None,
    kv: options.Kv = "f16",
    as_json: options.Json = False,
) -> None:
    """Print the hashes of MODEL and of what this machine computes with it.

    A fixed set of prompts is run; the hashes cover the weights, the tokenizer, the template, the
    tokens and every bit of the logits. They are equal on every CPU and for any number of threads.
    """
    from dataclasses import asdict

    import aboard
    from aboard.cli.output import facts, json_result, note
    from aboard.engine import attest as attestation
    from aboard.store import resolve

    loaded = aboard.load(resolve(model), threads=threads, kv=kv)
    if check is None:
        found = attestation.attest(loaded)
    else:
        found = attestation.check(loaded, check)
        note(f"aboard: equal to {check}")
    if as_json:
        json_result(found)
    else:
        shown = {name: value for name, value in asdict(found).items() if name != "by_prompt"}
        facts({name: str(value) for name, value in shown.items()})
