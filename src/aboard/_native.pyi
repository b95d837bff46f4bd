"""The engine, compiled from native/."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

NUMERICS_VERSION: int
KEY_CHUNK: int

class Arena:
    def __init__(self, size_bytes: int) -> None: ...
    @property
    def size_bytes(self) -> int: ...

class Matrix:
    def __init__(self, arena: Arena, format: str, rows: int, cols: int) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def format(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    def pack(self, raw: NDArray[np.uint8], first_row: int) -> int | None: ...
    def row(self, row: int) -> NDArray[np.float32]: ...

class SharedChunk: ...

class KvCache:
    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def format(self) -> str: ...
    @property
    def chunk_bytes(self) -> int: ...
    @property
    def whole_chunks(self) -> bool: ...
    @property
    def shares(self) -> bool: ...
    @property
    def state_bytes(self) -> int: ...
    def export_state(self) -> NDArray[np.uint8]: ...
    def import_state(self, bytes: NDArray[np.uint8]) -> None: ...
    def truncate(self, n_tokens: int) -> None: ...
    def export_chunk(self, chunk: int) -> NDArray[np.uint8]: ...
    def import_chunk(self, bytes: NDArray[np.uint8], n_tokens: int) -> None: ...
    def share_chunk(self, chunk: int) -> SharedChunk: ...
    def append_chunk(self, chunk: SharedChunk, n_tokens: int) -> None: ...

class KvMemory(TypedDict):
    used_bytes: int
    free_bytes: int
    extents: list[tuple[int, int]]

class Decoder:
    def __init__(
        self,
        *,
        embedding: Matrix,
        final_norm: NDArray[np.float32],
        head: Matrix,
        query_heads: int,
        norm_eps: float,
        score_scale: float,
        score_cap: float = 0.0,
        embedding_scale: float = 1.0,
        residual_scale: float = 1.0,
        logit_scale: float = 1.0,
        logit_cap: float = 0.0,
        temperature: tuple[float, int] = (0.0, 1),
        threads: int,
        kv: str = "f16",
    ) -> None: ...
    def add_rope(self, *, pairs: str, frequencies: Sequence[float], factor: float = 1.0) -> int: ...
    def add_attention(
        self,
        *,
        kv_heads: int,
        head_dim: int,
        query: Matrix,
        key: Matrix | None,
        value: Matrix | None,
        output: Matrix,
        query_bias: NDArray[np.float32] | None = None,
        key_bias: NDArray[np.float32] | None = None,
        value_bias: NDArray[np.float32] | None = None,
        output_bias: NDArray[np.float32] | None = None,
        norm: NDArray[np.float32] | None = None,
        post_norm: NDArray[np.float32] | None = None,
        query_norm: NDArray[np.float32] | None = None,
        key_norm: NDArray[np.float32] | None = None,
        norm_values: bool = False,
        gated: bool = False,
        window: int = 0,
        rope: int | None = None,
        keys_of: int | None = None,
    ) -> None: ...
    def add_short_conv(
        self,
        *,
        in_gate: Matrix,
        out_gate: Matrix,
        input: Matrix,
        taps: NDArray[np.float32],
        output: Matrix,
        norm: NDArray[np.float32] | None = None,
    ) -> None: ...
    def add_delta_net(
        self,
        *,
        mixed: Matrix,
        gate: Matrix,
        alpha: Matrix,
        beta: Matrix,
        taps: NDArray[np.float32],
        decay: NDArray[np.float32],
        time_step: NDArray[np.float32],
        head_norm: NDArray[np.float32],
        output: Matrix,
        key_heads: int,
        norm: NDArray[np.float32] | None = None,
    ) -> None: ...
    def add_feed_forward(
        self,
        *,
        gate: Matrix,
        up: Matrix,
        down: Matrix,
        gate_bias: NDArray[np.float32] | None = None,
        up_bias: NDArray[np.float32] | None = None,
        down_bias: NDArray[np.float32] | None = None,
        norm: NDArray[np.float32] | None = None,
        post_norm: NDArray[np.float32] | None = None,
        function: str = "silu",
        scale: float = 1.0,
    ) -> None: ...
    def add_layer_embedding(
        self,
        *,
        table: Matrix,
        projection: Matrix,
        norm: NDArray[np.float32],
        table_scale: float,
        projection_scale: float,
        sum_scale: float,
    ) -> None: ...
    def add_token_block(
        self,
        *,
        gate: Matrix,
        output: Matrix,
        post_norm: NDArray[np.float32] | None = None,
        function: str = "gelu",
    ) -> None: ...
    def new_cache(self, capacity: int) -> KvCache: ...
    def kv_memory(self) -> KvMemory: ...
    threads: int
    @property
    def weight_memory(self) -> list[tuple[int, int]]: ...
    def forward(
        self, tokens: NDArray[np.int32], caches: Sequence[KvCache], wanted: Sequence[int]
    ) -> NDArray[np.float32]: ...
    def run_half(self, half: str, hidden: NDArray[np.float32]) -> None: ...
    def tap_inputs(
        self, half: str, inner: bool, hidden: NDArray[np.float32]
    ) -> NDArray[np.float32]: ...

class Encoder:
    def __init__(
        self,
        *,
        embedding: Matrix,
        positions: Matrix,
        type: NDArray[np.float32] | None = None,
        norm: NDArray[np.float32],
        norm_bias: NDArray[np.float32],
        heads: int,
        ffn_width: int,
        norm_eps: float,
        score_scale: float,
        pooling: str = "mean",
        threads: int,
        floats: bool = False,
    ) -> None: ...
    def add_layer(
        self,
        *,
        query: Matrix,
        key: Matrix,
        value: Matrix,
        output: Matrix,
        query_bias: NDArray[np.float32] | None = None,
        key_bias: NDArray[np.float32] | None = None,
        value_bias: NDArray[np.float32] | None = None,
        output_bias: NDArray[np.float32] | None = None,
        attention_norm: NDArray[np.float32],
        attention_norm_bias: NDArray[np.float32],
        up: Matrix,
        down: Matrix,
        up_bias: NDArray[np.float32] | None = None,
        down_bias: NDArray[np.float32] | None = None,
        output_norm: NDArray[np.float32],
        output_norm_bias: NDArray[np.float32],
    ) -> None: ...
    threads: int
    @property
    def weight_memory(self) -> list[tuple[int, int]]: ...
    def encode(
        self, tokens: NDArray[np.int32], lengths: Sequence[int], normalize: bool
    ) -> NDArray[np.float32]: ...

class ReadProbe:
    def __init__(self, size_bytes: int) -> None: ...
    @property
    def memory(self) -> tuple[int, int]: ...
    def bytes_per_s(self, threads: int) -> float: ...

def release_free_memory() -> None: ...
def packed_size(format: str, rows: int, cols: int) -> int: ...
def supported_isas() -> list[str]: ...
def active_isa() -> str: ...
def use_isa(name: str) -> None: ...
def multiply(matrix: Matrix, x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def quantize(x: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]: ...
def rms_norm(
    x: NDArray[np.float32], weight: NDArray[np.float32], eps: float
) -> NDArray[np.float32]: ...
def layer_norm(
    x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], eps: float
) -> NDArray[np.float32]: ...
def gelu(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def length(x: NDArray[np.float32]) -> float: ...
def product(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]: ...
def add_product(
    sum: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]: ...
def silu(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def gate_by_sigmoid(x: NDArray[np.float32], gate: NDArray[np.float32]) -> NDArray[np.float32]: ...
def delta_step(
    state: NDArray[np.float32],
    query: NDArray[np.float32],
    key: NDArray[np.float32],
    value: NDArray[np.float32],
    decay: float,
    beta: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def swiglu(gate: NDArray[np.float32], up: NDArray[np.float32]) -> NDArray[np.float32]: ...
def geglu(gate: NDArray[np.float32], up: NDArray[np.float32]) -> NDArray[np.float32]: ...
def soft_cap(x: NDArray[np.float32], cap: float) -> NDArray[np.float32]: ...
def exp(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def to_halves(x: NDArray[np.float32]) -> NDArray[np.uint16]: ...
def from_halves(x: NDArray[np.uint16]) -> NDArray[np.float32]: ...
def attend(
    query: NDArray[np.float32],
    keys: NDArray[np.float32],
    values: NDArray[np.float32],
    scale: float,
    window: int = 0,
    copies: int = 1,
    halves: bool = False,
    cap: float = 0.0,
) -> NDArray[np.float32]: ...
def attend_codes(
    queries: NDArray[np.float32],
    keys: NDArray[np.float32],
    values: NDArray[np.float32],
    scale: float,
    spans: Sequence[tuple[int, int]],
    cap: float = 0.0,
) -> NDArray[np.float32]: ...
def search_scales(
    format: str,
    weights: NDArray[np.float32],
    importances: NDArray[np.float32] | None,
    threads: int,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int8], NDArray[np.uint8]]: ...
def nearest_codes(
    format: str,
    weights: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32] | None,
    threads: int,
) -> NDArray[np.uint8]: ...
def dot_ops_per_s(threads: int) -> float: ...
def rope_frequencies(
    base: float, rotated_dims: int, factors: Sequence[float] = (), scale: float = 1.0
) -> list[float]: ...
def rope_angles(
    frequencies: Sequence[float], position: int, factor: float = 1.0
) -> NDArray[np.float32]: ...
def sample(
    logits: NDArray[np.float32],
    *,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    presence_penalty: float,
    frequency_penalty: float,
    seed: int,
    position: int,
    context: NDArray[np.int32],
    logit_bias: tuple[NDArray[np.int32], NDArray[np.float64]] | None = None,
    n_prompt: int = 0,
    logprob: bool = True,
    allowed: NDArray[np.uint32] | None = None,
) -> tuple[int, float]: ...
def top_logprobs(
    logits: NDArray[np.float32], n: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def score_rows(
    logits: NDArray[np.float32], tokens: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]: ...
def compare_rows(
    reference: NDArray[np.float32], logits: NDArray[np.float32], tokens: NDArray[np.int32]
) -> tuple[
    NDArray[np.float64],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.int32],
    NDArray[np.float64],
]: ...
def philox4x32(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[int, ...]: ...
def scalar_exp(xs: Sequence[float]) -> list[float]: ...
def scalar_exp_of_non_positive(xs: Sequence[float]) -> list[float]: ...
def scalar_log(xs: Sequence[float]) -> list[float]: ...
def round_columns(
    weights: NDArray[np.float32],
    carried: NDArray[np.float32],
    feedback: NDArray[np.float32],
    scales: NDArray[np.float32],
    offsets: NDArray[np.float32] | None,
    groups: NDArray[np.int32],
    levels: NDArray[np.float32],
    threads: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]: ...
