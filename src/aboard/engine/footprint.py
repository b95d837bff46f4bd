"""How much memory a model takes at most, told beforehand: nothing is loaded.

What native/engine/kv_cache.h and workspace.h reserve, counted from a model's sizes; and what a
process has beside it, measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aboard.engine.session import PROMPT_CHUNK
from aboard.models import DecoderModel, EncoderModel
from aboard.models.decoder import Attention, DeltaNet, ShortConv

PROCESS_BYTES = 39_500_000
"""Python, NumPy and Aboard itself before a file is opened (VmRSS; CPython 3.11, x86-64 Linux)."""
TOKENIZER_LIBRARY_BYTES = 6_000_000
"""What of the library `tokenizers` is in memory; SentencePiece models don't need it."""
TOKEN_BYTES = 32
"""Of the index of a vocabulary, for each token: 19 to 46 measured (VmRSS before and after)."""

HUGE_PAGE = 2 << 20
_KEY_CHUNK = 64  # native: kKeyChunk
_LOAD_CHUNK_BYTES = 1 << 20  # what a thread that loads reads at once
_RECENT_TOKENS = 32  # native: kRecentTokens
_TILE_QUERIES = 16  # native: kTileQueries
_TILE_TOKENS = 8  # native: kTileTokens of the widest instruction set
_LINEAR_SCRATCH_BYTES = 32 * (8 * 64 + 256) + 4096 + 64  # native: kLinearScratchBytes
_THREAD_BYTES = 64 << 10  # of its stack, as far as it is touched
_ENCODER_TOKENS = 2048  # native passes take texts of so many tokens together


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes of memory that a process takes at most, by what they hold.

    Attributes
    ----------
    weights : int
        Packed, as `WeightBytes.memory` says.
    kv : int
        Keys, values and states of all sequences, each as long as the context.
    scratch : int
        Buffers of the largest forward pass, logits and those of loading included.
    tokenizer : int
        The file's header, the vocabulary's index and the library that encodes.
    process : int
        Python and the package.
    """

    weights: int
    kv: int
    scratch: int
    tokenizer: int
    process: int

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.scratch + self.tokenizer + self.process


def footprint(
    model: DecoderModel | EncoderModel,
    weights_bytes: int,
    *,
    header_bytes: int,
    tokenizer: str | None,
    context: int,
    users: int = 1,
    kv: str = "f16",
    threads: int = 1,
) -> Footprint:
    """How much memory `model` takes at most.

    What the prefix cache keeps beyond running sequences, up to its budget, is not in it.

    Parameters
    ----------
    model : DecoderModel or EncoderModel
        Its sizes.
    weights_bytes : int
        Of the packed weights.
    header_bytes : int
        Of the GGUF file before its tensors.
    tokenizer : str or None
        `tokenizer.ggml.model` of the file.
    context : int
        Tokens that each sequence holds in the end; of an encoder, tokens of a text.
    users : int
        Sequences at once.
    kv : str
        "f16" or "int8".
    threads : int
        Threads that load and compute.
    """
    library = 0 if tokenizer in (None, "llama") else TOKENIZER_LIBRARY_BYTES
    loading = threads * _LOAD_CHUNK_BYTES
    if isinstance(model, DecoderModel):
        held = users * sequence_bytes(model, context, kv)
        scratch = _scratch_bytes(model, context, users, kv, threads) + loading
    else:
        held = 0
        scratch = _encoder_scratch_bytes(model, context, threads) + loading
    return Footprint(
        weights=_in_huge_pages(weights_bytes),
        kv=_in_huge_pages(held),
        scratch=scratch,
        tokenizer=header_bytes + TOKEN_BYTES * model.n_vocabulary + library,
        process=PROCESS_BYTES,
    )


def sequence_bytes(model: DecoderModel, n_tokens: int, kv: str) -> int:
    """Bytes of the KV cache of a sequence of `n_tokens`: chunks of 64 tokens, and states.

    A layer with a window keeps all keys and values, as those without do.

    `kv`: "f16" or "int8".
    """
    chunks = -(-n_tokens // _KEY_CHUNK)
    width, rows = _convolution(model)
    n_convolutions = len(list(_convolutions(model)))
    states = 4 * sum(net.decay.shape[0] * net.head_norm.shape[0] ** 2 for net in _deltas(model))
    ends = _rounded(4 * n_convolutions * rows * width, 64)
    recent = 4 * n_convolutions * _RECENT_TOKENS * width
    if states:  # held, and noted where a pass of several tokens begins
        return chunks * chunk_bytes(model, kv) + recent + 2 * states + ends
    return chunks * (chunk_bytes(model, kv) + ends) + recent


def chunk_bytes(model: DecoderModel, kv: str) -> int:
    """Bytes of keys and values of 64 tokens, in all layers of attention."""
    kept = (each for each in _attentions(model) if each.keys_of is None)
    return _KEY_CHUNK * sum(token_bytes(each, kv) for each in kept)


def token_bytes(attention: Attention, kv: str) -> int:
    """Bytes of a token's keys and values in all heads of a layer."""
    return attention.n_kv_heads * sum(head_bytes(attention.head_dim, attention.head_dim, kv))


