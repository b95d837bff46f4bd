"""How fast a model will be on a device: bytes over bandwidth, operations over the integer peak."""

from __future__ import annotations

from dataclasses import dataclass

from aboard.engine.footprint import attended, token_bytes
from aboard.models import DecoderModel, EncoderModel
from aboard.models.weight_bytes import WeightBytes
from aboard.planning import efficiency
from aboard.planning.device import Ceiling, Device

# What predictions were off by, and what may be expected where efficiency is carried over.
_NEAR, _FAR = (0.8, 1.2), (0.6, 1.5)


@dataclass(frozen=True, slots=True)
class Range:
    """A prediction, and between what it will probably lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """What is predicted; None stands for what the device's figures don't tell.

    Attributes
    ----------
    decode_tokens_per_s : Range or None
        Of all users together, when each of their contexts is full. None for an encoder, too.
    prompt_tokens_per_s : Range or None
        Of a prompt from an empty context on; of an encoder, of texts.
    first_token_s : Range or None
        From the prompt's arrival to the first token of the answer; loading is not in it.
    decode_bytes : int
        That a step of decoding reads: weights, and the keys and values of all users.
    basis : str
        What the prediction goes by.
    """

    decode_tokens_per_s: Range | None
    prompt_tokens_per_s: Range | None
    first_token_s: Range | None
    decode_bytes: int
    basis: str


def predict(
    model: DecoderModel | EncoderModel,
    weights: WeightBytes,
    device: Device,
    *,
    context: int,
    users: int,
    kv: str,
    prompt: int,
) -> Speeds:
    """How fast `model`, with these weights, will be on `device` with all its cores.

    `context`: tokens that each user's context holds while decoding; `prompt`: tokens of a prompt.
    """
    ceiling = device.ceiling()
    decoder = model if isinstance(model, DecoderModel) else None
    decode_bytes = sum(weights.read.values()) if decoder else 0
    if decoder:
        decode_bytes += users * _kv_bytes_read(decoder, context, kv)
    if ceiling is None:
        return Speeds(
            decode_tokens_per_s=None,
            prompt_tokens_per_s=None,
            first_token_s=None,
            decode_bytes=decode_bytes,
            basis="nothing: the device's bandwidth isn't known (--bandwidth)",
        )
    spread = _spread(device, ceiling)
    peak = ceiling.ops_per_s.get(device.isa or "")
    step = None
    if decoder is not None and (peak is not None or users == 1):
        step = _step_s(decoder, weights, device, ceiling, context, users, kv)
    prompt_s = None if peak is None else _prompt_s(model, weights, ceiling.threads, peak, prompt)
    first_s = prompt_s
    if prompt_s is not None and decoder is not None:
        first_s = prompt_s + weights_s(weights, device, ceiling)  # what is read however few tokens
    return Speeds(
        decode_tokens_per_s=None if step is None else _range(users / step, spread),
        prompt_tokens_per_s=None if prompt_s is None else _range(prompt / prompt_s, spread),
        first_token_s=None if first_s is None else _range(first_s, spread),
        decode_bytes=decode_bytes,
        basis=_basis(device, ceiling),
    )


def weights_s(weights: WeightBytes, device: Device, ceiling: Ceiling) -> float:
    """Seconds to read all weights that a pass reads, once."""
    return sum(
        n_bytes / efficiency.decode_bytes_per_s(form, ceiling, device.one_thread_ops_per_s)
        for form, n_bytes in weights.read.items()
    )


def _step_s(
    model: DecoderModel,
    weights: WeightBytes,
    device: Device,
    ceiling: Ceiling,
    context: int,
    users: int,
    kv: str,
) -> float:
    """Seconds to decode a token for each user."""
    fixed = efficiency.TOKEN_S + efficiency.LAYER_S * len(model.layers)
    fixed += users * efficiency.LOGIT_S * model.n_vocabulary
    peak = ceiling.ops_per_s.get(device.isa or "")
    if peak is None:  # by the bandwidth alone
        keys = users * _kv_bytes_read(model, context, kv) / ceiling.bytes_per_s
        return weights_s(weights, device, ceiling) + fixed + keys
    attention = _attention_ops(model, context)
    attention_s = users * attention / (peak * efficiency.DECODE_ATTENTION)
    together_s = 0.0
    if users > 1:
        one_s = _matrices_s(weights, ceiling.threads, peak)
        together_s = users * efficiency.TOGETHER * one_s
    return weights_s(weights, device, ceiling) + fixed + attention_s + together_s


def _prompt_s(
    model: DecoderModel | EncoderModel,
    weights: WeightBytes,
    threads: int,
    peak: float,
    n_tokens: int,
) -> float:
    """Seconds of a prompt's tokens, each of which sees those before it; of a text, all of it."""
    if isinstance(model, DecoderModel):
        attention = _attention_ops(model, n_tokens // 2)
    else:
        attention = 4 * model.width * n_tokens * len(model.layers)
    one_s = _matrices_s(weights, threads, peak)
    return n_tokens * (one_s + attention / (peak * efficiency.PROMPT_ATTENTION))


def _matrices_s(weights: WeightBytes, threads: int, peak: float) -> float:
    """Seconds that a token of many takes in the layers' matrices."""
    return sum(
        n / efficiency.prompt_ops_per_s(form, threads, peak)
        for form, n in weights.operations.items()
    )


def _attention_ops(model: DecoderModel, context: int) -> int:
    """Of a token behind `context`: a product and a sum for each value of keys and of values, in
    every query head; windows bound them.
    """
    values = sum(attention.head_dim * n_keys for attention, n_keys in attended(model, context))
    return 4 * model.n_query_heads * values


def _kv_bytes_read(model: DecoderModel, context: int, kv: str) -> int:
    """Bytes of keys and values that a token behind `context` reads; windows bound them."""
    return sum(
        token_bytes(attention, kv) * n_keys for attention, n_keys in attended(model, context)
    )


def _range(value: float, spread: tuple[float, float]) -> Range:
    return Range(value, value * spread[0], value * spread[1])


def _spread(device: Device, ceiling: Ceiling) -> tuple[float, float]:
    same = device.isa == efficiency.ISA and ceiling.threads <= efficiency.THREADS
    return _NEAR if same else _FAR


def _basis(device: Device, ceiling: Ceiling) -> str:
    said = f"efficiency measured on {efficiency.MEASURED_ON}"
    if device.isa is None:
        return f"the bandwidth as given and {said}"
    if device.isa != efficiency.ISA:
        return f"{said}, carried over to {device.isa}: less certain"
    if ceiling.threads > efficiency.THREADS:
        return f"{said}, carried over to {ceiling.threads} threads: less certain"
    return said
