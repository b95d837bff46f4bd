"""How fast a model is on this machine, beside what the machine allows.

Decoding reads every weight once per token, so it is bound by the bandwidth of the memory; a prompt
is bound by the integer peak of the cores. Both bounds are measured in the same run.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.engine.model import Model, load
from aboard.errors import ContextOverflow

if TYPE_CHECKING:
    from aboard.engine.session import Session

ROUNDS = 3
FIRST_PROMPT = 16
_BUFFER_BYTES = 256 << 20  # far larger than any cache


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """Medians of three rounds.

    Attributes
    ----------
    decode_tokens_per_s, prompt_tokens_per_s : float
        Tokens generated one by one after the prompt, and tokens of the prompt.
    first_token_s : float
        From the start of loading to the first token after a prompt of 16; the start of the
        process itself is not in it.
    load_s : float
        To read, hash and pack the file.
    peak_rss_bytes : int
        The largest memory the process has had, before the bounds were measured.
    decode_bound_fraction : float
        Bytes of weights, keys and values read per second, over `memory_bytes_per_s`.
    prompt_bound_fraction : float
        Integer operations of the weights per second, over `integer_ops_per_s`.
    memory_bytes_per_s, integer_ops_per_s : float
        What the machine allows with these threads and this instruction set.
    threads, context, prompt, tokens : int
        Threads, and tokens before the prompt, of the prompt and generated.
    isa : str
        The instruction set.
    """

    decode_tokens_per_s: float
    prompt_tokens_per_s: float
    first_token_s: float
    load_s: float
    peak_rss_bytes: int
    decode_bound_fraction: float
    prompt_bound_fraction: float
    memory_bytes_per_s: float
    integer_ops_per_s: float
    threads: int
    kv: str
    context: int
    prompt: int
    tokens: int
    isa: str


def benchmark(
    path: str | Path,
    *,
    threads: int | None = None,
    kv: str = "f16",
    context: int = 0,
    prompt: int = 512,
    tokens: int = 128,
) -> BenchReport:
    """Measure the model at `path`.

    Parameters
    ----------
    path : str or Path
        A GGUF file.
    threads : int, optional
        By default one for each usable core.
    kv : str
        How keys and values are stored, as for `aboard.load`.
    context : int
        Tokens already in the context before prompt and decoding are measured.
    prompt, tokens : int
        Tokens of prompt, and to generate.

    Raises
    ------
    ContextOverflow
        The model's context doesn't hold so many tokens.
    AboardError
        As for `aboard.load`.
    """
    from aboard import _native

    began = time.perf_counter()
    model = load(path, threads=threads, kv=kv)
    loaded = time.perf_counter()
    needed = context + prompt + tokens
    if needed > model.context_length:
        raise ContextOverflow(
            f"{needed} tokens, the model's context holds {model.context_length}",
            hint="Ask for fewer: --context, --prompt, --tokens.",
        )
    ids = _tokens(model, needed)
    with model.session() as session:
        session.prefill(ids[: min(FIRST_PROMPT, needed)])
        first_token_s = time.perf_counter() - began
        chunk_bytes = session.cache.chunk_bytes
        rounds = [_round(session, ids, context, prompt) for _ in range(ROUNDS)]
    peak_rss_bytes = _peak_rss_bytes()
    prompt_s, decode_s = (statistics.median(each) for each in zip(*rounds, strict=True))
    bandwidth = _native.read_bytes_per_s(model.threads, _BUFFER_BYTES)
    peak = _native.dot_ops_per_s(model.threads)
    decode_rate, prompt_rate = tokens / decode_s, prompt / prompt_s
    token_bytes = _bytes_per_token(model, chunk_bytes, context + prompt + tokens // 2)
    return BenchReport(
        decode_tokens_per_s=decode_rate,
        prompt_tokens_per_s=prompt_rate,
        first_token_s=first_token_s,
        load_s=loaded - began,
        peak_rss_bytes=peak_rss_bytes,
        decode_bound_fraction=decode_rate * token_bytes / bandwidth,
        prompt_bound_fraction=prompt_rate * _operations_per_token(model) / peak,
        memory_bytes_per_s=bandwidth,
        integer_ops_per_s=peak,
        threads=model.threads,
        kv=model.kv,
        context=context,
        prompt=prompt,
        tokens=tokens,
        isa=_native.active_isa(),
    )


def _tokens(model: Model, count: int) -> npt.NDArray[np.int64]:
    """Ids spread over the vocabulary; the speed doesn't depend on which."""
    return (np.arange(count) * 7919 + 1) % model.config.n_vocabulary


def _round(
    session: Session, ids: npt.NDArray[np.int64], before: int, prompt: int
) -> tuple[float, float]:
    """Seconds of the prompt and of the tokens after it."""
    session.rewind(min(before, session.n_tokens))
    if session.n_tokens < before:
        session.prefill(ids[session.n_tokens : before])
    began = time.perf_counter()
    session.prefill(ids[before : before + prompt])
    prompted = time.perf_counter()
    for token in ids[before + prompt :].tolist():
        session.decode(token)
    return prompted - began, time.perf_counter() - prompted


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bytes_per_token(model: Model, chunk_bytes: int, n_keys: int) -> int:
    """Bytes of weights, keys and values that decoding one token reads."""
    from aboard import _native

    return model.decode_weight_bytes + chunk_bytes * n_keys // _native.KEY_CHUNK


def _operations_per_token(model: Model) -> int:
    """A product and a sum per weight of the layers; the head is for the last token only."""
    config = model.config
    tables = {config.embedding, config.head}
    return 2 * sum(
        weight.shape[0] * weight.shape[1] for weight in config.matrices() if weight not in tables
    )
