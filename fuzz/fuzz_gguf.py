"""Does any file make the GGUF reader do something else than answer or refuse?  See README.md.

A finding is any exception but CheckpointError, more than a second of CPU time for one input, or
memory beyond the limits. The file is opened, all its metadata is looked at, and a bounded part of
its tensors is decoded by their formats.
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


def examine(data: bytes, folder: Path) -> str:
    """What the reader makes of a file of these bytes: "sound", or the message of its refusal.

    The file is both parts of a split model, so that the rules of those are met too. Every other
    length is read through a window of a few bytes, whose borders then lie everywhere.
    """
    from aboard.checkpoint import gguf_bytes
    from aboard.errors import CheckpointError

    usual_window = gguf_bytes.WINDOW_BYTES
    if len(data) % 2:
        gguf_bytes.WINDOW_BYTES = 16
    try:
        _open_and_decode(data, folder)
    except CheckpointError as error:
        return str(error)
    finally:
        gguf_bytes.WINDOW_BYTES = usual_window
    return "sound"


def _open_and_decode(data: bytes, folder: Path) -> None:
    import numpy as np

    from aboard import formats
    from aboard.checkpoint.gguf import open_gguf

    path = folder / "fuzzed-00001-of-00002.gguf"
    path.write_bytes(data)
    second = folder / "fuzzed-00002-of-00002.gguf"
    if not second.exists():
        second.symlink_to(path.name)
    with open_gguf(path) as file:
        for value in file.metadata.values():
            _look_at(value)
        for tensor in islice(file.tensors.values(), MAX_TENSORS):
            fmt = formats.by_name(tensor.format)
            n_blocks = min(tensor.size_bytes, MAX_TENSOR_BYTES) // fmt.BLOCK_BYTES
            packed = np.empty((n_blocks, fmt.BLOCK_BYTES), np.uint8)
            file.read_into(tensor.name, packed, tensor.size_bytes - packed.nbytes)
            blocks = fmt.unpack(packed)
            blocks.weights()
            formats.check_scales(blocks, tensor=tensor.name, block=fmt.BLOCK)


def _look_at(value: object) -> None:
    """Decode every text and every level of an array."""
    if hasattr(value, "__iter__") and not isinstance(value, str):
        for each in value:
            _look_at(each)


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.gguf
        import aboard.formats

        for name in aboard.formats.NAMES:
            aboard.formats.by_name(name)
    shared_memory = Path("/dev/shm")
    where = shared_memory if shared_memory.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="fuzz-gguf-") as folder:
        fuzz(
            lambda data: examine(data, Path(folder)),
            max_cpu_s=MAX_CPU_SECONDS,
            max_address_space=MAX_ADDRESS_SPACE,
        )


if __name__ == "__main__":
    main()
