"""What `aboard serve` needs before it can listen: its libraries, its keys, and its models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.serve.caches import Beginning
    from aboard.serve.configuration import CacheEntry, ModelEntry
    from aboard.serve.keeping.kept import Kept
    from aboard.serve.limits import Limits
    from aboard.serve.listening import Tls
    from aboard.serve.served import Served

_NEEDED = ("starlette", "uvicorn", "pydantic", "prometheus_client", "python_multipart")


def require_serve() -> None:
    """Refuse to go on without the libraries of the extra `serve`.

    Raises
    ------
    UsageError
        One is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)}: not installed, and `aboard serve` needs them",
            hint="Install the extra: pip install 'aboard[serve]'.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A server that is asked for, of which all but the models' weights was looked at.

    Attributes
    ----------
    entries : tuple of ModelEntry
        With names, contexts and formats of keys and values.
    host, port
        Where it listens.
    keys : tuple of str
        Who may ask; empty: everybody.
    hosts, origins : tuple of str
        Names that it is reached by, and sites whose pages may ask.
    public_origins : tuple of str
        Where proxies show it.
    tls : Tls, optional
        What it proves itself with.
    caches : tuple of CacheEntry
        Whose files were read: `beginnings`.
    """

    entries: tuple[ModelEntry, ...]
    host: str
    port: int
    keys: tuple[str, ...]
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    public_origins: tuple[str, ...]
    tls: Tls | None
    caches: tuple[CacheEntry, ...]
    beginnings: tuple[Beginning, ...]

    def load(self, *, threads: int | None) -> list[Served]:
        """The models under their names.

        Raises
        ------
        AboardError
            A model can't be found or loaded.
        """
        import aboard
        from aboard.serve.served import served
        from aboard.store import resolve

        loaded = []
        for each in self.entries:
            path = resolve(each.model)
            model = aboard.load(path, threads=threads, context=each.context, kv=each.kv or "f16")
            loaded.append(served(model, each.name, each.aliases, each.defaults))
        return loaded


def asked_for(
    entries: Sequence[ModelEntry],
    *,
    host: str,
    port: int,
    key_file: Path | None,
    allowed_hosts: Sequence[str],
    origins: Sequence[str],
    public_origins: Sequence[str],
    certificate: Path | None,
    certificate_key: Path | None,
    caches: Sequence[CacheEntry],
) -> Asked:
    """What the options ask for.

    Raises
    ------
    UsageError
        Other machines could ask without a key, a file isn't what it should be, two models or two
        caches have one name, a cache is of no model, or a host or an origin is none.
    """
    from aboard.serve.caches import require_places
    from aboard.serve.guard import checked_hosts, checked_origins, host_of
    from aboard.serve.keys import read_keys
    from aboard.serve.listening import Tls, is_loopback, own_names
    from aboard.serve.served import require_different

    keys = read_keys(key_file)
    if not keys and not is_loopback(host):
        raise UsageError(
            f"on {host} other machines could ask, and there is no key",
            hint="Give keys with --api-key-file, or listen on 127.0.0.1.",
        )
    public_origins = checked_origins(public_origins)
    for each in public_origins:
        if not keys and not is_loopback(host_of(each)):
            raise UsageError(
                f"at {each} other machines could ask, and there is no key",
                hint="Give keys with --api-key-file. A proxy that knows who asks may add one.",
            )
    if (certificate is None) != (certificate_key is None):
        raise UsageError("--tls-cert and --tls-key need each other")
    names = [name for each in entries for name in (each.name or "", *each.aliases)]
    require_different(names)
    beginnings = [_beginning(each) for each in caches]
    require_places(beginnings, names)
    tls = None
    if certificate is not None and certificate_key is not None:
        tls = Tls(certificate=certificate, key=certificate_key)
        tls.check()
    return Asked(
        entries=tuple(entries),
        host=host,
        port=port,
        keys=tuple(keys),
        hosts=tuple(checked_hosts([*allowed_hosts, *own_names(host)])),
        origins=tuple(checked_origins(origins)),
        public_origins=tuple(public_origins),
        tls=tls,
        caches=tuple(caches),
        beginnings=tuple(beginnings),
    )


def _beginning(entry: CacheEntry) -> Beginning:
    """What the file of a cache says."""
    from aboard.cli.prompt import read_file
    from aboard.serve.caches import Beginning, messages_in

    text = read_file(entry.path)
    where = f"cache {entry.name!r:.80}: {entry.path}"
    if not text.strip():
        raise UsageError(f"{where} is empty")
    if entry.source == "text":
        return Beginning(name=entry.name, model=entry.model, text=text)
    if entry.source == "system":
        messages = [{"role": "system", "content": text}]
    else:
        try:
            messages = messages_in(text)
        except UsageError as error:
            raise UsageError(f"{where}: {error}", hint=error.hint) from None
    return Beginning(name=entry.name, model=entry.model, messages=messages)


def told(url: str, served: Sequence[Served]) -> dict[str, object]:
    """What `--json` says of a server that listens."""
    models = [
        {"id": each.name, "aliases": each.aliases, "system_fingerprint": each.fingerprint}
        for each in served
    ]
    return {"url": url, "models": models}


def checked(
    asked: Asked,
    limits: Limits,
    sources: Mapping[str, str],
    file: Path | None,
    data: Path | None,
    data_size: str,
    cache_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print what would be served; of keys, how many there are.

    Raises
    ------
    AboardError
        A model can't be found, its file's header isn't sound, `data_size` is no size, or a folder
        can't be used.
    """
    from aboard.cli.output import facts, json_result
    from aboard.planning import parse_size

    _require_possible(data, os.W_OK)
    _require_possible(cache_dir, os.R_OK)
    models = [_model(each) for each in asked.entries]
    caches = [_cache(each) for each in asked.caches]
    told = {
        "file": None if file is None else str(file),
        "host": asked.host,
        "port": asked.port,
        "https": asked.tls is not None,
        "n_keys": len(asked.keys),
        "hosts": asked.hosts,
        "origins": asked.origins,
        "public_origins": asked.public_origins,
        "max_sequences": limits.max_sequences,
        "max_waiting": limits.max_waiting,
        "timeout_s": limits.answer_timeout_s,
        "drain_s": limits.drain_s,
        "data": None if data is None else str(data),
        "data_bytes": parse_size(data_size),
        "cache_dir": None if cache_dir is None else str(cache_dir),
        "caches": caches,
        "models": models,
        "sources": {name: source for name, source in sources.items() if source != "default"},
    }
    if as_json:
        json_result(told)
        return
    tables = ("models", "caches", "sources")
    lines = {name: _line(value) for name, value in told.items() if name not in tables}
    lines |= {f"model {each['id']}": _line_of(each, "id") for each in models}
    lines |= {f"cache {each['name']}": _line_of(each, "name") for each in caches}
    for name, source in sources.items():
        if source != "default":
            lines[f"from {name}"] = source
    facts(lines)


