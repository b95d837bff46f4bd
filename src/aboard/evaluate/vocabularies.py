"""Whether two files give a text the same ids, and where they differ if they don't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.tokenizer_metadata import EMBEDDED, SPACES, STRIPS
from aboard.engine.model import Model
from aboard.errors import UsageError

_PREFIX = "tokenizer.ggml."
_DECIDING = ("model", "pre", "tokens", "token_type", "scores", "merges", "unknown_token_id")
_SWITCHES = {
    "add_space_prefix": True,
    "remove_extra_whitespaces": False,
    "precompiled_charsmap": b"",
}
_SCORED = "llama"  # the model whose scores and switches decide ids


def require_same_vocabulary(
    model: Model, reference: Model, own: Mapping[str, object], theirs: Mapping[str, object]
) -> None:
    """Refuse to compare models of which a token, or a text's ids, mean something else.

    Parameters
    ----------
    model, reference : Model
        What is compared.
    own, theirs : mapping
        The metadata of their files.

    Raises
    ------
    UsageError
        They differ in what decides ids; the message says in what.
    """
    found = _difference(model, reference, own, theirs)
    if found is not None:
        raise UsageError(
            f"{model.path} and {reference.path} have different tokenizers: {found}",
            hint="A reference must be a file of the same model, or of one with its tokenizer.",
        )


def _difference(
    model: Model, reference: Model, own: Mapping[str, object], theirs: Mapping[str, object]
) -> str | None:
    sizes = model.config.n_vocabulary, reference.config.n_vocabulary
    if sizes[0] != sizes[1]:
        return f"a vocabulary of {sizes[0]} tokens and one of {sizes[1]}"
    if model.tokenizer.sha256 == reference.tokenizer.sha256:
        return None
    scored = own.get(f"{_PREFIX}model") == _SCORED
    for name in _DECIDING:
        if name == "scores" and not scored:
            continue
        found = _differing(name, own.get(f"{_PREFIX}{name}"), theirs.get(f"{_PREFIX}{name}"))
        if found:
            return found
    for name, default in _SWITCHES.items() if scored else ():
        values = [each.get(f"{_PREFIX}{name}", default) for each in (own, theirs)]
        if found := _differing(name, *values):
            return found
    for name in (EMBEDDED, SPACES, STRIPS):
        if found := _differing(name, own.get(name), theirs.get(name)):
            return found
    return _around(model, reference)


def _around(model: Model, reference: Model) -> str | None:
    """What the two put before a text."""
    bos = [
        each.tokenizer.bos_id if each.tokenizer.adds_bos else None for each in (model, reference)
    ]
    if bos[0] == bos[1]:
        return None
    said = ["no BOS" if each is None else f"token {each}" for each in bos]
    return f"a text begins with {said[0]} and with {said[1]}"


def _differing(name: str, own: Any, theirs: Any) -> str | None:
    if _is_array(own) and _is_array(theirs):
        if len(own) != len(theirs):
            return f"{len(own)} {name} and {len(theirs)}"
        if isinstance(own, np.ndarray) and isinstance(theirs, np.ndarray):
            differ = np.flatnonzero(own != theirs)
            at = int(differ[0]) if differ.size else None
        else:
            pairs = enumerate(zip(own, theirs, strict=True))
            at = next((i for i, (a, b) in pairs if a != b), None)
        if at is None:
            return None
        return f"{name}[{at}] is {_shown(own[at])} and {_shown(theirs[at])}"
    if type(own) is type(theirs) and not _is_array(own) and own == theirs:
        return None
    return f"{name} is {_shown(own)} and {_shown(theirs)}"


def _is_array(value: object) -> TypeGuard[npt.NDArray[Any] | Sequence[object]]:
    return isinstance(value, np.ndarray | Sequence) and not isinstance(value, str | bytes)


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return f"an array of {len(value)}" if _is_array(value) else repr(value)[:60]
