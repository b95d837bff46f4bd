"""Does any tekken.json, or vocab.json with merges.txt, do else than give a tokenizer or be refused?

A finding is any exception but TokenizerError and UsageError, a text that is not that of its ids,
more than two seconds of CPU time for one input, or memory beyond the limits. The input is choices
that change sound files here and there. See README.md; the command is that of the GGUF reader with
`vocabulary` for `gguf`, and no seeds or dictionary.
"""

import base64
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_tokenizer import Bytes
from fuzz_tokenizer_json import change

MAX_CPU_SECONDS = 2.0
MAX_ADDRESS_SPACE = 2 << 30
N_VOCABULARY = 320


def tekken() -> dict[str, Any]:
    """A sound tekken.json."""
    from aboard.checkpoint.pretokenizers import TEKKEN

    tokens = [*(bytes([byte]) for byte in range(256)), b"ab", b"aa", b"aab", b" a", b"xyz"]
    special = [{"rank": i, "token_str": text} for i, text in enumerate(("<s>", "</s>", "[INST]"))]
    size = {"default_vocab_size": len(tokens) + 4, "default_num_special_tokens": 4}
    vocab = [
        {"rank": i, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for i, token in enumerate(tokens)
    ]
    config = {"pattern": TEKKEN, "version": "v13", **size}
    return {"config": config, "special_tokens": special, "vocab": vocab}


def two_files() -> dict[str, Any]:
    """A sound vocab.json with its merges.txt and tokenizer_config.json."""
    from aboard.checkpoint.tokenizer_bpe import letter_of_byte

    merges = ["a b", "a a", "aa b", "Ġ a"]
    tokens = dict.fromkeys([*letter_of_byte(), *(merge.replace(" ", "") for merge in merges)])
    return {
        "vocab": {token: i for i, token in enumerate([*tokens, "<|endoftext|>"])},
        "merges": ["#version: 0.2", *merges],
        "config": {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"},
    }


def write(folder: Path, choose: Bytes) -> None:
    """The files that the input stands for."""
    kind = choose.number(3)
    found = two_files() if kind else tekken()
    for _ in range(choose.number(5)):
        change(found, choose)
    if not kind:
        (folder / "tekken.json").write_text(json.dumps(found), encoding="utf-8")
        return
    merges = found.get("merges")
    lines = merges if isinstance(merges, list) else [merges]
    text = "\n".join(str(line) for line in lines) + "\n"
    (folder / "vocab.json").write_text(json.dumps(found.get("vocab")), encoding="utf-8")
    (folder / "merges.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    config = json.dumps(found.get("config"))
    (folder / "tokenizer_config.json").write_text(config, encoding="utf-8")


def examine(data: bytes) -> str:
    """What becomes of these bytes: "sound", or the message of its refusal."""
    from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.errors import TokenizerError, UsageError

    choose = Bytes(data)
    text = choose.text(choose.number(40))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        write(Path(folder), choose)
        try:
            ours = Tokenizer.from_gguf(tokenizer_metadata(Path(folder), N_VOCABULARY))
            ids = ours.encode(text, add_special=False, parse_special=False)
        except (TokenizerError, UsageError) as error:
            return str(error).replace(folder, "")
        if ours.decode(ids, skip_special=False) != text:
            raise AssertionError(f"{ids} spell another text than {text!r}")
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.huggingface_tokenizer
        import aboard.checkpoint.tekken
        import aboard.checkpoint.vocabulary_merges  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
