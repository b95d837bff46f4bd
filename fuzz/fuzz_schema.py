"""Does any schema, pattern or grammar do else than hold an answer or be refused?

A finding is any exception but GrammarError, more than three seconds of CPU time for one input, or
memory beyond the limits. The first byte says what the rest is: a JSON Schema (even), a pattern or a
Lark grammar. What is compiled is followed for some tokens: of those allowed, the input chooses.
See README.md; the seeds are made by seeds_schema.py.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

MAX_CPU_SECONDS = 3.0
MAX_ADDRESS_SPACE = 4 << 30
N_TOKENS = 259
N_FOLLOWED = 12


def examine(data: bytes) -> str:
    """What becomes of the input: "sound", or the message of its refusal."""
    import numpy as np

    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain import Grammar
    from aboard.errors import GrammarError
    from tiny import tokenizer_metadata

    kind, text = data[:1], data[1:].decode("utf-8", "replace")
    make = Grammar.json_schema
    if kind and kind[0] % 2:
        make = Grammar.regex if kind[0] % 4 == 1 else Grammar.lark
    try:
        grammar = make(text)
        if not hasattr(examine, "tokenizer"):
            examine.tokenizer = Tokenizer.from_gguf(tokenizer_metadata(N_TOKENS))
        constraint = grammar.constraint(examine.tokenizer, N_TOKENS)
        for choice in (data * N_FOLLOWED)[:N_FOLLOWED]:
            bits = np.unpackbits(constraint.allowed().view(np.uint8), bitorder="little")
            tokens = np.flatnonzero(bits)
            token = int(tokens[choice % tokens.size])
            if token in examine.tokenizer.stop_ids or constraint.ended:
                break
            constraint.accept(token)
    except GrammarError as error:
        return str(error)
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.constrain.lark_text
        import aboard.constrain.schema.compiling  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
