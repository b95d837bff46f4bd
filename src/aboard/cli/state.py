"""`aboard state`: compute the beginning of a prompt once, for all that begin with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aboard.cli import options


def state(
    model: options.Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written whole or not at all.")],
    system: options.System = None,
    date: options.Date = None,
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="The beginning of a prompt for `run --raw`, instead of --system."
        ),
    ] = None,
    threads: options.Threads = None,
    context: options.Context = None,
    kv: options.Kv = "f16",
    as_json: options.Json = False,
) -> None:
    """Save the state of MODEL after instructions that many prompts begin with.

    `run` and `chat` with --state FILE, the same --system, and the same --date where the template
    tells one, then start where it ends, with the tokens they would give without. The file belongs
    to these weights, this numerics version and this --kv; for others, and for other prompts, it is
    refused.
    """
    import aboard
    from aboard.cli.output import json_result, note
    from aboard.cli.prompt import checked_text
    from aboard.engine.opening import chat_opening, text_opening
    from aboard.errors import UsageError
    from aboard.store import resolve

    if (system is None) == (raw is None):
        raise UsageError("expected either --system TEXT or --raw TEXT, what prompts begin with")
    if raw is not None and date is not None:
        raise UsageError("--date needs the chat template that --raw leaves out")
    now = options.day(date)
    text = checked_text(system or raw or "", "the text")
    if not text.strip():
        raise UsageError("the text is empty: nothing would be saved")
    loaded = aboard.load(resolve(model), threads=threads, context=context, kv=kv)
    tokens = text_opening(loaded, text) if system is None else chat_opening(loaded, text, now)
    if not tokens:
        raise UsageError(
            f"no token of {text!r:.80} is sure to begin every prompt that goes on from there",
            hint="Its last token may merge with what follows: save a longer text.",
        )
    with loaded.session() as session:
        session.prefill(tokens)
        session.save(file)
        n_tokens = session.n_tokens
    if as_json:
        json_result(
            {
                "file": str(file),
                "date": None if system is None else options.told_day(loaded, now),
                "tokens": n_tokens,
                "size_bytes": file.stat().st_size,
            }
        )
    else:
        note(f"aboard: saved the state of {n_tokens:,} tokens to {file}")
