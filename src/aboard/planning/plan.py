"""A plan: what a model takes and how fast it is at each precision, and which one to take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from aboard.artifact.importing import Survey, survey
from aboard.engine.arguments import KV_FORMATS, checked_integer
from aboard.engine.device import MAX_THREADS
from aboard.engine.footprint import Footprint, footprint
from aboard.engine.prefix import PREFIX_CACHE_BYTES
from aboard.errors import ContextOverflow, UsageError
from aboard.models import DecoderModel
from aboard.models.weight_bytes import weight_bytes
from aboard.planning.choice import Candidate, recommend
from aboard.planning.device import Device
from aboard.planning.ladder import Variant, variants
from aboard.planning.speed import predict

USUAL_CONTEXT = 4096
USUAL_PROMPT = 512
_MOST_USERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `plan` finds.

    Attributes
    ----------
    path, architecture : str
        The checkpoint and its kind.
    n_parameters : int
        Weights, vectors included.
    context, users, prompt : int
        For how many tokens each user's context is planned, how many users there are at once, and
        how long a prompt is.
    longest_context : int
        What the model takes.
    prefix_cache_bytes : int
        What beginnings of prompts may take beyond the peak, unless it is limited.
    device : Device
        On which it is to run.
    candidates : tuple of Candidate
        The checkpoint's own types first, then by precision.
    recommended : Candidate or None
        Which to take; None where nothing fits.
    reason : str
        Why.
    notes : tuple of str
        What else there is to know.
    """

    path: str
    architecture: str
    n_parameters: int
    context: int
    users: int
    prompt: int
    longest_context: int
    prefix_cache_bytes: int
    device: Device
    candidates: tuple[Candidate, ...]
    recommended: Candidate | None
    reason: str
    notes: tuple[str, ...]


def plan(
    source: str | Path,
    device: Device,
    *,
    context: int | None = None,
    users: int = 1,
    prompt: int | None = None,
) -> Plan:
    """Whether the checkpoint at `source` fits `device`, and how fast it will be; headers alone.

    Parameters
    ----------
    source : path
        A GGUF file, or a Hugging Face folder.
    device : Device
        Where it is to run.
    context : int, optional
        Tokens that each user's context holds in the end; by default 4,096, or what the model takes.
    users : int
        Sequences that are decoded together.
    prompt : int, optional
        Tokens of a prompt; by default 512, or the context.

    Raises
    ------
    CheckpointError, ConfigError, TokenizerError
        The checkpoint can't be understood, or Aboard doesn't run its kind.
    ContextOverflow
        The model doesn't take so many tokens.
    UsageError
        A number is out of its range.
    """
    checked_integer("users", users, 1, _MOST_USERS)
    found = survey(source)
    model = found.model
    longest = model.context_length
    context = _checked_context("context", context, USUAL_CONTEXT, longest)
    prompt = _checked_context("prompt", prompt, USUAL_PROMPT, context)
    if users > 1 and not isinstance(model, DecoderModel):
        raise UsageError(f"{users} users, but an encoder decodes nothing", hint="Leave it out.")
    choices, left_out = variants(found.tensors)
    candidates = tuple(
        _candidate(found, variant, device, kv, context=context, users=users, prompt=prompt)
        for variant in choices
        for kv in (KV_FORMATS if isinstance(model, DecoderModel) else (None,))
    )
    recommended, reason = recommend(candidates, users)
    return Plan(
        path=str(source),
        architecture=model.architecture,
        n_parameters=sum(math.prod(each.shape) for each in found.tensors),
        context=context,
        users=users,
        prompt=prompt,
        longest_context=longest,
        prefix_cache_bytes=PREFIX_CACHE_BYTES if isinstance(model, DecoderModel) else 0,
        device=device,
        candidates=candidates,
        recommended=recommended,
        reason=reason,
        notes=(*found.notes, *left_out, *_about(device)),
    )


def room_for_weights(
    source: str | Path, device: Device, *, context: int | None = None, users: int = 1
) -> int:
    """Bytes of packed weights, `WeightBytes.memory`, with which the model at `source` fits.

    With keys and values in float16. At most 0 where even a model without weights wouldn't fit.

    Raises
    ------
    AboardError
        As for `plan`.
    """
    checked_integer("users", users, 1, _MOST_USERS)
    found = survey(source)
    context = _checked_context("context", context, USUAL_CONTEXT, found.model.context_length)
    memory = _footprint(found, 0, device, "f16", context, users)
    return device.room_bytes - memory.peak


def _about(device: Device) -> list[str]:
    if not device.was_busy:
        return []
    return [
        f"the device was busy when it was measured (load {device.load:.1f} on "
        f"{device.usable_cores} cores): it may be faster than predicted"
    ]


def _checked_context(name: str, value: int | None, usual: int, longest: int) -> int:
    if value is None:
        return min(usual, longest)
    checked_integer(name, value, 1, 1 << 31)
    if value > longest:
        what = "the model's context" if name == "context" else "the context"
        raise ContextOverflow(
            f"a {name} of {value} tokens, {what} holds {longest}",
            hint=f"Ask for at most {longest}: --{name} {longest}.",
        )
    return value


def _footprint(
    found: Survey, weights: int, device: Device, kv: str, context: int, users: int
) -> Footprint:
    tokenizer = found.metadata.get("tokenizer.ggml.model")
    return footprint(
        found.model,
        weights,
        header_bytes=found.header_bytes,
        tokenizer=tokenizer if isinstance(tokenizer, str) else None,
        context=context,
        users=users,
        kv=kv,
        threads=min(device.usable_cores, MAX_THREADS),
    )


def _tensor_bytes(found: Survey, variant: Variant) -> int:
    """Of all tensors in a file, those that the engine leaves unread among them."""
    return sum(
        replace(each, format=variant.types[each.name]).aligned_bytes for each in found.tensors
    )


def _candidate(
    found: Survey,
    variant: Variant,
    device: Device,
    kv: str | None,
    *,
    context: int,
    users: int,
    prompt: int,
) -> Candidate:
    weights = weight_bytes(found.model, variant.types)
    memory = _footprint(found, weights.memory, device, kv or "f16", context, users)
    margin = device.room_bytes - memory.peak
    return Candidate(
        type=variant.name,
        kv=kv,
        own=variant.own,
        file_bytes=found.header_bytes + _tensor_bytes(found, variant),
        memory=memory,
        peak_bytes=memory.peak,
        margin_bytes=margin,
        fits=margin >= 0,
        speeds=predict(
            found.model,
            weights,
            device,
            context=context,
            users=users,
            kv=kv or "f16",
            prompt=prompt,
        ),
        notes=variant.notes,
    )
