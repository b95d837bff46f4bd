"""What `aboard.toml` gives: flags and the environment go before it, defaults behind it."""

from __future__ import annotations

import difflib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from aboard.errors import UsageError
from aboard.serve.configuration import (
    NAME,
    CacheEntry,
    Configuration,
    ModelEntry,
    read_configuration,
)

_OTHER_VARIABLES = ("ABOARD_API_KEY", "ABOARD_CACHE", "ABOARD_HOME", "ABOARD_ISA", "ABOARD_DEBUG")
_FLAG, _VARIABLE, _FILE, _DEFAULT = "command line", "environment", "file", "default"
_SOURCES = {
    "COMMANDLINE": _FLAG,
    "ENVIRONMENT": _VARIABLE,
    "DEFAULT_MAP": _FILE,
    "DEFAULT": _DEFAULT,
}


def read_into(ctx: typer.Context, file: Path | None) -> Path | None:
    """The file that was read: `file`, or the one of this folder; its values become defaults.

    Raises
    ------
    UsageError
        The file can't be understood, or a value is out of its option's range.
    """
    if ctx.resilient_parsing:
        return file
    if file is None and not Path(NAME).is_file():
        return None
    configuration = read_configuration(file or Path(NAME))
    _check_ranges(ctx, configuration)
    ctx.obj = configuration
    ctx.default_map = configuration.options
    return configuration.path


def entries(
    ctx: typer.Context,
    models: Sequence[str] | None,
    aliases: Sequence[str] | None,
    *,
    context: int | None,
    kv: str,
) -> list[ModelEntry]:
    """The models to serve, each with what it is given: those named here, or else the file's.

    Raises
    ------
    UsageError
        There is none, or an alias is of none of them.
    """
    configuration: Configuration | None = ctx.obj
    if models:
        listed = [ModelEntry(model=each) for each in dict.fromkeys(models)]
    else:
        listed = [] if configuration is None else list(configuration.models)
    if not listed:
        raise UsageError(
            "no model is named",
            hint=f"Give a GGUF file or a name of the catalogue, or list models in {NAME}.",
        )
    more = _aliases(aliases or [], listed)
    given = sources(ctx)
    stronger = (_FLAG, _VARIABLE)
    own = given["context"] not in stronger
    return [
        replace(
            each,
            name=each.name or _file_name(each.model),
            aliases=(*each.aliases, *more[at]),
            context=each.context if own and each.context else _for_text(each.model, context),
            kv=kv if given["kv"] in stronger else each.kv or kv,
        )
        for at, each in enumerate(listed)
    ]


def cache_entries(ctx: typer.Context, given: Sequence[str] | None) -> list[CacheEntry]:
    """The caches to keep: those of `--cache`, each NAME=FILE, or else the file's.

    Raises
    ------
    UsageError
        One is not NAME=FILE.
    """
    configuration: Configuration | None = ctx.obj
    if not given:
        return [] if configuration is None else list(configuration.caches)
    caches = []
    for each in given:
        name, _, file = each.partition("=")
        if not name or not file:
            raise UsageError(f"--cache {each}: expected NAME=FILE, a file of a system prompt")
        caches.append(CacheEntry(name=name, source="system", path=Path(file)))
    return caches


def sources(ctx: typer.Context) -> dict[str, str]:
    """Where the value of each option comes from: command line, environment, file or default."""
    found = {}
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        found[name] = _DEFAULT if source is None else _SOURCES[source.name]
    return found


def misspelt_variables(ctx: typer.Context) -> list[str]:
    """What to say of variables that are nearly those of an option; others may be anybody's."""
    known = {f"ABOARD_{str(name).upper()}" for name in ctx.params} | {*_OTHER_VARIABLES}
    found = []
    for name in sorted(os.environ):
        if name.startswith("ABOARD_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            found += [f"{name} is no variable that is known; did you mean {each}?" for each in near]
    return found


def _file_name(model: str) -> str:
    from aboard.store import resolve

    return resolve(model).name.removesuffix(".gguf")


def _for_text(model: str, context: int | None) -> int | None:
    """`context`, which is for all models that make text; encoders take what their makers say."""
    from aboard.checkpoint.gguf import open_gguf
    from aboard.errors import naming
    from aboard.models import EncoderModel, describe_model
    from aboard.store import resolve

    if context is None:
        return None
    with open_gguf(resolve(model)) as file, naming(file.path):
        config = describe_model(file.metadata, frozenset(file.tensors))
    return None if isinstance(config, EncoderModel) else context


def _check_ranges(ctx: typer.Context, configuration: Configuration) -> None:
    parameters: dict[str, Any] = {str(each.name): each for each in ctx.command.params}
    for key, value in configuration.options.items():
        try:
            parameters[key].type_cast_value(ctx, value)
        except typer.BadParameter as error:
            where = f"{configuration.path}, [serve]: {key}"
            raise UsageError(f"{where}: {error.message.rstrip('.')}") from None


def _aliases(given: Sequence[str], listed: Sequence[ModelEntry]) -> dict[int, list[str]]:
    """Of each model, by its place in the list, its other names."""
    names = [{each.model, each.name or _file_name(each.model)} for each in listed]
    by_place: dict[int, list[str]] = defaultdict(list)
    for each in given:
        alias, _, model = each.partition("=")
        of = [at for at, known in enumerate(names) if not model or model in known]
        if not alias or not of:
            known = ", ".join(each.name or _file_name(each.model) for each in listed)
            raise UsageError(f"--alias {each}: expected NAME or NAME=MODEL, of {known}")
        by_place[of[0]].append(alias)
    return by_place
