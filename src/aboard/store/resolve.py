"""What a command's MODEL means: a file, or a model of the catalogue that lies in the store."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from aboard.errors import StoreError
from aboard.store.folder import State, Store, default_store


def resolve(model: str, store: Store | None = None) -> Path:
    """The file that `model` names. Downloads nothing.

    A name of the catalogue comes first; a file of the same name is reached as ``./name``.

    Parameters
    ----------
    model : str
        A name of the catalogue, or the path of a GGUF file.
    store : Store, optional
        The user's own by default.

    Raises
    ------
    StoreError
        Neither; or a name that was not pulled, or whose file was altered since.
    """
    path = resolve_checkpoint(model, store)
    if path.is_dir():
        store = store or default_store()
        hint = _which(model, store)
        if (path / "config.json").exists():
            hint = f"Make one of it: `aboard import {model} -o model.gguf`."
        raise StoreError(f"{model}: a folder, expected a GGUF file", hint=hint)
    return path


def resolve_checkpoint(model: str, store: Store | None = None) -> Path:
    """The file or folder that `model` names, as `resolve`, but a folder may be a checkpoint.

    Raises
    ------
    StoreError
        As for `resolve`.
    """
    store = store or default_store()
    if model in store.catalogue:
        return _pulled(model, store)
    path = Path(model)
    if path.exists():
        return path
    looks_like_path = model.endswith(".gguf") or os.sep in model
    what = "no such file" if looks_like_path else "no such file, and no model of the catalogue"
    raise StoreError(f"{model}: {what}", hint=_which(model, store))


def _pulled(name: str, store: Store) -> Path:
    entry = store.catalogue[name]
    match store.state(entry):
        case State.PULLED:
            return store.path(entry)
        case State.ALTERED:
            found = "is not the file that was pulled: its size or its SHA-256 differs"
        case State.ABSENT:
            found = f"is missing: {name} was not pulled yet"
    raise StoreError(f"{store.path(entry)} {found}", hint=f"Run `aboard pull {name}`.")


def _which(model: str, store: Store) -> str:
    names = sorted(store.catalogue)
    if close := difflib.get_close_matches(model, names, n=1):
        return f"Did you mean {close[0]}? `aboard models` lists the names."
    return f"Give the path of a GGUF file, or one of: {', '.join(names)}."
