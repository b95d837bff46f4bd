"""`aboard info`: what a model file holds and what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.engine.info import Description


def info(model: options.Model, kv: options.Kv = "f16", as_json: options.Json = False) -> None:
    """Show what MODEL is and what it needs; reads the file's header alone."""
    from aboard.amounts import megabytes
    from aboard.cli.output import facts, json_result
    from aboard.engine.info import describe
    from aboard.store import resolve

    found = describe(resolve(model), kv=kv)
    if as_json:
        json_result(found)
        return
    tensors = ", ".join(f"{count} {name}" for name, count in found.tensors_by_format.items())
    tokenizer = "/".join(filter(None, (found.tokenizer, found.pretokenizer)))
    facts(
        {
            "file": found.path,
            "name": found.name or _UNKNOWN,
            "architecture": found.architecture,
            "parameters": f"{found.n_parameters:,}",
            "size": f"{megabytes(found.size_bytes)}, {found.bits_per_weight:.2f} bits per weight",
            "tensors": tensors or "none",
            "context": _amount(found.context_length, "tokens"),
            "tokenizer": f"{tokenizer or _UNKNOWN}, {_amount(found.n_vocabulary, 'tokens')}",
            "chat template": "yes" if found.has_chat_template else "no",
            "licence": found.license or _UNKNOWN,
            "memory": _memory(found),
        }
    )


_UNKNOWN = "not stated"


def _amount(value: int | None, unit: str) -> str:
    return _UNKNOWN if value is None else f"{value:,} {unit}"


def _memory(found: Description) -> str:
    from aboard.amounts import megabytes

    weights = f"{megabytes(found.weights_bytes)} weights"
    if found.kv_bytes_per_token is None or found.memory_at_full_context_bytes is None:
        return weights
    per_token = f"{megabytes(found.kv_bytes_per_token)} per token of context"
    return f"{weights}, {per_token}; {megabytes(found.memory_at_full_context_bytes)} when full"
