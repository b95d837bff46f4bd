"""`aboard.toml`: what a server is started with, written down.

    [serve]
    port = 8080
    api_key_file = "keys.txt"

    [[serve.models]]
    model = "models/answering.gguf"
    aliases = ["gpt-4o-mini"]

Keys are those of the options of `aboard serve`, with underscores. What isn't known is refused by
name, for a limit that was misspelt is a limit that doesn't hold. A path is relative to the file.
"""

from __future__ import annotations

import datetime
import difflib
import enum
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aboard.engine.arguments import KV_FORMATS
from aboard.errors import UsageError
from aboard.serve.defaults import Defaults
from aboard.store import CATALOGUE

NAME = "aboard.toml"
"""The file that is read where none is named, from the folder that the server is started in."""
MAX_BYTES = 1 << 20


class Kind(enum.Enum):
    """What a key holds."""

    TEXT = "a text"
    FILE = "a path, as text"
    MODEL = "a path or a name of the catalogue, as text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    TEXTS = "a list of texts"
    DATE = "a date, such as 2026-01-31"
    TABLE = "a table"


KEYS = {
    "host": Kind.TEXT,
    "port": Kind.WHOLE,
    "alias": Kind.TEXTS,
    "api_key_file": Kind.FILE,
    "allow_host": Kind.TEXTS,
    "allow_origin": Kind.TEXTS,
    "public_origin": Kind.TEXTS,
    "tls_cert": Kind.FILE,
    "tls_key": Kind.FILE,
    "data": Kind.FILE,
    "data_size": Kind.TEXT,
    "cache_dir": Kind.FILE,
    "max_sequences": Kind.WHOLE,
    "max_waiting": Kind.WHOLE,
    "timeout": Kind.NUMBER,
    "drain": Kind.NUMBER,
    "date": Kind.DATE,
    "threads": Kind.WHOLE,
    "context": Kind.WHOLE,
    "kv": Kind.TEXT,
}
"""The keys of `[serve]` beside `models` and `caches`: the options of the command."""
MODEL_KEYS = {
    "model": Kind.MODEL,
    "name": Kind.TEXT,
    "aliases": Kind.TEXTS,
    "context": Kind.WHOLE,
    "kv": Kind.TEXT,
    "sampling": Kind.TABLE,
    "chat_template_kwargs": Kind.TABLE,
}
SAMPLING_KEYS = {
    "temperature": Kind.NUMBER,
    "top_k": Kind.WHOLE,
    "top_p": Kind.NUMBER,
    "min_p": Kind.NUMBER,
    "repetition_penalty": Kind.NUMBER,
    "presence_penalty": Kind.NUMBER,
    "frequency_penalty": Kind.NUMBER,
    "seed": Kind.WHOLE,
    "max_tokens": Kind.WHOLE,
}
CACHE_SOURCES = ("system", "messages", "text")
"""What a cache is made of: instructions, a conversation as JSON, or a text that is continued."""
CACHE_KEYS = {
    "name": Kind.TEXT,
    "model": Kind.TEXT,
    **dict.fromkeys(CACHE_SOURCES, Kind.FILE),
}
_SECRETS = ("api_key", "api_keys", "key", "keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that is to be served; None: as for all others, or as by default.

    Attributes
    ----------
    model : str
        A path or a name of the catalogue.
    name : str, optional
        What it is asked by.
    aliases : tuple of str
        Further names.
    context : int, optional
        In tokens.
    kv : str, optional
        How keys and values are stored.
    defaults : Defaults
        What is added to requests that don't say it.
    """

    model: str
    name: str | None = None
    aliases: tuple[str, ...] = ()
    context: int | None = None
    kv: str | None = None
    defaults: Defaults = field(default_factory=Defaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A beginning of prompts that is to be read once and kept.

    Attributes
    ----------
    name : str
    source : str
        One of `CACHE_SOURCES`.
    path : Path
        The file of it.
    model : str, optional
        A name or an alias; by default the only model that makes text.
    """

    name: str
    source: str
    path: Path
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a file says.

    Attributes
    ----------
    path : Path
        The file.
    options : dict
        By the names in `KEYS`; paths are whole, a date is text.
    models : tuple of ModelEntry
    caches : tuple of CacheEntry
    """

    path: Path
    options: dict[str, Any]
    models: tuple[ModelEntry, ...]
    caches: tuple[CacheEntry, ...]


def read_configuration(path: Path) -> Configuration:
    """What the file at `path` says.

    Raises
    ------
    UsageError
        It can't be read, is no TOML, or has a key or a value that isn't known.
    """
    document = _document(path)
    _refuse_unknown(document, ["serve"], f"{path}: ", "a table")
    serve = document.get("serve", {})
    where = f"{path}, [serve]: "
    if not isinstance(serve, dict):
        raise UsageError(f"{path}: serve is no table", hint="Begin it with [serve].")
    _refuse_unknown(serve, [*KEYS, "models", "caches"], where, "a key")
    models, caches = _tables(serve, "models", where), _tables(serve, "caches", where)
    options = _values(serve, KEYS, where, path.parent)
    return Configuration(
        path=path,
        options=options,
        models=tuple(_entry(each, number, path) for number, each in enumerate(models, 1)),
        caches=tuple(_cache(each, number, path) for number, each in enumerate(caches, 1)),
    )


def _tables(serve: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """The tables of a list, which is taken out of `serve`."""
    tables = serve.pop(key, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"{where}{key} is no list of tables", hint=f"Begin each: [[serve.{key}]].")
    return tables


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path}: has more than {MAX_BYTES} bytes, expected a short TOML file")
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no UTF-8 and so no TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: is no TOML: {reason}") from None


def _entry(table: Mapping[str, Any], number: int, path: Path) -> ModelEntry:
    where = f"{path}, [[serve.models]] number {number}: "
    _refuse_unknown(table, MODEL_KEYS, where, "a key")
    values = _values(table, MODEL_KEYS, where, path.parent)
    if "model" not in values:
        raise UsageError(f"{where}names no model", hint='Give it: model = "model.gguf".')
    if values.get("context", 1) < 1:
        raise UsageError(f"{where}context is {values['context']}, expected at least 1")
    if values.get("kv", KV_FORMATS[0]) not in KV_FORMATS:
        raise UsageError(f"{where}kv is {values['kv']!r:.80}, expected {' or '.join(KV_FORMATS)}")
    if not values.get("name", "some"):
        raise UsageError(f"{where}name is empty")
    values["aliases"] = tuple(values.get("aliases", ()))
    defaults = _defaults(values.pop("sampling", {}), values.pop("chat_template_kwargs", {}), where)
    return ModelEntry(**values, defaults=defaults)


def _defaults(sampling: dict[str, Any], variables: dict[str, Any], where: str) -> Defaults:
    inner = f"{where}sampling: "
    _refuse_unknown(sampling, SAMPLING_KEYS, inner, "a key")
    sampling = _values(sampling, SAMPLING_KEYS, inner, Path())
    defaults = Defaults(sampling=sampling, template_kwargs=variables)
    try:
        defaults.check()
    except UsageError as error:
        raise UsageError(f"{where}{error}") from None
    return defaults


def _cache(table: Mapping[str, Any], number: int, path: Path) -> CacheEntry:
    where = f"{path}, [[serve.caches]] number {number}: "
    _refuse_unknown(table, CACHE_KEYS, where, "a key")
    values = _values(table, CACHE_KEYS, where, path.parent)
    if not values.get("name"):
        raise UsageError(f"{where}has no name", hint='Give it: name = "handbook".')
    given = [source for source in CACHE_SOURCES if source in values]
    if len(given) != 1:
        raise UsageError(
            f"{where}names {' and '.join(given) or 'no file'}, expected one of "
            f"{', '.join(CACHE_SOURCES)}"
        )
    return CacheEntry(
        name=values["name"],
        source=given[0],
        path=Path(values[given[0]]),
        model=values.get("model"),
    )


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str, what: str) -> None:
    known = list(known)
    for key in table:
        if key in known:
            continue
        if key in _SECRETS:  # and its value is nobody's to see
            hint = "Keys stand in a file of their own: api_key_file, or ABOARD_API_KEY."
        elif close := difflib.get_close_matches(key.replace("-", "_"), known, n=1):
            hint = f"Did you mean {close[0]}?"
        else:
            hint = f"Known are {', '.join(known)}."
        raise UsageError(f"{where}{key!r:.80} is not {what} that is known", hint=hint)


def _values(
    table: Mapping[str, Any], kinds: Mapping[str, Kind], where: str, folder: Path
) -> dict[str, Any]:
    values = {}
    for key, value in table.items():
        kind = kinds[key]
        if not _is(kind, value):
            raise UsageError(f"{where}{key} is {_told(value)}, expected {kind.value}")
        if kind in (Kind.FILE, Kind.MODEL) and (not value or "\0" in value):
            raise UsageError(f"{where}{key} is {value!r:.80}, expected a path")
        values[key] = _understood(kind, value, folder)
    return values


def _is(kind: Kind, value: object) -> bool:
    match kind:
        case Kind.TEXT | Kind.FILE | Kind.MODEL:
            return isinstance(value, str)
        case Kind.WHOLE:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Kind.TEXTS:
            return isinstance(value, list) and all(isinstance(each, str) for each in value)
        case Kind.TABLE:
            return isinstance(value, dict)
        case Kind.DATE:
            return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)


def _understood(kind: Kind, value: Any, folder: Path) -> Any:
    if kind is Kind.FILE or (kind is Kind.MODEL and value not in CATALOGUE):
        return str(folder / value)
    return value.isoformat() if kind is Kind.DATE else value


def _told(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
    kinds = {dict: "a table", list: "a list", datetime.datetime: "a time", datetime.date: "a date"}
    return {**names, **kinds}.get(type(value), "something else")
