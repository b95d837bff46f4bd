"""`aboard embed`: texts become vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator


def embed(
    model: options.Model,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT...", help="One or more texts.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="A text on each line; - is stdin. Empty lines count.",
        ),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut texts that are too long; else they are refused.")
    ] = False,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Divide each vector by its length.",
            show_default="as the model's makers do",
        ),
    ] = None,
    threads: options.Threads = None,
    context: options.Context = None,
    as_json: options.Json = False,
) -> None:
    """Turn each TEXT into a vector, close to those of texts that mean the same.

    MODEL is an encoder, such as all-MiniLM-L6-v2. Prints a line of numbers for each text, in order.
    """
    import aboard
    from aboard.cli.output import json_result, result
    from aboard.errors import UsageError
    from aboard.store import resolve

    if bool(texts) == (file is not None):
        raise UsageError(
            "give texts, or --file, and not both", hint='aboard embed MODEL "a text" "another"'
        )
    chosen = list(_lines(file) if file is not None else _checked(texts or []))
    loaded = aboard.load(resolve(model), threads=threads, context=context)
    vectors = loaded.embed(chosen, normalize=normalize, truncate=truncate)
    if as_json:
        told = {"model": model, "weights_sha256": loaded.weights_sha256}
        json_result({**told, "embeddings": vectors.tolist()}, indent=None)
        return
    for vector in vectors:
        result(" ".join(f"{value:.9g}" for value in vector))


def _checked(texts: list[str]) -> Iterator[str]:
    from aboard.cli.prompt import checked_text

    for text in texts:
        yield checked_text(text, "a text")


def _lines(name: str) -> Iterator[str]:
    """The lines of a file, or of stdin, without their ends."""
    import sys

    from aboard.errors import UsageError

    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{name}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is not UTF-8 at byte {error.start}") from None
    for line in text.removesuffix("\n").split("\n") if text else ():
        yield line.removesuffix("\r")
