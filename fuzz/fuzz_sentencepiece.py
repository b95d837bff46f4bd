"""Does any tokenizer.model make the import do else than give a tokenizer or refuse?

A finding is any exception but TokenizerError and UsageError, more than a second of CPU time for one
input, or memory beyond the limits. The input is the file, after a few bytes of text to encode. See
README.md; the command is that of the GGUF reader with `sentencepiece` for `gguf`, and no seeds or
dictionary.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

MAX_CPU_SECONDS = 1.0
MAX_ADDRESS_SPACE = 2 << 30
N_TEXT_BYTES, N_VOCABULARY = 16, 64


def examine(data: bytes) -> str:
    """What becomes of these bytes: "sound", or the message of its refusal."""
    from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.errors import TokenizerError, UsageError

    text = data[:N_TEXT_BYTES].decode("utf-8", "replace")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / "tokenizer.model").write_bytes(data[N_TEXT_BYTES:])
        try:
            ours = Tokenizer.from_gguf(tokenizer_metadata(Path(folder), N_VOCABULARY))
            ids = ours.encode(text)
            stream = ours.stream()
            if "".join([*map(stream.push, ids), stream.finish()]) != ours.decode(ids):
                raise AssertionError(f"the stream differs from decode for {ids}")
        except (TokenizerError, UsageError) as error:
            return str(error).replace(folder, "")
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.huggingface_tokenizer
        import aboard.checkpoint.tokenizer_spm  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
