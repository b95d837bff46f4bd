"""The numerics contract, written out plainly in NumPy: what every kernel must give, bit for bit.

All arithmetic is float32, one operation at a time. Arrays only run over outputs that don't meet:
rows and tokens. Whatever is summed is summed by a loop or by `tree_sum`. The one thing taken from
the engine is its `exp`, which `test_vectors.py` checks by itself.
"""

import numpy as np

from aboard import _native, formats

BLOCK = 32
KEY_CHUNK = 64
LANES = 16


def quantize(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (T, blocks, 32) int8 and scales (T, blocks) float32 of `x`, (T, K) float32.

    The last block is filled up with zeros.
    """
    blocks = -(-x.shape[1] // BLOCK)
    padded = np.zeros((x.shape[0], blocks * BLOCK), np.float32)
    padded[:, : x.shape[1]] = x
    padded = padded.reshape(-1, blocks, BLOCK)
    largest = np.abs(padded).max(axis=-1)  # NaN where one is NaN
    with np.errstate(all="ignore"):
        scales = np.where(largest < np.float32(2.0**-100), np.float32(0), largest / np.float32(127))
        scales = np.where(np.isfinite(largest), scales, np.float32(np.nan))
        inverse = np.where(scales > 0, np.float32(1) / scales, np.float32(0))
        codes = np.rint(padded * inverse[..., None])
    return np.where(scales[..., None] > 0, codes, 0).astype(np.int8), scales


def multiply(name: str, packed: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix of blocks `packed`, (R, n_blocks, bytes) uint8, times `x`: (T, R) float32."""
    codes, scales = quantize(x)
    with np.errstate(all="ignore"):
        if formats.by_name(name).SUB_BLOCK == 1:
            return _multiply_floats(formats.by_name(name).decode(packed), codes, scales)
        return _multiply_blocks(name, packed, codes, scales)


def _multiply_floats(weights: np.ndarray, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    total = np.zeros((len(codes), len(weights)), np.float32)
    for k in range(weights.shape[1]):
        block, i = divmod(k, BLOCK)
        value = scales[:, block] * codes[:, block, i].astype(np.float32)
        total = total + weights[:, k] * value[:, None]
    return total


def _multiply_blocks(
    name: str, packed: np.ndarray, codes: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    form = formats.by_name(name)
    blocks = form.unpack(packed)
    n_subs = blocks.scale.shape[1]
    weights = blocks.codes.reshape(len(packed), n_subs, form.SUB_BLOCK).astype(np.int64)
    x_codes = codes.reshape(len(codes), n_subs, form.SUB_BLOCK).astype(np.int64)
    total = np.zeros((len(codes), len(packed)), np.float32)
    for s in range(n_subs):
        x_scale = scales[:, s * form.SUB_BLOCK // BLOCK, None]
        dot = (x_codes[:, s] @ weights[:, s].T).astype(np.float32)
        total = total + (blocks.scale[:, s] * x_scale) * dot
        if blocks.minimum is not None:
            sums = x_codes[:, s].sum(axis=-1, keepdims=True).astype(np.float32)
            total = total + blocks.minimum[:, s] * (x_scale * sums)
    return total


def lane_sums(terms: np.ndarray) -> np.ndarray:
    """Sixteen sums of `terms`, (..., n): lane i adds up terms i, i + 16, ... in order."""
    missing = -terms.shape[-1] % LANES
    padded = np.concatenate([terms, np.zeros((*terms.shape[:-1], missing), np.float32)], axis=-1)
    lanes = np.zeros((*terms.shape[:-1], LANES), np.float32)
    for first in range(0, padded.shape[-1], LANES):
        lanes = lanes + padded[..., first : first + LANES]
    return lanes


def tree_sum(lanes: np.ndarray) -> np.ndarray:
    """The sum of sixteen lanes by the one tree: l with l + 8, then + 4, + 2, + 1."""
    for width in (8, 4, 2, 1):
        lanes = lanes[..., :width] + lanes[..., width : 2 * width]
    return lanes[..., 0]


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """`x / sqrt(mean(x^2) + eps) * weight`, all (n,) float32."""
    with np.errstate(all="ignore"):
        mean = tree_sum(lane_sums(x * x)) / np.float32(len(x))
        return (x * (np.float32(1) / np.sqrt(mean + np.float32(eps)))) * weight


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """`(x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias`, all (n,) float32."""
    centred = x - tree_sum(lane_sums(x)) / np.float32(len(x))
    variance = tree_sum(lane_sums(centred * centred)) / np.float32(len(x))
    return (centred * (np.float32(1) / np.sqrt(variance + np.float32(eps)))) * weight + bias


# Of W(t) = e^(t^2 / 2) * (the share of a normal distribution above t) in u = 1 / (1 + t / 4),
# divided by u, the highest power first.
_GELU = (
    *("0x1.23aa2p-5", "-0x1.a0221ep-3", "0x1.9f9c9cp-2", "-0x1.5b0432p-2", "0x1.32fe82p-2"),
    *("-0x1.848134p-7", "0x1.db866p-4", "0x1.8bdb18p-4", "0x1.99422ap-4"),
)


def gelu(x: np.ndarray) -> np.ndarray:
    """`max(x, 0) - t e^(-t^2 / 2) W(t)`, t = |x|, (n,) float32."""
    with np.errstate(all="ignore"):
        t, polynomial = np.abs(x), np.float32(0)
        u = np.float32(1) / (np.float32(1) + np.float32(0.25) * t)
        for coefficient in _GELU:
            polynomial = polynomial * u + np.float32(float.fromhex(coefficient))
        above = _native.exp(np.float32(-0.5) * (t * t)) * (polynomial * u)
        return np.maximum(x, np.float32(0)) - t * above


def swiglu(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    """`gate / (1 + e^-gate) * up`, all (n,) float32."""
    return (gate / (np.float32(1) + _native.exp(np.float32(0) - gate))) * up


def geglu(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    """`gate / (1 + e^(-2 u)) * up`, u = sqrt(2 / pi) (gate + 0.044715 gate^3), all (n,) float32."""
    one, two = (np.float32(-2 * (2 / np.pi) ** 0.5 * c) for c in (1.0, 0.044715))
    with np.errstate(all="ignore"):
        exponent = gate * (one + two * (gate * gate))
        return (gate / (np.float32(1) + _native.exp(exponent))) * up


# Of tanh(x) / x - 1 in x^2, divided by x^2, the highest power first.
_TANH = ("-0x1.901808p-8", "0x1.581fa8p-6", "-0x1.b928ep-5", "0x1.110e2ep-3", "-0x1.555552p-2")


def soft_cap(x: np.ndarray, cap: float) -> np.ndarray:
    """`cap * tanh(x / cap)`, (n,) float32."""
    with np.errstate(all="ignore"):
        x = x / np.float32(cap)
        square, polynomial = x * x, np.float32(0)
        for coefficient in _TANH:
            polynomial = polynomial * square + np.float32(float.fromhex(coefficient))
        near = (polynomial * square) * x + x
        twice = np.abs(x) + np.abs(x)
        far = np.float32(1) - np.float32(2) / (_native.exp(twice) + np.float32(1))
        return np.float32(cap) * np.where(np.abs(x) < 0.625, near, np.copysign(far, x))


def attend(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    scale: float,
    first: int = 0,
    cap: float = 0.0,
) -> np.ndarray:
    """Attention of `query` (d,) over `keys` and `values` (n, d) from `first` on: (d,) float32.

    Chunks and lanes are those of the key's index, whichever key is the first to be seen.
    """
    top = total = out = None
    for begin in range(first // KEY_CHUNK * KEY_CHUNK, len(keys), KEY_CHUNK):
        chunk = slice(begin, begin + KEY_CHUNK)
        found = _attend_to_chunk(
            query, keys[chunk], values[chunk], np.float32(scale), max(first - begin, 0), cap
        )
        if top is None:
            top, total, out = found
            continue
        high = max(top, found[0])
        old, new = _exp(top - high), _exp(found[0] - high)
        top, total, out = high, total * old + found[1] * new, out * old + found[2] * new
    return out / total


def _attend_to_chunk(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    scale: np.float32,
    first: int,
    cap: float,
) -> tuple[np.float32, np.float32, np.ndarray]:
    scores = tree_sum(lane_sums(query * keys)) * scale
    if cap:
        scores = soft_cap(scores, cap)
    scores[:first] = -np.inf
    weights = _native.exp(scores - scores.max())
    out = np.zeros_like(query)
    for weight, value in zip(weights[first:], values[first:], strict=True):
        out = out + weight * value
    return scores.max(), tree_sum(lane_sums(weights)), out


def _exp(x: np.float32) -> np.float32:
    return _native.exp(np.array([x], np.float32))[0]


def attend_codes(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    scale: float,
    first: int,
    last: int,
    cap: float = 0.0,
) -> np.ndarray:
    """Attention of `query` (d,) over the keys [first, last) of an int8 cache: (d,) float32."""
    q_codes, q_scales = quantize(query[None])
    k_codes, k_scales = quantize(keys)
    # The dot products of each block of columns, (n, blocks), exact.
    dots = (k_codes.astype(np.int64) * q_codes.astype(np.int64)).sum(axis=-1).astype(np.float32)
    v_codes, v_scales = _quantize_rows(values)
    with np.errstate(all="ignore"):
        scores = np.zeros(len(keys), np.float32)
        for b in range(dots.shape[1]):
            scores = scores + (k_scales[:, b] * q_scales[0, b]) * dots[:, b]
        scores = scores * np.float32(scale)
        scores = soft_cap(scores, cap) if cap else scores
        top = total = out = None
        for begin in range(first // KEY_CHUNK * KEY_CHUNK, last, KEY_CHUNK):
            seen = slice(max(begin, first), min(begin + KEY_CHUNK, last))
            found = _attend_to_codes(scores, v_codes, v_scales, begin, seen)
            if top is None:
                top, total, out = found
                continue
            high = max(top, found[0])
            old, new = _exp(top - high), _exp(found[0] - high)
            top, total, out = high, total * old + found[1] * new, out * old + found[2] * new
        return out / total


def _quantize_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, d) int8 and scales (n,) float32 of `x`, each row with one scale."""
    largest = np.abs(x).max(axis=1)
    with np.errstate(all="ignore"):
        scales = np.where(largest < np.float32(2.0**-100), np.float32(0), largest / np.float32(127))
        scales = np.where(np.isfinite(largest), scales, np.float32(np.nan))
        inverse = np.where(scales > 0, np.float32(1) / scales, np.float32(0))
        codes = np.rint(x * inverse[:, None])
    return np.where(scales[:, None] > 0, codes, 0).astype(np.int8), scales


def _attend_to_codes(
    scores: np.ndarray, v_codes: np.ndarray, v_scales: np.ndarray, begin: int, seen: slice
) -> tuple[np.float32, np.float32, np.ndarray]:
    """Highest score, sum of weights and weighted values of the chunk that begins at `begin`."""
    top = np.float32(-np.inf)
    for score in scores[seen]:
        top = score if top < score else top
    weights = np.zeros(KEY_CHUNK, np.float32)
    scaled = np.zeros(KEY_CHUNK, np.float32)
    places = slice(seen.start - begin, seen.stop - begin)
    weights[places] = _native.exp(scores[seen] - top)
    scaled[places] = weights[places] * v_scales[seen]
    codes, scales = quantize(scaled[None])
    out = np.zeros(v_codes.shape[1], np.float32)
    for b in range(KEY_CHUNK // BLOCK):
        keys = range(begin + b * BLOCK, min(begin + (b + 1) * BLOCK, len(v_codes)))
        of_block = codes[0, b, : len(keys)].astype(np.int64)
        dot = of_block @ v_codes[keys.start : keys.start + len(keys)].astype(np.int64)
        out = out + scales[0, b] * dot.astype(np.float32)
    return top, tree_sum(lane_sums(weights)), out
