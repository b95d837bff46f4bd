"""A session in a file: tokens, keys and values, tied to the weights and the numerics version.

    magic "ABOARDKV", length of the header u32, header (JSON), chunks of 64 tokens,
    the state of delta nets, SHA-256

The last 32 bytes are the hash of all before. Little-endian.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aboard.errors import ContextOverflow, NotEnoughMemory, SessionMismatch, UsageError
from aboard.models.digest import config_sha256
from aboard.publishing import written_beside

if TYPE_CHECKING:
    import numpy.typing as npt

    from aboard.engine.session import Session

_MAGIC = b"ABOARDKV"
_LENGTH = struct.Struct("<I")
_MAX_HEADER_BYTES = 1 << 28
# What files of before there was a choice don't say.
_WITHOUT_A_CHOICE = {"kv": "f16", "activations": "int8", "rope": "plain"}
_ANEW = "Name another file, or make it anew: `aboard state`, or `save` of a session."


def save_session(
    session: Session, path: Path, label: str | None = None, *, mode: int = 0o666
) -> None:
    """Write `session` to `path`: beside it first, then renamed.

    `label` is written into it, for `restore_session` to ask for. `mode`: as for `os.open`.

    Raises
    ------
    UsageError
        The file can't be written.
    """
    from aboard import _native

    cache = session.cache
    header = json.dumps(
        {
            "numerics_version": _native.NUMERICS_VERSION,
            "weights_sha256": session.model.weights_sha256,
            "config_sha256": config_sha256(session.model.config),
            "kv": cache.format,
            "activations": session.model.activations,
            "rope": session.model.rope,
            "chunk_bytes": cache.chunk_bytes,
            "tokens": list(session.tokens),
            **({} if label is None else {"label": label}),
        }
    ).encode()
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be replaced by a file
            raise UsageError(f"{str(path)!r}: is no regular file", hint="Name a new file.")
        with written_beside(path, mode=mode) as file:
            hashed = _HashedWriter(file)
            hashed.write(_MAGIC + _LENGTH.pack(len(header)) + header)
            for chunk in range(_n_chunks(cache.size)):
                hashed.write(cache.export_chunk(chunk).tobytes())
            if cache.state_bytes and cache.size:
                hashed.write(cache.export_state().tobytes())
            file.write(hashed.digest.digest())
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def restore_session(session: Session, path: Path, label: str | None = None) -> None:
    """Read what `save_session` wrote into `session`; with a `label`, only what has the same.

    Raises
    ------
    SessionMismatch
        The file is damaged, belongs to other weights or another numerics version, or has another
        label.
    ContextOverflow
        It holds more tokens than the session's context.
    NotEnoughMemory
        The system grants no memory for its keys and values; the session is empty then.
    UsageError
        The file can't be read.
    """
    try:
        with path.open("rb") as file:
            _check_hash(file, path)
            file.seek(0)
            _read(session, file, path, label)
    except MemoryError:
        raise NotEnoughMemory(
            f"{path}: the system grants too little memory for the state in it", hint="Free memory."
        ) from None
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def resume_session(
    session: Session, path: str | Path, prompt: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """What `Session.resume` does, its tokens checked."""
    session.restore(path)
    require_prefix(session, prompt.tolist(), path)
    session.rewind(min(session.n_tokens, prompt.size - 1))
    return prompt[session.n_tokens :]


class _HashedWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self._file.write(data)


def _check_hash(file: BinaryIO, path: Path) -> None:
    left = os.fstat(file.fileno()).st_size - 32
    if left < len(_MAGIC) + _LENGTH.size or file.read(len(_MAGIC)) != _MAGIC:
        raise SessionMismatch(f"{path}: is no saved session", hint=_ANEW)
    digest = hashlib.sha256(_MAGIC)
    left -= len(_MAGIC)
    while left:
        data = file.read(min(left, 1 << 20))
        if not data:
            raise _damaged(path)
        digest.update(data)
        left -= len(data)
    if file.read(32) != digest.digest():
        raise _damaged(path)


def require_prefix(session: Session, prompt: Sequence[int], path: str | Path) -> None:
    """Refuse `prompt` where it doesn't begin with the tokens that `session` took from `path`.

    Raises
    ------
    SessionMismatch
        It begins with others; the session is emptied.
    """
    held = session.tokens
    pairs = zip(held, prompt, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if same < len(held):
        session.reset()
        found = "ends" if same == len(prompt) else "differs"
        raise SessionMismatch(
            f"{path}: holds the state of {len(held)} tokens, but the prompt {found} after {same} "
            "of them",
            hint="It belongs to another prompt, or to that of another day: give the text and the "
            "date it was made of, or make it anew.",
        )


def _read(session: Session, file: BinaryIO, path: Path, label: str | None) -> None:
    from aboard import _native

    cache = session.cache
    config = config_sha256(session.model.config)
    header = {**_WITHOUT_A_CHOICE, "config_sha256": config, **_header(file, path)}
    for name, want in (
        ("numerics_version", _native.NUMERICS_VERSION),
        ("weights_sha256", session.model.weights_sha256),
        ("config_sha256", config),
        ("kv", cache.format),
        ("activations", session.model.activations),
        ("rope", session.model.rope),
        ("chunk_bytes", cache.chunk_bytes),
        ("label", header.get("label") if label is None else label),
    ):
        if header.get(name) != want:
            raise SessionMismatch(
                f"{path}: {name} is {str(header.get(name))[:80]}, this model's is {want}",
                hint="Process the prompt again and save it with this model.",
            )
    tokens = _tokens(session, header, path)
    left = os.fstat(file.fileno()).st_size - 32 - file.tell()
    state_bytes = cache.state_bytes if tokens else 0
    if left != _n_chunks(len(tokens)) * cache.chunk_bytes + state_bytes:
        raise SessionMismatch(
            f"{path}: has {left} bytes of keys and values for {len(tokens)} tokens"
        )
    session.reset()
    for chunk in range(_n_chunks(len(tokens))):
        data = np.frombuffer(file.read(cache.chunk_bytes), np.uint8)
        cache.import_chunk(data, min(_native.KEY_CHUNK, len(tokens) - chunk * _native.KEY_CHUNK))
    if state_bytes:
        cache.import_state(np.frombuffer(file.read(state_bytes), np.uint8))
    session.adopt(tokens)


def _header(file: BinaryIO, path: Path) -> dict[str, Any]:
    """What stands before the chunks; the file is left where they begin."""
    (length,) = _LENGTH.unpack(file.read(len(_MAGIC) + _LENGTH.size)[len(_MAGIC) :])
    left = os.fstat(file.fileno()).st_size - 32 - file.tell()
    header = None
    if length <= min(left, _MAX_HEADER_BYTES):
        with suppress(ValueError, RecursionError):
            header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise SessionMismatch(f"{path}: has no header, expected a JSON object")
    return header


def _tokens(session: Session, header: Mapping[str, Any], path: Path) -> list[int]:
    """The tokens that the header states, in the vocabulary and within the context."""
    tokens = header.get("tokens")
    if not isinstance(tokens, list):
        raise SessionMismatch(f"{path}: has no list of tokens")
    if len(tokens) > session.cache.capacity:
        raise ContextOverflow(
            f"{path}: holds {len(tokens)} tokens, the context {session.cache.capacity}",
            hint="Load the model with a longer context.",
        )
    try:
        checked: list[int] = session.model.checked_tokens(tokens).tolist()
    except UsageError as error:
        raise SessionMismatch(f"{path}: {error}") from None
    return checked


def _n_chunks(n_tokens: int) -> int:
    from aboard import _native

    return -(-n_tokens // _native.KEY_CHUNK)


def _damaged(path: Path) -> SessionMismatch:
    return SessionMismatch(
        f"{path}: is damaged, its bytes don't have the hash at its end", hint=_ANEW
    )


def _unusable(path: Path, error: OSError | ValueError) -> UsageError:
    return UsageError(f"{str(path)!r}: {getattr(error, 'strerror', None) or error}")