def _require_possible(folder: Path | None, use: int) -> None:
    """Refuse what can't be used as a folder, or be made one; nothing is made."""
    if folder is None:
        return
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if not there.is_dir() or not os.access(there, os.X_OK | (use if there == folder else os.W_OK)):
        raise UsageError(f"{folder}: can't be used as a folder, as {there} is now")


def _model(entry: ModelEntry) -> dict[str, object]:
    from aboard.engine.info import describe
    from aboard.store import resolve

    path, kv = resolve(entry.model), entry.kv or "f16"
    described = describe(path, kv=kv)
    return {
        "id": entry.name,
        "aliases": entry.aliases,
        "file": str(path),
        "architecture": described.architecture,
        "context": entry.context or described.context_length,
        "kv": kv,
        "weights_bytes": described.weights_bytes,
        "sampling": dict(entry.defaults.sampling),
        "chat_template_kwargs": dict(entry.defaults.template_kwargs),
    }


def _cache(entry: CacheEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "model": entry.model,
        "source": entry.source,
        "file": str(entry.path),
    }


def _line_of(facts: Mapping[str, object], but: str) -> str:
    return "; ".join(f"{name} {_line(value)}" for name, value in facts.items() if name != but)


def _line(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(each)}" for name, each in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def kept_in(folder: Path, size: str) -> Kept:
    """The folder where a server keeps files and batches, of at most `size`, such as "500MB".

    Raises
    ------
    UsageError
        It can't be used, another server has it, or the size is none.
    """
    from aboard.planning import parse_size
    from aboard.serve.keeping.kept import Kept
    from aboard.serve.keeping.quotas import Quotas

    return Kept(folder, Quotas(max_bytes=parse_size(size)))
