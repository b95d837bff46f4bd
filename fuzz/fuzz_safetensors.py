"""Does any file make the safetensors reader do something else than answer or refuse?  README.md.

A finding is any exception but CheckpointError, more than a second of CPU time for one input, or
memory beyond the limits. An input that begins with "i" is an index beside two sound shards; one
that begins with "h" is a header, whose length is put right, before as many bytes of data as its
second byte says; any other is a file. A bounded part of the tensors is decoded.
"""

import os
import sys
import tempfile
from itertools import islice
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

MAX_CPU_SECONDS = 1.0
MAX_ADDRESS_SPACE = 2 << 30
MAX_TENSORS, MAX_TENSOR_BYTES = 8, 1 << 16

_SHARDS = {
    "a.safetensors": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    "b.safetensors": b'{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
}


def examine(data: bytes, folder: Path) -> str:
    """What the reader makes of these bytes: "sound", or the message of its refusal."""
    from aboard.errors import CheckpointError

    try:
        if data.startswith(b"i"):
            _open_index(data[1:], folder / "sharded")
        else:
            _open_file(_framed(data), folder / "fuzzed.safetensors")
    except CheckpointError as error:
        return str(error)
    return "sound"


def _framed(data: bytes) -> bytes:
    """The file that an input stands for."""
    if not data.startswith(b"h"):
        return data
    n_data, header = data[1] if len(data) > 1 else 0, data[2:]
    return len(header).to_bytes(8, "little") + header + bytes(n_data)


def _open_file(data: bytes, path: Path) -> None:
    import numpy as np

    from aboard.checkpoint.safetensors import open_safetensors
    from aboard.checkpoint.safetensors_types import decode

    path.write_bytes(data)
    with open_safetensors(path) as file:
        for tensor in islice(file.tensors.values(), MAX_TENSORS):
            n_bytes = min(tensor.size_bytes, MAX_TENSOR_BYTES) // 8 * 8
            raw = np.empty(n_bytes, np.uint8)
            file.read_into(tensor.name, raw, tensor.size_bytes - n_bytes)
            decode(tensor.format, raw)


def _open_index(data: bytes, folder: Path) -> None:
    from aboard.checkpoint.safetensors import open_safetensors

    if not folder.is_dir():
        folder.mkdir()
        for name, header in _SHARDS.items():
            (folder / name).write_bytes(_framed(b"h\1" + header))
    (folder / "model.safetensors.index.json").write_bytes(data)
    open_safetensors(folder).close()


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.safetensors  # noqa: F401
    shared_memory = Path("/dev/shm")
    where = shared_memory if shared_memory.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="fuzz-safetensors-") as folder:
        fuzz(
            lambda data: examine(data, Path(folder)),
            max_cpu_s=MAX_CPU_SECONDS,
            max_address_space=MAX_ADDRESS_SPACE,
        )


if __name__ == "__main__":
    main()
