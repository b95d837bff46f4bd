"""A model taken off its grid: weights that are no longer round numbers.

    python bench/quantize_case.py MODEL OUT [--how rescale|dither] [--sigma 0.2] [--seed 0]
                                  [--pad N]

MODEL: a GGUF file of a `llama` or `gemma3`, such as the demo model, whose weights lie on a grid
already; to round them to 4 bits again would cost nothing and show nothing. OUT is F32.

rescale: the same function. Every input channel of a layer's matrices is divided by a log-normal
factor, and what makes the channel is multiplied by it: the norm before queries, keys and values and
before gate and up, the rows of value before output, the rows of up before down. The embedding,
which is the head, stays as it is. Who finds the factors finds the grid: that would be no merit.

dither: another function, somewhat worse, whose weights lie on no grid whatever is done to them:
each is moved by up to half a step of its grid.

--pad: the hidden states of a `llama` get zeros up to a multiple of N channels, and heads that give
nothing, so that formats with blocks of N weights can hold its rows; the function stays the same.
"""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from aboard.artifact import gguf_source
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.artifact.quantized import GgufWeights
from aboard.artifact.types import type_entries
from aboard.formats import by_name
from aboard.quantize.rounding import whole

Tensors = dict[str, np.ndarray]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--how", choices=["rescale", "dither"], default="rescale")
    parser.add_argument("--sigma", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pad", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    with ExitStack() as opened:
        files, _, metadata, streams = gguf_source.read(options.model, None, opened)
        weights = GgufWeights(files)
        tensors = {each.tensor.name: decoded(weights, each.tensor) for each in streams}
        if options.how == "dither":
            for name, values in tensors.items():
                tensors[name] = dithered(weights, name, values, random)
        else:
            prefix = f"{metadata['general.architecture']}."
            heads, kv_heads = (
                int(metadata[f"{prefix}attention.head_count{end}"]) for end in ("", "_kv")
            )
            for layer in range(int(metadata[f"{prefix}block_count"])):
                rescale(tensors, f"blk.{layer}.", (heads, kv_heads), options.sigma, random)
        if options.pad > 1:
            metadata |= pad(tensors, metadata, options.pad)
        new = [NewTensor(name, "F32", values.shape) for name, values in tensors.items()]
        with GgufWriter(options.out, metadata | type_entries(new), new) as writer:
            for tensor in new:
                writer.write(tensor.name, tensors[tensor.name])
            writer.publish()


def decoded(weights: GgufWeights, tensor: NewTensor) -> np.ndarray:
    """The values of a tensor, float32."""
    if len(tensor.shape) > 1:
        return weights.rows(tensor.name, 0, tensor.shape[0])
    assert tensor.format == "F32"
    return whole(weights, tensor.name)[1].view("<f4")


def dithered(
    weights: GgufWeights, name: str, values: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """`values` of a tensor, each moved by up to half a step of its grid; float32."""
    form = by_name(weights.format(name))
    if values.ndim < 2 or not hasattr(form, "unpack"):
        return values
    n_rows, n_columns = values.shape
    _, packed = whole(weights, name)
    steps = np.abs(form.unpack(packed.reshape(n_rows, -1, form.BLOCK_BYTES)).scale)
    steps = np.repeat(steps.reshape(n_rows, -1), n_columns * n_rows // steps.size, axis=1)
    moved: np.ndarray = values + (random.random(values.shape, np.float32) - np.float32(0.5)) * steps
    return moved.astype(np.float32)


def rescale(
    tensors: Tensors, prefix: str, heads: tuple[int, int], sigma: float, random: np.random.Generator
) -> None:
    """Change a layer's weights and not what it computes."""

    def factors(n: int) -> np.ndarray:
        return np.exp(sigma * random.standard_normal(n)).astype(np.float32)

    def times(name: str, by: np.ndarray) -> None:
        tensors[prefix + name] = tensors[prefix + name] * by

    width = tensors[prefix + "attn_norm.weight"].size
    for norm, names in (
        ("attn_norm.weight", ("attn_q.weight", "attn_k.weight", "attn_v.weight")),
        ("ffn_norm.weight", ("ffn_gate.weight", "ffn_up.weight")),
    ):
        channels = factors(width)
        times(norm, channels)
        for name in names:
            times(name, 1 / channels)
    rows = factors(tensors[prefix + "attn_v.weight"].shape[0])
    times("attn_v.weight", rows[:, None])
    # A key-value head serves several query heads, which follow each other.
    n_heads, kv_heads = heads
    by_head = np.repeat(rows.reshape(kv_heads, 1, -1), n_heads // kv_heads, axis=1)
    times("attn_output.weight", 1 / by_head.reshape(-1))
    hidden = factors(tensors[prefix + "ffn_up.weight"].shape[0])
    times("ffn_up.weight", hidden[:, None])
    times("ffn_down.weight", 1 / hidden)


def pad(tensors: Tensors, metadata: Mapping[str, object], multiple: int) -> dict[str, object]:
    """Widen the hidden states with zeros; the entries of the metadata that change by it."""
    width, heads, kv_heads = (
        int(metadata[f"llama.{key}"])
        for key in ("embedding_length", "attention.head_count", "attention.head_count_kv")
    )
    size = width // heads
    wide = -(-width // multiple) * multiple
    wide_kv = wide // size * kv_heads // heads
    if wide // size * kv_heads != wide_kv * heads or wide % size:
        raise SystemExit(f"{wide} channels are no whole groups of heads of {size}")
    lengths = {width: wide, kv_heads * size: wide_kv * size}
    # The mean square is now over more channels: of the same sum, a smaller mean.
    smaller = width / wide
    for name, values in tensors.items():
        is_feed = ".ffn_" in name and values.ndim > 1
        extra = [
            (0, lengths.get(n, n) - n if not (is_feed and n != width) else 0) for n in values.shape
        ]
        if name == "token_embd.weight":
            extra[0] = (0, 0)
        values = np.pad(values, extra)
        tensors[name] = values * np.float32(smaller**0.5) if values.ndim == 1 else values
    epsilon = "llama.attention.layer_norm_rms_epsilon"
    return {
        "llama.embedding_length": np.uint32(wide),
        "llama.attention.head_count": np.uint32(wide // size),
        "llama.attention.head_count_kv": np.uint32(wide_kv),
        epsilon: np.float32(float(metadata[epsilon]) * smaller),
    }


if __name__ == "__main__":
    main()
