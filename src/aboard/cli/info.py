"""`aboard info`: what a model file holds and what it needs."""

from __future__ import annotations

from aboard.cli import options


def info(model: options.Model, as_json: options.Json = False) -> None:
    """Show what MODEL is and what it needs; reads the file's header alone."""
    from aboard.cli.output import facts, json_result, megabytes
    from aboard.engine.info import describe
    from aboard.store import resolve

    found = describe(resolve(model))
    if as_json:
        json_result(found)
        return
    tensors = ", ".join(f"{count} {name}" for name, count in found.tensors_by_format.items())
    facts(
        {
            "file": str(found.path),
            "name": found.name or "-",
            "architecture": found.architecture,
            "parameters": f"{found.n_parameters:,}",
            "size": f"{megabytes(found.size_bytes)}, {found.bits_per_weight:.2f} bits per weight",
            "tensors": tensors,
            "context": f"{found.context_length:,} tokens",
            "tokenizer": f"{found.tokenizer}, {found.n_vocabulary:,} tokens",
            "chat template": "yes" if found.has_chat_template else "no",
            "licence": found.license or "not stated in the file",
            "memory": (
                f"{megabytes(found.weights_bytes)} weights + {megabytes(found.kv_bytes_per_token)}"
                f" per token = {megabytes(found.memory_at_full_context_bytes)} at full context"
            ),
        }
    )
