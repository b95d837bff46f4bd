"""Quantises a GGUF file by llama.cpp, with an importance matrix; run in its environment.

    python bench/llama_quantize.py SOURCE OUT TYPE IMPORTANCES.npz

TYPE: the name of an LLAMA_FTYPE_MOSTLY, such as Q4_K_M. IMPORTANCES: mean squares of the inputs of
each tensor, (K,) float32, by its name.
"""

import ctypes
import sys

import llama_cpp
import numpy as np


def main() -> None:
    """Writes the file."""
    source, out, kind, importances = sys.argv[1:]
    given = dict(np.load(importances))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    params.nthread = 2
    entries = (llama_cpp.llama_model_imatrix_data * (len(given) + 1))()  # the last one is empty
    for entry, (name, values) in zip(entries, given.items(), strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    params.imatrix = entries
    failed = llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params))
    if failed:
        raise SystemExit(f"llama.cpp fails to quantise: {failed}")


if __name__ == "__main__":
    main()
