"""Attestation: the hashes of a model and of what this machine computes with it.

A fixed set of prompts is processed and continued greedily. By the numerics contract every CPU and
every number of threads gives the same bits, so two machines that print the same attestation answer
alike, and one that differs shows where.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aboard.errors import AttestationMismatch, UsageError
from aboard.models.digest import config_sha256

if TYPE_CHECKING:
    from aboard.engine.model import Model

# Short and long, prose, code, digits and letters beyond ASCII; the last is longer than one chunk
# of 64 keys. They are part of the attestation: never change them, add a new set instead.
PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "1, 1, 2, 3, 5, 8, 13,",
    "Übung macht den Meister — 練習は嘘をつかない. In English:",
    "It was a bright cold day in the harbour. Ships came and went, gulls cried over the water, and "
    "the old keeper of the lighthouse wrote in his book the name of each vessel, the hour, the "
    "wind and the weather, as his father had done before him. On this day he wrote something else. "
    "He wrote about a light far out at sea that no ship could have carried, and he wrote",
)
N_GENERATED = 16
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What a machine computes with a model; hashes are SHA-256, 64 hexadecimal digits.

    Attributes
    ----------
    weights_sha256 : str
        Names, formats, shapes and bytes of all tensors.
    config_sha256 : str or None
        All hyper-parameters; None in a file of before there was this hash.
    tokenizer_sha256, template_sha256 : str or None
        Everything that decides token ids, and the chat template; None where the file has none.
    numerics_version : int
        Names the exact arithmetic.
    kv, activations, rope : str
        How keys and values were stored, what matrices were multiplied with, and which of several
        ropes the context takes: all part of the arithmetic.
    prompts_sha256 : str
        The prompts, as text.
    tokens_sha256, logits_sha256 : str
        Token ids (int32) and all logits (float32) of all prompts and their continuations,
        little-endian.
    by_prompt : tuple of str
        `logits_sha256` of each prompt alone, to find the first difference.
    """

    weights_sha256: str
    config_sha256: str | None
    tokenizer_sha256: str
    template_sha256: str | None
    numerics_version: int
    kv: str
    activations: str
    rope: str
    prompts_sha256: str
    tokens_sha256: str
    logits_sha256: str
    by_prompt: tuple[str, ...]


def identity(model: Model) -> dict[str, Any]:
    """All that decides what `model` answers: the fields of an attestation before any computation.

    Raises
    ------
    TokenizerError
        The file has no tokenizer.
    """
    from aboard import _native

    return {
        "weights_sha256": model.weights_sha256,
        "config_sha256": config_sha256(model.config),
        "tokenizer_sha256": model.tokenizer.sha256,
        "template_sha256": model.chat_template.sha256 if model.chat_template else None,
        "numerics_version": _native.NUMERICS_VERSION,
        "kv": model.kv,
        "activations": model.activations,
        "rope": model.rope,
    }


def attest(model: Model) -> Attestation:
    """Compute the attestation of `model` on this machine.

    Raises
    ------
    TokenizerError
        The file has no tokenizer.
    ContextOverflow
        The context is too short for the prompts.
    """
    tokens, logits = hashlib.sha256(), hashlib.sha256()
    by_prompt = []
    for prompt in PROMPTS:
        own = hashlib.sha256()
        for ids, rows in _continued(model, prompt):
            tokens.update(np.asarray(ids, "<i4").tobytes())
            data = np.asarray(rows, "<f4").tobytes()
            logits.update(data)
            own.update(data)
        by_prompt.append(own.hexdigest())
    return Attestation(
        **identity(model),
        prompts_sha256=_texts_sha256(PROMPTS),
        tokens_sha256=tokens.hexdigest(),
        logits_sha256=logits.hexdigest(),
        by_prompt=tuple(by_prompt),
    )


def check(model: Model, path: Path) -> Attestation:
    """Compute the attestation of `model` and compare it with the one in the file `path`.

    The file is what `aboard attest --json` printed elsewhere.

    Raises
    ------
    AttestationMismatch
        They differ; the message names the first difference.
    UsageError
        The file can't be read or holds no attestation.
    """
    expected = _read(path)
    found = asdict(attest(model))
    for name in (field.name for field in fields(Attestation)):
        old = name == "config_sha256" and expected[name] is None
        if name == "by_prompt" or old or expected[name] == found[name]:
            continue
        where = _first_difference(expected, found) if name == "logits_sha256" else ""
        raise AttestationMismatch(
            f"{name} is {found[name]} here, {expected[name]} in {path}{where}",
            hint=_HINTS.get(name, "The model file is another one."),
        )
    return Attestation(**found)


_HINTS = {
    "kv": "Compare with the same --kv.",
    "activations": "Compare with the same activations.",
    "rope": "Compare with the same context.",
    "numerics_version": "Compare with the same version of Aboard.",
    "prompts_sha256": "Compare with the same version of Aboard.",
    "tokens_sha256": "This CPU computes something else: report it, with both files.",
    "logits_sha256": "This CPU computes something else: report it, with both files.",
}


def _continued(model: Model, prompt: str) -> Iterable[tuple[list[int], Any]]:
    """The prompt's ids and logits, then each generated id and its logits."""
    ids = model.tokenizer.encode(prompt)
    with model.session() as session:
        rows = session.logits(ids)
        yield ids, rows
        for _ in range(N_GENERATED):
            token = int(np.argmax(rows[-1]))
            rows = session.decode(token)[None]
            yield [token], rows


def _texts_sha256(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(struct.pack("<Q", len(data)) + data)
    return digest.hexdigest()


def _first_difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    pairs = zip(expected["by_prompt"], found["by_prompt"], strict=False)
    for number, (there, here) in enumerate(pairs, start=1):
        if there != here:
            return f"; prompt {number} is the first that differs"
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MAX_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        old = {"kv": "f16", "activations": "int8", "rope": "plain", "config_sha256": None}
        data = {**old, **data}
    names = {field.name for field in fields(Attestation)}
    if (
        not isinstance(data, dict)
        or not names <= set(data)
        or not isinstance(data["by_prompt"], list)
    ):
        raise UsageError(
            f"{path}: is no attestation, expected a JSON object with {', '.join(sorted(names))}",
            hint="Make one with `aboard attest MODEL --json > FILE`.",
        )
    return data
