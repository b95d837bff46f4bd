"""How much less do searched scales err than llama.cpp's, format by format, at the same bytes?

    python bench/encoders.py MODEL... --llama ENV [--rows 96]

ENV is a virtual environment with llama-cpp-python, whose `ggml_quantize_chunk` is the baseline:
without importances and with them (its imatrix). Figures: sum of importance * error^2, ours divided
by theirs, and CPU seconds of one thread likewise. Weights: Gaussian and Laplace numbers; of each
MODEL some rows of some matrices, whose columns are first multiplied by log-normal factors (sigma
0.2): GGUF files lie on a grid of their own, on which any rounding looks free. The importances are
log-normal (sigma 1.5), about as mean squares of activations spread. ggml minimises another sum, in
which large weights count more; its figures by that sum would be better than these.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from engines import record

from aboard import formats
from aboard.checkpoint.gguf import open_gguf

COLUMNS = 2048
MATRICES = ("attn_q", "attn_output", "ffn_gate", "ffn_down")
Encode = Callable[[str, np.ndarray, np.ndarray | None], np.ndarray]


def ggml_encoder(environment: Path) -> Encode:
    """`ggml_quantize_chunk` of the llama.cpp in an environment."""
    library = ctypes.CDLL(
        str(next(environment.glob("lib/python*/site-packages/**/libggml-base.so")))
    )
    chunk = library.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    pointer, wide = ctypes.c_void_p, ctypes.c_int64
    chunk.argtypes = [ctypes.c_int, pointer, pointer, wide, wide, wide, pointer]

    def encode(name: str, weights: np.ndarray, importances: np.ndarray | None) -> np.ndarray:
        form, (rows, columns) = formats.by_name(name), weights.shape
        packed = np.zeros((rows, columns // form.BLOCK, form.BLOCK_BYTES), np.uint8)
        by = None if importances is None else importances.ctypes.data
        chunk(form.GGML_TYPE, weights.ctypes.data, packed.ctypes.data, 0, rows, columns, by)
        return packed

    return encode


def random_weights(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = rows, COLUMNS
    drawn = {"gauss": rng.standard_normal(shape), "laplace": rng.laplace(size=shape)}
    return {name: (values * 0.02).astype(np.float32) for name, values in drawn.items()}


def model_weights(path: Path, rows: int) -> dict[str, np.ndarray]:
    """Rows of matrices of the first, a middle and the last layer, as rows of whole blocks."""
    rng, found = np.random.default_rng(1), {}
    with open_gguf(path) as file:
        layers = [int(name.split(".")[1]) for name in file.tensors if name.startswith("blk.")]
        for layer in (0, max(layers) // 2, max(layers)):
            for matrix in MATRICES:
                name = f"blk.{layer}.{matrix}.weight"
                form = formats.by_name(file.tensors[name].format)
                blocks = file.read(name).reshape(file.tensors[name].shape[0], -1, form.BLOCK_BYTES)
                weights = form.decode(blocks[:rows])
                scaled = weights * np.exp(rng.standard_normal(weights.shape[1]) * 0.2)
                whole = scaled.size // 256 // 4 * 4 * 256  # four rows: all columns meet a block
                found[name] = scaled.reshape(-1)[:whole].reshape(4, -1).astype(np.float32)
    return found


def measured(encode: Encode, name: str, weights: np.ndarray, by: np.ndarray | None) -> np.ndarray:
    """Weighted squared error and CPU seconds."""
    begin = time.process_time()
    packed = encode(name, weights, by)
    seconds = time.process_time() - begin
    rest = weights.astype(np.float64) - formats.by_name(name).decode(packed)
    return np.array([(rest * rest * (1.0 if by is None else by)).sum(), seconds])


def ratios(theirs: Encode, name: str, tensors: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Geometric means over tensors of (error, seconds), ours / theirs: blind, and by importance."""
    found: dict[str, list[np.ndarray]] = {"blind": [], "by_importance": []}
    for i, weights in enumerate(tensors.values()):
        drawn = np.random.default_rng(i).standard_normal(weights.shape[1]) * 1.5
        for key, by in (("blind", None), ("by_importance", np.exp(drawn).astype(np.float32))):
            ours = measured(formats.round_to, name, weights, by)
            found[key].append(ours / measured(theirs, name, weights, by))
    return {
        key: [round(float(x), 4) for x in np.exp(np.log(np.maximum(each, 1e-9)).mean(axis=0))]
        for key, each in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--llama", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=96)
    options = parser.parse_args()
    theirs = ggml_encoder(options.llama)

    sources = {name: {name: values} for name, values in random_weights(options.rows).items()}
    for path in options.models:
        sources[path.stem] = model_weights(path, options.rows)
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in formats.searchable():
        found[name] = {source: ratios(theirs, name, each) for source, each in sources.items()}
        cells = (
            f"{k}: {v['blind'][0]:.3f} {v['by_importance'][0]:.3f}" for k, v in found[name].items()
        )
        print(f"{name:7}", *cells, sep="  ", flush=True)
    record("encoders", baseline="llama.cpp", rows=options.rows, error_and_seconds=found)


if __name__ == "__main__":
    main()
