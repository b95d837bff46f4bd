"""Makes the model files that are measured, once; `make_models` gives their paths by name.

    python bench/model_files.py DEMO --llama ENV [--folder ~/.cache/aboard-bench] [--only NAME ...]

DEMO: the demo model, which llama.cpp's own quantiser turns into other formats. The others have the
shapes of Llama-3.2-1B, Llama-3.1-8B, Qwen2.5-0.5B, Gemma 3 270M and Phi-3-mini (8 of its 32 layers)
and random weights of sane size, written piece by piece: speed does not depend on the values. Their
tokenizer knows bytes alone.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from engines import ROOT
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

from aboard.engine.benchmark.peer import python_of

sys.path.insert(0, str(ROOT / "tests"))
from tiny import tokenizer_metadata

FOLDER = Path.home() / ".cache" / "aboard-bench"
PIECE_BYTES = 32 << 20
# What llama.cpp's quantiser calls them (enum llama_ftype).
FILE_TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q6_K": 18, "Q4_K_M": 15}
QUANTIZE = """
import ctypes, sys, llama_cpp as api
source, path, file_type = sys.argv[1:]
quiet = api.llama_log_callback(lambda level, text, data: None)
api.llama_log_set(quiet, None)
api.llama_backend_init()
params = api.llama_model_quantize_default_params()
params.ftype, params.allow_requantize = int(file_type), True
sys.exit(api.llama_model_quantize(source.encode(), path.encode(), ctypes.byref(params)))
"""


@dataclass(frozen=True)
class Shape:
    """A model's sizes; its layers are what `matrices` and `vectors` say."""

    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    vocabulary: int = 128_256
    context: int = 8192
    architecture: str = "llama"

    @property
    def rows(self) -> int:
        """Of all queries."""
        return self.heads * self.head_dim

    @property
    def kv_rows(self) -> int:
        """Of all keys."""
        return self.kv_heads * self.head_dim


def matrices(shape: Shape) -> list[tuple[str, int, int]]:
    """Name, rows and columns of a layer's matrices."""
    width, ffn = shape.width, shape.ffn
    output = [("attn_output", width, shape.rows), ("ffn_down", width, ffn)]
    if shape.architecture == "phi3":
        qkv = shape.rows + 2 * shape.kv_rows
        return [("attn_qkv", qkv, width), ("ffn_up", 2 * ffn, width), *output]
    return [
        ("attn_q", shape.rows, width),
        ("attn_k", shape.kv_rows, width),
        ("attn_v", shape.kv_rows, width),
        ("ffn_gate", ffn, width),
        ("ffn_up", ffn, width),
        *output,
    ]


def vectors(shape: Shape) -> list[tuple[str, int]]:
    """Name and size of a layer's vectors."""
    common = [("attn_norm.weight", shape.width), ("ffn_norm.weight", shape.width)]
    if shape.architecture == "qwen2":
        biases = (("attn_q", shape.rows), ("attn_k", shape.kv_rows), ("attn_v", shape.kv_rows))
        common += [(f"{name}.bias", rows) for name, rows in biases]
    if shape.architecture == "gemma3":
        common += [
            *((f"{name}.weight", shape.head_dim) for name in ("attn_q_norm", "attn_k_norm")),
            *((f"post_{name}_norm.weight", shape.width) for name in ("attention", "ffw")),
        ]
    return common


SHAPES = {
    "llama-1b": Shape(16, 2048, 8192, 32, 8, 64, tied=True),
    "llama-8b": Shape(32, 4096, 14336, 32, 8, 128, tied=False),
    "qwen2-0.5b": Shape(24, 896, 4864, 14, 2, 64, True, 151_936, 32768, "qwen2"),
    "gemma3-270m": Shape(18, 640, 2048, 4, 1, 256, True, 262_144, 32768, "gemma3"),
    # not "phi3": llama.cpp takes that in a name for the tokenizer of Phi-3
    "phi-mini-8": Shape(8, 3072, 8192, 32, 32, 96, False, 32_064, 4096, "phi3"),
}
BLOCK_FORMATS = {"Q4_0": Type.Q4_0, "Q4_K": Type.Q4_K}


def names() -> list[str]:
    """Of all files: the demo model in each format, each shape in each format."""
    shaped = [
        f"{name}.{form}"
        for name, shape in SHAPES.items()
        for form in BLOCK_FORMATS
        if form == "Q4_0" or shape.width % 256 == 0
    ]
    return [*(f"smollm2-135m.{form}" for form in FILE_TYPES), *shaped]


