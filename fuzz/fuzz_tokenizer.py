"""Does any tokenizer metadata or text make the tokenizer do else than answer or refuse?

A finding is any exception but TokenizerError and UsageError, an answer that breaks its promises,
more than a second of CPU time for one input, or memory beyond the limits. See README.md; the
command is that of the GGUF reader with `tokenizer` for `gguf`, and no seeds or dictionary.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

MAX_CPU_SECONDS = 1.0
MAX_ADDRESS_SPACE = 3 << 30
KEYS = (
    *("bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id"),
    *("padding_token_id", "add_bos_token", "add_eos_token", "add_space_prefix", "pre", "model"),
    *("scores", "token_type", "tokens", "merges", "remove_extra_whitespaces", "normalizer"),
)
PRES = ("gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-llm", "default", "x")
COMMON = ("<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "▁", "▁▁", "a", "b", "ab", "▁a", "")


class Bytes:
    """Choices read from the input; zeros once it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, below: int) -> int:
        """An integer from 0 to `below` - 1."""
        self._at += 1
        return self._data[self._at - 1] % below if self._at <= len(self._data) else 0

    def text(self, length: int) -> str:
        """Up to `length` bytes as text; what isn't UTF-8 becomes half a surrogate pair."""
        chunk = self._data[self._at : self._at + length]
        self._at += len(chunk)
        return chunk.decode("utf-8", "surrogateescape" if length % 7 == 0 else "replace")

    def rest(self) -> str:
        """All that is left, as text."""
        return self.text(len(self._data) - self._at + 1)


def metadata(choose: Bytes) -> dict[str, object]:
    """Metadata that is near to sound, with a few faults."""
    import numpy as np

    from aboard.checkpoint.tokenizer_bpe import letter_of_byte

    spm = choose.number(2)
    tokens = [f"<0x{byte:02X}>" for byte in range(256)] if spm else list(letter_of_byte())
    types = [6 if spm else 1] * 256
    merges = []
    for _ in range(choose.number(40)):
        kind = choose.number(12)
        if kind < 5:
            token = choose.text(choose.number(9))
        elif kind < 9:
            one, other = (tokens[-1 - choose.number(len(tokens))] for _ in "ab")
            token = one + other
            merges.append(f"{one} {other}")
        else:
            token = COMMON[choose.number(len(COMMON))]
        if token not in tokens or choose.number(20) == 19:
            tokens.append(token)
            types.append((1, 1, 3, 4, 5, 2, 6, 0)[choose.number(8)] if kind != 5 else 1)
    del tokens[: choose.number(3) * 128], types[: len(types) - len(tokens)]
    n = len(tokens)
    found: dict[str, object] = {
        "tokenizer.ggml.model": "llama" if spm else "gpt2",
        "tokenizer.ggml.pre": "default" if spm else PRES[choose.number(len(PRES))],
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(types, np.int32),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.scores": -np.arange(n, dtype=np.float32) % (1 + choose.number(9)),
        "tokenizer.ggml.bos_token_id": choose.number(256) + n - 200,
        "tokenizer.ggml.eos_token_id": max(n - 1 - choose.number(5), 0),
    }
    for _ in range(choose.number(5)):
        key = "tokenizer.ggml." + KEYS[choose.number(len(KEYS))]
        kind = choose.number(8)
        if kind == 0:
            found.pop(key, None)
        else:
            number = choose.number(256)
            values = (number, -number, bool(number % 2), float("nan"), choose.text(number % 16))
            found[key] = (*values, [number] * number, ["a", 1])[kind - 1]
    if choose.number(4) == 3:
        found["general.architecture"] = "phi3"
    return found


def examine(data: bytes) -> str:
    """What the tokenizer makes of these bytes: "sound", or the message of its refusal."""
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.errors import TokenizerError, UsageError

    choose = Bytes(data)
    try:
        tokenizer = Tokenizer.from_gguf(metadata(choose))
        n = tokenizer.n_vocabulary
        ids = [choose.number(256) % n for _ in range(choose.number(16))]
        text = choose.rest()
        for parse_special in (True, False):
            found = tokenizer.encode(text, parse_special=parse_special)
            if not all(0 <= token_id < n for token_id in found):
                raise AssertionError(f"ids outside the vocabulary of {n}: {found}")
            for each in (found, ids):
                stream = tokenizer.stream()
                pieces = [stream.push(token_id) for token_id in each]
                if "".join([*pieces, stream.finish()]) != tokenizer.decode(each):
                    raise AssertionError(f"the stream differs from decode for {each}")
    except (TokenizerError, UsageError) as error:
        return str(error)
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.tokenizer
        import aboard.checkpoint.tokenizer_bpe
        import aboard.checkpoint.tokenizer_spm  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
