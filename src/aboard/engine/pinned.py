"""Beginnings of prompts that a model keeps, and the folder where their states lie between starts.

A state's name is the hash of all that decides its bytes: the weights, the hyper-parameters, the
numerics version, the formats and the tokens. What the file holds is checked against it; a file that
isn't sound is computed anew and replaced. Several processes may use one folder: a state is written
beside its place and renamed, and all of them write the same bytes there.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aboard.engine.arguments import require_room
from aboard.engine.snapshot import restore_session, save_session
from aboard.errors import AboardError, NotEnoughMemory, UsageError
from aboard.models.digest import config_sha256

if TYPE_CHECKING:
    from aboard.engine.model import Model
    from aboard.engine.session import Session

_HEADER_BYTES = 4096  # of a file, beside its tokens
_TOKEN_BYTES = 16  # of a token in the header


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A beginning that the prefix cache of a model keeps.

    Attributes
    ----------
    n_tokens : int
        Of the beginning's tokens, those that no prompt has to compute again.
    size_bytes : int
        Memory of their keys and values, without what other beginnings have already.
    source : "file" or "computed"
        Where they came from.
    path : Path or None
        Their state in the folder; None where there is no folder.
    unsound : str or None
        Why a file that was there is not used.
    unwritten : str or None
        Why the state could not be written; the beginning is kept in memory all the same.
    """

    n_tokens: int
    size_bytes: int
    source: Literal["file", "computed"]
    path: Path | None = None
    unsound: str | None = None
    unwritten: str | None = None


def pin_beginning(model: Model, tokens: Sequence[int], folder: Path | None = None) -> Pinned:
    """Keep `tokens`, the beginning of prompts to come, in the prefix cache of `model` for good.

    Their state comes from `folder` if it lies there; else it is computed, and written there.

    Raises
    ------
    ContextOverflow
        They don't fit the context.
    NotEnoughMemory
        The system grants no memory for their keys and values.
    UsageError
        The model can keep nothing of them, or one is not in the vocabulary.
    """
    beginning = model.checked_tokens(tokens).tolist()
    require_room(len(beginning), model.context_length)
    with model.session() as session:
        whole = _whole_chunks(session, beginning)
        path = None if folder is None else folder / f"{_address(model, whole)}.state"
        unsound = unwritten = None
        if path is not None:
            unsound = _why_not_restored(session, whole, path)
        restored = session.n_tokens > 0
        if not restored:
            session.prefill(whole)
        size_bytes = model.prefix_cache.pin(session.cache, session.tokens)
        if path is not None and not restored:
            try:
                save_session(session, path, path.stem, mode=0o600)  # its tokens are readable
            except UsageError as error:
                unwritten = str(error)
    return Pinned(
        n_tokens=min(len(whole), len(beginning)),
        size_bytes=size_bytes,
        source="file" if restored else "computed",
        path=path,
        unsound=unsound,
        unwritten=unwritten,
    )


def _whole_chunks(session: Session, tokens: list[int]) -> list[int]:
    """`tokens` filled up to whole chunks, for only such are kept; prompts take what is theirs.

    Where chunks are taken over whole or not at all, or the context ends before, the last is left
    out instead.
    """
    from aboard import _native

    if not session.cache.shares:
        raise UsageError("the model has delta nets, of which no beginnings can be kept")
    n_more = -len(tokens) % _native.KEY_CHUNK
    if session.cache.whole_chunks or len(tokens) + n_more > session.capacity:
        whole = tokens[: len(tokens) // _native.KEY_CHUNK * _native.KEY_CHUNK]
    else:
        whole = tokens + tokens[-1:] * n_more
    if not whole:
        raise UsageError(
            f"{len(tokens)} tokens are too few to be kept, expected {_native.KEY_CHUNK}",
            hint="Take a longer text.",
        )
    return whole


def _address(model: Model, tokens: list[int]) -> str:
    """64 hexadecimal digits: the SHA-256 of all that decides the state after `tokens`."""
    from aboard import _native

    facts = {
        "weights_sha256": model.weights_sha256,
        "config_sha256": config_sha256(model.config),
        "numerics_version": _native.NUMERICS_VERSION,
        "kv": model.kv,
        "activations": model.activations,
        "rope": model.rope,
        "tokens": tokens,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _why_not_restored(session: Session, tokens: list[int], path: Path) -> str | None:
    """Why the state at `path` was not taken over; None where it was, or where there is none."""
    from aboard import _native

    most = _HEADER_BYTES + _TOKEN_BYTES * len(tokens)
    most += len(tokens) // _native.KEY_CHUNK * session.cache.chunk_bytes
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: can't be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        return f"{path}: is no regular file of at most {most} bytes"
    reason = None
    try:
        restore_session(session, path, path.stem)
        if list(session.tokens) != tokens:
            reason = f"{path}: holds the state of other tokens"
    except NotEnoughMemory:
        raise
    except AboardError as error:
        reason = str(error)
    if reason is not None:
        session.reset()
    return reason
