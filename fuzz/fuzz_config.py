"""Does any config.json make its reader do something else than answer or refuse?  See README.md.

A finding is any exception but Aboard's own, more than a second of CPU time for one input, or memory
beyond the limits. What is accepted is looked at: its metadata is stored as GGUF stores it.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

MAX_CPU_SECONDS = 1.0
MAX_ADDRESS_SPACE = 2 << 30


def examine(data: bytes) -> str:
    """What the reader makes of these bytes: "sound", or the message of its refusal."""
    from aboard.artifact.gguf_values import entry_bytes
    from aboard.checkpoint.json_text import parse_json
    from aboard.errors import AboardError
    from aboard.models import Config, convert_config

    try:
        found = parse_json(data, "config.json:")
        conversion = convert_config(Config(found if isinstance(found, dict) else {}))
        for key, value in conversion.metadata.items():
            entry_bytes(key, value)
    except AboardError as error:
        return str(error)
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.artifact.gguf_values
        import aboard.checkpoint.json_text
        import aboard.models

        aboard.models.model_types()
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