def make_models(
    demo: Path, llama: str, folder: Path = FOLDER, only: list[str] | None = None
) -> dict[str, Path]:
    """The files by name; those that are missing are made."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names() if only is None else only:
        path = found[name] = folder / f"{name}.gguf"
        if path.exists():
            continue
        print(f"bench: making {path}", file=sys.stderr)
        stem, _, form = name.rpartition(".")
        unfinished = path.with_suffix(".part")
        if stem in SHAPES:
            write_random(unfinished, SHAPES[stem], BLOCK_FORMATS[form], name)
        else:
            command = [str(python_of(llama)), "-c", QUANTIZE, str(demo), str(unfinished)]
            subprocess.run([*command, str(FILE_TYPES[form])], check=True)
        unfinished.rename(path)
    return found


def tensors(shape: Shape, form: Type) -> Iterator[tuple[str, tuple[int, ...], Type]]:
    """Names, shapes and formats, as llama.cpp's quantiser would choose."""
    table = (shape.vocabulary, shape.width)
    large = Type.Q6_K if shape.width % 256 == 0 else Type.Q8_0
    if form == Type.BF16:
        large = form
    yield "token_embd.weight", table, large if shape.tied else form
    for layer in range(shape.layers):
        for name, rows, cols in matrices(shape):
            yield f"blk.{layer}.{name}.weight", (rows, cols), form
        for name, size in vectors(shape):
            yield f"blk.{layer}.{name}", (size,), Type.F32
    yield "output_norm.weight", (shape.width,), Type.F32
    if not shape.tied:
        yield "output.weight", table, large


def size_bytes(dims: tuple[int, ...], form: Type) -> int:
    """Bytes of a tensor in a file."""
    block, block_bytes = GGML_QUANT_SIZES[form]
    return int(np.prod(dims)) // block * block_bytes


def blocks(random: np.random.Generator, count: int, form: Type, std: float) -> np.ndarray:
    """`count` random blocks, (count, bytes) uint8, whose weights have this deviation or so."""
    if form == Type.BF16:
        weights = random.standard_normal(count, np.float32) * np.float32(std)
        return (weights.view("<u4") >> 16).astype("<u2").view(np.uint8).reshape(count, 2)
    raw = np.frombuffer(random.bytes(count * GGML_QUANT_SIZES[form][1]), np.uint8)
    raw = raw.reshape(count, -1).copy()

    def put(at: int, scale: float) -> None:
        scales = (scale * random.uniform(0.7, 1.3, count)).astype("<f2")
        raw[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)

    if form == Type.Q4_0:  # d * (q - 8)
        put(0, std / 4.6)
    elif form == Type.Q4_K:  # d * scale * q - dmin * minimum: centred where dmin is 7.5 d
        put(0, std / 240)
        put(2, 7.5 * std / 240)
    elif form == Type.Q6_K:  # d * scale * (q - 32); signed scales
        put(208, std / (37 * 18.5))
        raw[:, 192:208] = raw[:, 192:208] % 48 + 16
    elif form == Type.Q8_0:  # d * q
        put(0, std / 74)
    else:
        raise ValueError(f"no random blocks of {form.name}")
    return raw


def write_random(path: Path, shape: Shape, form: Type, name: str) -> None:
    """A model of this shape; no more than a piece of it is in memory."""
    random = np.random.default_rng(0)
    writer = GGUFWriter(path, shape.architecture)
    writer.add_name(name)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    if shape.architecture == "gemma3":
        writer.add_sliding_window(512)
    tokenizer = tokenizer_metadata(shape.vocabulary)
    words, kinds = tokenizer["tokenizer.ggml.tokens"], tokenizer["tokenizer.ggml.token_type"]
    words[-1], kinds[-1] = "ab", 1  # one merge: a list of none can't be written
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds.tolist())
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    writer.add_add_bos_token(False)
    listed = list(tensors(shape, form))
    for tensor, dims, kind in listed:
        dtype = np.dtype(np.float32)
        writer.add_tensor_info(tensor, dims, dtype, size_bytes(dims, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, dims, kind in listed:
        write_tensor(writer, random, tensor, dims, kind)
    writer.close()


def write_tensor(
    writer: GGUFWriter, random: np.random.Generator, name: str, dims: tuple[int, ...], form: Type
) -> None:
    """One tensor, random, at the place that the writer has announced for it."""
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    if form == Type.F32:
        file.write(random.uniform(0.9, 1.1, dims).astype("<f4").tobytes())
    else:
        gain = 0.3 if name.split(".")[-2] in ("attn_output", "ffn_down") else 1.0
        std = 1.0 if name.startswith("token_embd") else gain / dims[1] ** 0.5
        block, block_bytes = GGML_QUANT_SIZES[form]
        left = dims[0] * dims[1] // block
        while left:
            count = min(left, PIECE_BYTES // block_bytes)
            file.write(blocks(random, count, form, std).tobytes())
            left -= count
    writer.write_padding(file, file.tell())


def main() -> None:
    """Makes what is missing and prints the paths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama.cpp")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--only", nargs="+", choices=names())
    options = parser.parse_args()
    for path in make_models(options.demo, options.llama, options.folder, options.only).values():
        print(path)


if __name__ == "__main__":
    main()
