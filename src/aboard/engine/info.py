"""What a model file holds and what it needs, read from its header alone."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

from aboard import formats
from aboard.checkpoint.gguf import TensorInfo, open_gguf
from aboard.engine.arguments import KV_FORMATS, checked_choice
from aboard.engine.footprint import head_bytes
from aboard.errors import MalformedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A model file at a glance. None stands for what the file does not say."""

    path: str
    architecture: str
    name: str | None
    license: str | None
    n_parameters: int
    size_bytes: int
    bits_per_weight: float  # of the whole file, header included
    tensors_by_format: dict[str, int]
    context_length: int | None
    tokenizer: str | None
    pretokenizer: str | None
    n_vocabulary: int | None
    has_chat_template: bool
    weights_bytes: int  # in memory, packed
    kv_bytes_per_token: int | None
    memory_at_full_context_bytes: int | None  # weights and KV cache


def describe(path: str | Path, *, kv: str = "f16") -> Description:
    """What the GGUF file at `path` is and what it needs to run.

    Reads the header; the weights are not touched, and the architecture need not be one that
    Aboard can run.

    `kv`: how keys and values are to be stored, as for `aboard.load`; it decides their size.

    Raises
    ------
    CheckpointError
        The file is not a sound GGUF file.
    UsageError
        `kv` is unknown.
    """
    kv = checked_choice("kv", kv, KV_FORMATS)
    path = Path(path)
    file = open_gguf(path)
    facts = _Facts(path, file.metadata)
    architecture = facts.text("general.architecture")
    if architecture is None:
        raise MalformedFile(f"{path}: has no general.architecture")
    tensors = file.tensors.values()
    n_parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    weights_bytes = sum(_memory_bytes(tensor) for tensor in tensors)
    size_bytes = file.size_bytes
    context_length = facts.integer(f"{architecture}.context_length")
    kv_bytes = _kv_bytes_per_token(facts, architecture, kv)
    known = context_length is not None and kv_bytes is not None
    return Description(
        path=str(path),
        architecture=architecture,
        name=facts.text("general.name"),
        license=facts.text("general.license"),
        n_parameters=n_parameters,
        size_bytes=size_bytes,
        bits_per_weight=8 * size_bytes / n_parameters if n_parameters else 0.0,
        tensors_by_format=dict(Counter(str(tensor.format) for tensor in tensors).most_common()),
        context_length=context_length,
        tokenizer=facts.text("tokenizer.ggml.model"),
        pretokenizer=facts.text("tokenizer.ggml.pre"),
        n_vocabulary=facts.length("tokenizer.ggml.tokens"),
        has_chat_template=facts.text("tokenizer.chat_template") is not None,
        weights_bytes=weights_bytes,
        kv_bytes_per_token=kv_bytes,
        memory_at_full_context_bytes=(
            weights_bytes + (kv_bytes or 0) * (context_length or 0) if known else None
        ),
    )


class _Facts:
    """Metadata values of the type they must have."""

    def __init__(self, path: Path, metadata: Mapping[str, object]) -> None:
        self.path = path
        self._metadata = metadata

    def text(self, key: str) -> str | None:
        value = self._metadata.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def integer(self, key: str) -> int | None:
        value = self._metadata.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self._wrong(key, value, "an integer")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._metadata.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def integers(self, key: str, count: int) -> list[int] | None:
        """One integer per layer, whether the file gives one for all or a list."""
        value = self._metadata.get(key)
        if value is None or isinstance(value, int):
            single = self.integer(key)
            return None if single is None else [single] * count
        expected = f"an integer or a list of {count}"
        if self.length(key) != count or not isinstance(value, Iterable):
            raise self._wrong(key, value, expected)
        found: list[int] = []
        for each in value:
            if isinstance(each, bool) or not isinstance(each, SupportsIndex):
                raise self._wrong(key, value, expected)
            found.append(operator.index(each))
        return found

    def flags(self, key: str, count: int) -> list[bool]:
        """One flag per layer; none set where the file doesn't say."""
        value = self._metadata.get(key)
        if value is None:
            return [False] * count
        if self.length(key) != count or not isinstance(value, Iterable):
            raise self._wrong(key, value, f"a list of {count}")
        return [bool(each) for each in value]

    def length(self, key: str) -> int | None:
        value = self._metadata.get(key)
        if value is None:
            return None
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise self._wrong(key, value, "a list")
        return len(value)

    def _wrong(self, key: str, value: object, expected: str) -> MalformedFile:
        return MalformedFile(f"{self.path}: {key} is {str(value)[:40]!r}, expected {expected}")


def _kv_bytes_per_token(facts: _Facts, architecture: str, kv: str) -> int | None:
    layers = facts.integer(f"{architecture}.block_count")
    width = facts.integer(f"{architecture}.embedding_length")
    if facts.flag(f"{architecture}.attention.causal") is False:
        return None  # an encoder keeps none
    if layers is None or width is None or not 0 < layers <= 10_000:
        return None
    heads = facts.integers(f"{architecture}.attention.head_count", layers)
    kv_heads = facts.integers(f"{architecture}.attention.head_count_kv", layers) or heads
    if heads is None or kv_heads is None:
        return None
    period = facts.integer(f"{architecture}.full_attention_interval")
    if period is not None and period > 0:  # the others have a state instead, whatever the tokens
        kv_heads = [n if i % period == period - 1 else 0 for i, n in enumerate(kv_heads)]
    if heads[0] <= 0:
        raise MalformedFile(f"{facts.path}: {architecture}.attention.head_count is {heads[0]}")
    conv = _conv_bytes_per_token(facts, architecture, kv_heads.count(0), width)
    shared = facts.integer(f"{architecture}.attention.shared_kv_layers") or 0
    if shared > 0:  # the last layers read what others keep
        kv_heads = [n if i < layers - shared else 0 for i, n in enumerate(kv_heads)]
    sizes = _head_sizes(facts, architecture, layers, width // heads[0])
    held = (n * sum(head_bytes(*size, kv)) for n, size in zip(kv_heads, sizes, strict=True))
    return conv + sum(held)


def _head_sizes(
    facts: _Facts, architecture: str, layers: int, default: int
) -> list[tuple[int, int]]:
    """Of keys and values, layer by layer: layers with a window may have others."""

    def size(suffix: str, default: tuple[int, int]) -> tuple[int, int]:
        names = (f"{architecture}.attention.{kind}_length{suffix}" for kind in ("key", "value"))
        key, value = (
            facts.integer(name) or each for name, each in zip(names, default, strict=True)
        )
        return key, value

    far = size("", (default, default))
    near = size("_swa", far)
    if near == far:
        return [far] * layers
    windows = facts.flags(f"{architecture}.attention.sliding_window_pattern", layers)
    return [near if each else far for each in windows]


def _conv_bytes_per_token(facts: _Facts, architecture: str, layers: int, width: int) -> int:
    """Of what convolutions look back on, which is kept at the end of each chunk of tokens."""
    from aboard import _native

    taps = facts.integer(f"{architecture}.shortconv.l_cache")
    if taps is None:
        return 0
    return -(-layers * (taps - 1) * width * 4 // _native.KEY_CHUNK)


def _memory_bytes(tensor: TensorInfo) -> int:
    """Bytes of a tensor once loaded: matrices are packed for the kernels."""
    if len(tensor.shape) != 2 or tensor.format not in formats.NAMES:
        return tensor.size_bytes
    return formats.packed_bytes(tensor.format, *tensor.shape)
