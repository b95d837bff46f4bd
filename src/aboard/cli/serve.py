"""`aboard serve`: models answer over HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from aboard.cli import options

CONTEXT = {"auto_envvar_prefix": "ABOARD"}
"""Every option is a variable of the environment, too, and a key of aboard.toml."""


def _read(ctx: typer.Context, file: Path | None) -> Path | None:
    from aboard.cli.configured import read_into

    return read_into(ctx, file)


def serve(
    ctx: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...]",
            envvar="ABOARD_MODELS",
            help="GGUF files, or names of the catalogue that were pulled.",
            show_default="those of aboard.toml",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            is_eager=True,  # before the options whose values it holds
            callback=_read,
            help="Read options and models from this file.",
            show_default="./aboard.toml, if there is one",
        ),
    ] = None,
    check_config: Annotated[
        bool,
        typer.Option(
            "--check-config",
            allow_from_autoenv=False,
            help="Tell what would be served and where each option comes from, and serve nothing.",
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="Where to listen. Beyond this machine it takes a key."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="0 takes any that is free.")
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
    public_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Where a proxy shows the server, such as https://model.example; may be repeated.",
        ),
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
    caches: Annotated[
        list[str] | None,
        typer.Option(
            "--cache",
            metavar="NAME=FILE",
            envvar="ABOARD_CACHE",
            help="Keep what prompts with the system prompt in FILE begin with; may be repeated.",
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep the states of caches there, for the next start; servers may share it.",
        ),
    ] = None,
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
    """Answer over HTTP as the cloud API does, for programs on this machine.

    An option that isn't given is taken from the environment, then from aboard.toml.
    """
    from aboard.cli.configured import cache_entries, entries, misspelt_variables, sources
    from aboard.cli.output import json_result, note
    from aboard.cli.serving import asked_for, checked, kept_in, require_serve, told

    require_serve()
    from aboard.serve.app import App
    from aboard.serve.caches import keep, require_folder
    from aboard.serve.limits import Limits
    from aboard.serve.listening import run
    from aboard.serve.logs import log_to_stderr
    from aboard.serve.served import ServedModels

    for each in misspelt_variables(ctx):
        note(f"aboard: {each}")
    limits = Limits(
        max_sequences=max_sequences,
        max_waiting=max_waiting,
        answer_timeout_s=timeout,
        drain_s=drain,
    )
    asked = asked_for(
        entries(ctx, models, alias, context=context, kv=kv),
        host=host,
        port=port,
        key_file=api_key_file,
        allowed_hosts=allow_host or [],
        origins=allow_origin or [],
        public_origins=public_origin or [],
        certificate=tls_cert,
        certificate_key=tls_key,
        caches=cache_entries(ctx, caches),
    )
    if check_config:
        given = sources(ctx)
        checked(asked, limits, given, config, data, data_size, cache_dir, as_json=as_json)
        return
    if cache_dir is not None:
        require_folder(cache_dir)
    day = None if date is None else date.date()
    with ExitStack() as held:
        kept = None if data is None else held.enter_context(kept_in(data, data_size))
        served = asked.load(threads=threads)
        all_models = held.enter_context(ServedModels(served))
        log_to_stderr()
        keep(all_models, asked.beginnings, cache_dir, day)
        app = App(
            all_models,
            limits,
            keys=asked.keys,
            hosts=asked.hosts,
            origins=asked.origins,
            public_origins=asked.public_origins,
            day=day,
            kept=kept,
        )

        def ready(url: str) -> None:
            if as_json:
                json_result(told(url, served), indent=None)
            else:
                names = ", ".join(each.name for each in served)
                note(f"aboard: serving {names} at {url}/v1")

        run(app, host, port, tls=asked.tls, ready=ready)
    note("aboard: ended")