def head_bytes(key_dim: int, value_dim: int, kv: str) -> tuple[int, int]:
    """Bytes of a token's key and of its value in one head, as native/engine/kv_cache.h has them."""
    value = _rounded(value_dim, 16)
    if kv == "f16":
        return 2 * _rounded(key_dim, 16), 2 * value
    key = _rounded(key_dim, 32)  # codes, and a scale for each 32
    return key + key // 32 * 4, value + 4


def attended(model: DecoderModel, n_tokens: int) -> Iterator[tuple[Attention, int]]:
    """The attention of each layer, and how many keys a token behind `n_tokens` sees in it."""
    for attention in _attentions(model):
        yield attention, min(n_tokens, attention.window or n_tokens)


def _scratch_bytes(model: DecoderModel, context: int, users: int, kv: str, threads: int) -> int:
    """Buffers of a pass over a slice of a prompt and a token of each other user."""
    n = min(context, PROMPT_CHUNK) + users - 1
    attentions = list(_attentions(model))
    head_dim = max((each.head_dim for each in attentions), default=0)
    queries = model.n_query_heads * head_dim
    keys = max((each.n_kv_heads * each.head_dim for each in attentions), default=0)
    gated = any(each.gated for each in attentions)
    head = _rounded(head_dim, 16)
    token = 0 if model.layer_embedding is None else model.layer_embedding.norm.shape[0]
    ffn = max(token, *(layer.feed_forward.gate.weight.shape[0] for layer in model.layers))
    rows = [model.width, model.width, queries * (2 if gated else 1), queries, keys, keys]
    rows += [ffn, ffn, *(2 * [rope.rotated_dims for rope in model.ropes])]
    rows += 2 * [len(model.layers) * token]
    operands = [model.width, queries, ffn]
    total = _floats(n, rows) + _floats(n * model.n_query_heads, [head])
    total += sum(_codes(n, columns) for columns in operands)
    if kv == "int8":
        total += _codes(n * model.n_query_heads, head_dim, tile=1)
    total += _convolution_scratch(model, n)
    # A token's own chunks of keys are shared out over threads where there are few queries.
    chunks = -(-context // _KEY_CHUNK)
    fewest = min((each.n_kv_heads for each in attentions), default=1)
    together = min(n, max(users, -(-4 * threads // fewest)))
    total += 4 * together * model.n_query_heads * chunks * (16 + head)
    # As the engine writes them, and as the caller gets them; the last ones may still be held.
    total += 2 * _floats(users, [model.n_vocabulary])
    own = _floats(1, [model.width, queries]) + sum(_codes(1, each) for each in operands[:2])
    own += _floats(2 * _KEY_CHUNK, [head]) + _LINEAR_SCRATCH_BYTES + _THREAD_BYTES
    own += 4 * 2 * _TILE_QUERIES * (model.n_query_heads // fewest) * (16 + head)
    return total + threads * own


def _convolution_scratch(model: DecoderModel, n: int) -> int:
    width, _ = _convolution(model)
    inner = max((net.gate.shape[0] for net in _deltas(model)), default=model.width)
    return _floats(n, [width, width, inner]) + _codes(n, inner) if width else 0


def _encoder_scratch_bytes(model: EncoderModel, context: int, threads: int) -> int:
    n = max(context, _ENCODER_TOKENS)
    head = _rounded(model.head_dim, 16)
    total = _floats(n, [*[model.width] * 6, model.ffn_width])
    total += 2 * _codes(n, model.width) + _codes(n, model.ffn_width)
    total += 2 * 4 * _rounded(n, _KEY_CHUNK) * model.n_heads * head
    own = _floats(_TILE_QUERIES, [head]) + 4 * 2 * _TILE_QUERIES * (16 + head)
    return total + threads * (own + _LINEAR_SCRATCH_BYTES + _THREAD_BYTES)


def _convolutions(model: DecoderModel) -> Iterator[ShortConv | DeltaNet]:
    for layer in model.layers:
        if layer.short_conv is not None:
            yield layer.short_conv
        if layer.delta_net is not None:
            yield layer.delta_net


def _convolution(model: DecoderModel) -> tuple[int, int]:
    """Columns of the convolutions, and how many tokens they look back on; the same in all."""
    for block in _convolutions(model):
        width, taps = block.taps.shape
        return width, taps - 1
    return 0, 0


def _deltas(model: DecoderModel) -> Iterator[DeltaNet]:
    yield from (layer.delta_net for layer in model.layers if layer.delta_net is not None)


def _attentions(model: DecoderModel) -> Iterator[Attention]:
    yield from (layer.attention for layer in model.layers if layer.attention is not None)


def _floats(rows: int, columns: list[int]) -> int:
    """Bytes of matrices of float32 (native: FloatRows)."""
    return 4 * rows * sum(_rounded(each, 16) for each in columns)


def _codes(rows: int, columns: int, tile: int = _TILE_TOKENS) -> int:
    """Bytes of quantised activations (native: QuantizedBuffer): codes, four floats, three sums."""
    blocks = -(-columns // 32)
    return _rounded(rows, 1 if rows == 1 else tile) * blocks * (32 + 4 * 4 + 3 * 4)


def _rounded(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def _in_huge_pages(size_bytes: int) -> int:
    return _rounded(size_bytes, HUGE_PAGE)
