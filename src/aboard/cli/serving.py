"""What `aboard serve` needs before it can listen: its libraries, and its models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel

_NEEDED = ("starlette", "uvicorn", "pydantic", "prometheus_client")


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
) -> list[ServedModel]:
    """The models under their names: those of the catalogue, or of the files without `.gguf`.

    Raises
    ------
    AboardError
        A model can't be found or loaded, is an encoder, or an alias is of none of them.
    """
    import aboard
    from aboard.engine import EmbeddingModel
    from aboard.serve.served import ServedModel
    from aboard.store import resolve

    paths = {model: resolve(model) for model in models}
    names = {model: path.name.removesuffix(".gguf") for model, path in paths.items()}
    by_model = _aliases(aliases, names)
    served = []
    for model, path in paths.items():
        loaded = aboard.load(path, threads=threads, context=context, kv=kv)
        if isinstance(loaded, EmbeddingModel):
            raise UsageError(f"{model}: an encoder, expected a model that answers")
        served.append(ServedModel(loaded, names[model], by_model[model]))
    return served


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
