"""The application: its commands, `--version`, and errors turned into exit codes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aboard.cli import (
    attest,
    bench,
    chat,
    check,
    device,
    embed,
    eval,
    import_,
    info,
    ladder,
    models,
    plan,
    pull,
    quantize,
    run,
    serve,
    state,
)
from aboard.cli.exits import errors_told

_EPILOG = (
    "Exit codes: 0 done; 1 it can't be done, the message says why; 2 the command line is wrong; "
    "3 attest --check found a difference; 4 check found the model unsound; 130 Ctrl-C; "
    "141 the reader of the output went away. ABOARD_DEBUG=1 shows tracebacks."
)


class _Commands(TyperGroup):
    def make_context(self, *args: Any, **options: Any) -> Any:
        with errors_told():  # --help and --version print in here
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with errors_told():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)  # in the order a newcomer meets them


app = typer.Typer(
    cls=_Commands,
    name="aboard",
    help="Run small language models on this machine, offline, with the same tokens on every CPU.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich alone would take longer to import than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from aboard import __version__

    typer.echo(f"aboard {__version__}")
    raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


_ORDER = (
    *(pull, import_, models, run, chat, serve, embed, state, info),
    *(plan, device, quantize, check, eval, ladder, bench, attest),
)
for _module in _ORDER:
    _name = _module.__name__.rpartition(".")[2]
    _command = getattr(_module, _name)
    # the whole first line in the list of commands: by itself Typer cuts it where the screen ends
    app.command(
        _name.rstrip("_"),
        short_help=(_command.__doc__ or "").partition("\n")[0],
        context_settings=getattr(_module, "CONTEXT", None),
    )(_command)
