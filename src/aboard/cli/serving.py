"""What `aboard serve` needs before it can listen: its libraries, and its models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aboard.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from aboard.serve.keeping.kept import Kept
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


def loaded_models(
    models: Sequence[str],
    aliases: Sequence[str],
    *,
    threads: int | None,
    context: int | None,
    kv: str,
) -> list[Served]:
    """The models under their names: those of the catalogue, or of the files without `.gguf`.

    `context` and `kv` are for models that make text; an encoder takes texts as long as its makers
    say.

    Raises
    ------
    AboardError
        A model can't be found or loaded, or an alias is of none of them.
    """
    import aboard
    from aboard.serve.served import served
    from aboard.store import resolve

    paths = {model: resolve(model) for model in models}
    names = {model: path.name.removesuffix(".gguf") for model, path in paths.items()}
    by_model = _aliases(aliases, names)
    all_served = []
    for model, path in paths.items():
        own = context if context is None or _makes_text(path) else None
        loaded = aboard.load(path, threads=threads, context=own, kv=kv)
        all_served.append(served(loaded, names[model], by_model[model]))
    return all_served


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


def _makes_text(path: Path) -> bool:
    from aboard.checkpoint.gguf import open_gguf
    from aboard.errors import naming
    from aboard.models import EncoderModel, describe_model

    with open_gguf(path) as file, naming(file.path):
        config = describe_model(file.metadata, frozenset(file.tensors))
    return not isinstance(config, EncoderModel)


def _aliases(given: Sequence[str], names: dict[str, str]) -> dict[str, list[str]]:
    """Of each model, its other names."""
    by_model: dict[str, list[str]] = defaultdict(list)
    for each in given:
        alias, _, model = each.partition("=")
        of = (
            [known for known, name in names.items() if model in (known, name)]
            if model
            else list(names)
        )
        if not alias or not of:
            raise UsageError(f"--alias {each}: expected NAME or NAME=MODEL, of {', '.join(names)}")
        by_model[of[0]].append(alias)
    return by_model
