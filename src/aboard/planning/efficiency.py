"""Which part of a machine's bounds the engine reaches: measured, by format.

All of it was measured on one machine (`MEASURED_ON`) by `bench/plan.py formats`, which keeps every
figure in bench/results.jsonl. Another instruction set or more threads are reached by analogy, and
what is predicted for them is less certain.
"""

from __future__ import annotations

from dataclasses import dataclass

from aboard.planning.device import Ceiling

MEASURED_ON = "2 cores of an AMD EPYC (Zen 3), AVX2"
ISA = "avx2"
THREADS = 2
# Of that machine, for one thread: 25.5 GB/s and 302 billion operations a second.
_BYTES_PER_OPERATION = 25.5 / 302

LAYER_S = 3e-6
"""A layer's phases beyond their bytes: meeting points and norms (2.2 to 2.8 us, narrow layers)."""
LOGIT_S = 1e-9
"""Each logit, written and looked at."""
TOKEN_S = 30e-6
"""A step of a session in Python."""
DECODE_ATTENTION = 0.065
"""Of the integer peak: products and sums of one query with keys and values (0.062 to 0.076)."""
PROMPT_ATTENTION = 0.12
"""The same of the queries of a prompt."""
TOGETHER = 1.5
"""What a token of a few sequences costs more in arithmetic than one of a prompt."""


@dataclass(frozen=True, slots=True)
class Share:
    """Parts of the bounds that a format reaches, with one thread and with several.

    `decode` is of the bandwidth, `prompt` of the integer peak.
    """

    decode_one: float
    decode: float
    prompt_one: float
    prompt: float


# Several threads, formats that memory bounds: 0.57 to 0.92 measured, and of one format as far
# apart from run to run as formats are.
_BY_MEMORY = 0.75

SHARES = {
    "F32": Share(0.84, _BY_MEMORY, 0.16, 0.14),
    "F16": Share(0.79, _BY_MEMORY, 0.14, 0.11),
    "BF16": Share(0.69, _BY_MEMORY, 0.12, 0.10),
    "Q8_0": Share(0.72, _BY_MEMORY, 0.38, 0.34),
    "Q6_K": Share(0.67, _BY_MEMORY, 0.40, 0.31),
    "Q5_K": Share(0.68, _BY_MEMORY, 0.55, 0.42),
    "Q5_1": Share(0.80, _BY_MEMORY, 0.53, 0.30),
    "Q5_0": Share(0.69, _BY_MEMORY, 0.50, 0.39),
    "Q4_K": Share(0.78, _BY_MEMORY, 0.62, 0.49),
    "Q4_1": Share(0.78, _BY_MEMORY, 0.62, 0.57),
    "Q4_0": Share(0.87, _BY_MEMORY, 0.64, 0.52),
    "IQ4_NL": Share(0.62, 0.62, 0.34, 0.29),
    "IQ4_XS": Share(0.59, 0.55, 0.38, 0.35),
    "MXFP4": Share(0.54, 0.46, 0.37, 0.30),
    "Q3_K": Share(0.39, 0.35, 0.49, 0.39),
    "Q2_K": Share(0.47, 0.46, 0.50, 0.35),
}


def decode_bytes_per_s(form: str, ceiling: Ceiling, one_thread_ops: float | None) -> float:
    """Bytes a second of weights in `form` that decoding reads.

    The memory bounds it, or the arithmetic: as many bytes for each operation of the integer peak as
    one thread did where it was measured.

    Parameters
    ----------
    form : str
        One of `aboard.formats.NAMES`.
    ceiling : Ceiling
        Of the threads that decode.
    one_thread_ops : float or None
        The integer peak of one thread; None where it isn't known.
    """
    share = SHARES[form]
    by_memory = ceiling.bytes_per_s * (share.decode_one if ceiling.threads == 1 else share.decode)
    if one_thread_ops is None:
        return ceiling.bytes_per_s * share.decode
    by_arithmetic = ceiling.threads * one_thread_ops * share.decode_one * _BYTES_PER_OPERATION
    return min(by_memory, by_arithmetic)


def prompt_ops_per_s(form: str, threads: int, peak: float) -> float:
    """Operations a second on weights in `form` that a prompt does, where `peak` is possible."""
    share = SHARES[form]
    return peak * (share.prompt_one if threads == 1 else share.prompt)
