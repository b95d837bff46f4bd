"""`aboard serve`: models answer over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.serve.served import Served


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="GGUF files, or names of the catalogue that were pulled."
        ),
    ],
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            envvar="ABOARD_HOST",
            help="Where to listen. Beyond this machine it takes a key.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, envvar="ABOARD_PORT", help="0 takes any that is free."
        ),
    ] = 8080,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=MODEL]",
            help="Another name, of the first model by default; * is any name. May be repeated.",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="ABOARD_API_KEY_FILE",
            help="Keys, one a line; ABOARD_API_KEY holds others. Without any, everybody may ask.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that the server is reached by; may be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A site whose pages may ask; may be repeated."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Speak HTTPS: the certificate, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            envvar="ABOARD_DATA",
            help="Keep files and batches there; no other server may. Without it none are kept.",
        ),
    ] = None,
    data_size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="How much all files may take there, such as 500MB."),
    ] = "16GB",
    max_sequences: Annotated[
        int, typer.Option(metavar="N", min=1, help="Answers that are computed together.")
    ] = 32,
    max_waiting: Annotated[
        int, typer.Option(metavar="N", min=0, help="Answers that may wait for their turn.")
    ] = 128,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=0.001, help="Seconds that an answer may take.")
    ] = 600.0,
    drain: Annotated[
        float,
        typer.Option(metavar="S", min=0, help="Seconds that answers may go on after SIGTERM."),
    ] = 30.0,
    date: options.Date = None,
    threads: options.Threads = None,
    context: options.Context = None,
    kv: options.Kv = "f16",
    as_json: options.Json = False,
) -> None:
    """Answer over HTTP as the cloud API does, for programs on this machine."""
    from aboard.cli.output import json_result, note
    from aboard.cli.serving import kept_in, loaded_models, require_serve
    from aboard.errors import UsageError

    require_serve()
    from aboard.serve.app import App
    from aboard.serve.keys import read_keys
    from aboard.serve.limits import Limits
    from aboard.serve.listening import Tls, is_loopback, own_names, run
    from aboard.serve.logs import log_to_stderr
    from aboard.serve.served import ServedModels

    keys = read_keys(api_key_file)
    if not keys and not is_loopback(host):
        raise UsageError(
            f"on {host} other machines could ask, and there is no key",
            hint="Give keys with --api-key-file, or listen on 127.0.0.1.",
        )
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key need each other")
    limits = Limits(
        max_sequences=max_sequences,
        max_waiting=max_waiting,
        answer_timeout_s=timeout,
        drain_s=drain,
    )
    with ExitStack() as held:
        kept = None if data is None else held.enter_context(kept_in(data, data_size))
        served = loaded_models(models, alias or [], threads=threads, context=context, kv=kv)
        all_models = held.enter_context(ServedModels(served))
        app = App(
            all_models,
            limits,
            keys=keys,
            hosts=[*(allow_host or []), *own_names(host)],
            origins=allow_origin or [],
            day=None if date is None else date.date(),
            kept=kept,
        )
        log_to_stderr()

        def ready(url: str) -> None:
            if as_json:
                json_result(_facts(url, served), indent=None)
            else:
                names = ", ".join(each.name for each in served)
                note(f"aboard: serving {names} at {url}/v1")

        tls = (
            None if tls_cert is None or tls_key is None else Tls(certificate=tls_cert, key=tls_key)
        )
        run(app, host, port, tls=tls, ready=ready)
    note("aboard: ended")


def _facts(url: str, served: Sequence[Served]) -> dict[str, object]:
    told = [
        {"id": each.name, "aliases": each.aliases, "system_fingerprint": each.fingerprint}
        for each in served
    ]
    return {"url": url, "models": told}
