"""A plan: what a model takes and how fast it is at each precision, and which one to take."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from aboard.artifact.importing import Survey, survey
from aboard.engine.arguments import KV_FORMATS, checked_integer
from aboard.engine.prefix import PREFIX_CACHE_BYTES
from aboard.errors import UsageError
from aboard.models import DecoderModel
from aboard.models.weight_bytes import weight_bytes
from aboard.planning.choice import Candidate, bounds_by_memory, recommend
from aboard.planning.device import Device
from aboard.planning.ladder import Variant, variants
from aboard.planning.room import (
    MOST_USERS,
    USUAL_CONTEXT,
    checked_context,
    fit_words,
    footprint_on,
)
from aboard.planning.speed import predict

USUAL_PROMPT = 512


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
    calibrated : bool
        Whether `aboard quantize` takes such a model.
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
    calibrated: bool

    def command(self, device: str) -> str | None:
        """What makes the file that is recommended, or a better one as large; None for nothing.

        `device`: what `aboard quantize --fit` knows it by.
        """
        best = self.recommended
        if best is None or best.own:
            return None
        if not self.calibrated:
            words = ["import", self.path, "--type", best.type.lower()]
        elif bounds_by_memory(self.candidates, best):
            kv = best.kv or "f16"
            fit = fit_words(device, self.context, self.users, kv, self.longest_context)
            words = ["quantize", self.path, *fit]
        else:
            words = ["quantize", self.path, "--size", f"{best.file_bytes}B"]
        return shlex.join(["aboard", *words, "-o", "fit.gguf"])


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
    checked_integer("users", users, 1, MOST_USERS)
    found = survey(source)
    model = found.model
    longest = model.context_length
    context = checked_context("context", context, USUAL_CONTEXT, longest)
    prompt = checked_context("prompt", prompt, USUAL_PROMPT, context)
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
        calibrated=isinstance(model, DecoderModel)
        and all(each.stands_alone for each in model.layers),
    )


def _about(device: Device) -> list[str]:
    if not device.was_busy:
        return []
    return [
        f"the device was busy when it was measured (load {device.load:.1f} on "
        f"{device.usable_cores} cores): it may be faster than predicted"
    ]


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
    memory = footprint_on(found, weights.memory, device, kv or "f16", context, users)
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
