"""What bench/first_token.py starts as a process of its own, with its own peak of memory.

llama MODEL PROMPT THREADS CONTEXT    the first token, by llama-cpp-python
phases MODEL PROMPT THREADS CONTEXT   the first token, by Aboard, its phases one after another
vocabulary MODEL PROMPT               the ids of PROMPT, by Aboard's tokenizer alone
write-vocabulary FILE TOKENS          a SentencePiece vocabulary without a model, always the same
"""

import json
import os
import sys
import time
from itertools import pairwise


def llama(model: str, prompt: str, threads: int, context: int) -> None:
    """Loads, evaluates the prompt, prints the first token's text."""
    from llama_cpp import Llama

    engine = Llama(model, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
    ids = engine.tokenize(prompt.encode(), add_bos=False)
    engine.eval(ids)
    first = engine.sample(temp=0.0)
    print(engine.detokenize([first], prev_tokens=ids).decode(), flush=True)


def phases(model: str, prompt: str, threads: int, context: int) -> None:
    """Prints the seconds of each phase. In `aboard run` tokenizer and weights overlap."""
    marks = [("", time.perf_counter())]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `aboard` does
    import aboard.cli.app
    import aboard.cli.conversation
    import aboard.store
    from aboard.checkpoint.gguf import open_gguf
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.engine.model import Model
    from aboard.engine.prefix import PrefixCache
    from aboard.engine.weights import load_weights
    from aboard.models import describe_model

    marks.append(("imports", time.perf_counter()))
    with open_gguf(model) as file:
        config = describe_model(file.metadata, frozenset(file.tensors))
        marks.append(("header", time.perf_counter()))
        tokenizer = Tokenizer.from_gguf(file.metadata)
        ids = tokenizer.encode(prompt)
        marks.append(("tokenizer", time.perf_counter()))
        weights = load_weights(file, config, threads)
        marks.append(("weights", time.perf_counter()))
    path = aboard.store.resolve(model)
    kept = PrefixCache(0)
    loaded = Model(path, config, weights, tokenizer, None, context, threads, kept)
    next(loaded.session().generate(ids, max_tokens=1))
    marks.append(("prompt", time.perf_counter()))
    print(json.dumps({b[0]: b[1] - a[1] for a, b in pairwise(marks)}))


def vocabulary(model: str, prompt: str) -> None:
    """Prints how many tokens the prompt has."""
    from aboard.checkpoint.gguf import open_gguf
    from aboard.checkpoint.tokenizer import Tokenizer

    with open_gguf(model) as file:
        print(len(Tokenizer.from_gguf(file.metadata).encode(prompt)), flush=True)


def write_vocabulary(path: str, n_tokens: int) -> None:
    """A GGUF file of `n_tokens` pieces: the byte tokens, the letters, then numbers in letters."""
    import struct
    from pathlib import Path

    letters = "▁etaoinshrdlcumwfgypbvkjxqz"
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] + list(letters)
    number = len(letters)
    while len(pieces) < n_tokens - 3:
        rest, text = number, ""
        while rest:
            rest, letter = divmod(rest, len(letters))
            text += letters[letter]
        pieces.append(text + "e" * (text[-1] == "▁"))
        number += 7  # every seventh word: of one to five letters
    pieces = ["<unk>", "<s>", "</s>", *dict.fromkeys(pieces)]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259)

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    def key(name: str, kind: int, value: bytes) -> bytes:
        return text(f"tokenizer.ggml.{name}") + struct.pack("<I", kind) + value

    def array(kind: int, values: list[bytes]) -> bytes:
        return struct.pack("<IQ", kind, len(values)) + b"".join(values)

    keys = [
        key("model", 8, text("llama")),
        key("tokens", 9, array(8, [text(piece) for piece in pieces])),
        key("token_type", 9, array(5, [struct.pack("<i", kind) for kind in kinds])),
        key("scores", 9, array(6, [struct.pack("<f", -i) for i in range(len(pieces))])),
        key("bos_token_id", 4, struct.pack("<I", 1)),
        key("eos_token_id", 4, struct.pack("<I", 2)),
        key("unknown_token_id", 4, struct.pack("<I", 0)),
    ]
    Path(path).write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


def main() -> None:
    """Runs what the first argument names."""
    kind, *rest = sys.argv[1:]
    if kind in ("llama", "phases"):
        {"llama": llama, "phases": phases}[kind](rest[0], rest[1], int(rest[2]), int(rest[3]))
    elif kind == "vocabulary":
        vocabulary(*rest)
    else:
        write_vocabulary(rest[0], int(rest[1]))


if __name__ == "__main__":
    main()
