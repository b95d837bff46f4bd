"""Does any tokenizer.json make the import do else than give the library's tokens or refuse?

A finding is any exception but TokenizerError and UsageError, ids or a text that the `tokenizers`
library doesn't give for the same file, more than two seconds of CPU time for one input, or memory
beyond the limits. The input is a file as it is, or choices that change a sound one here and there.
See README.md; the command is that of the GGUF reader with `tokenizer_json` for `gguf`, and no seeds
or dictionary.
"""

import copy
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["RUST_BACKTRACE"] = "0"
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_tokenizer import Bytes

MAX_CPU_SECONDS = 2.0
MAX_ADDRESS_SPACE = 3 << 30
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MARK = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
UNMARK = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
PREPEND = {"type": "Prepend", "prepend": "▁"}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
LETTERS = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False, "trim_offsets": True}
WORDS = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
SPACES = {**WORDS, "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}
FIRST = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
ALWAYS = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
STEPS: tuple[Any, ...] = (
    *(MARK, UNMARK, PREPEND, STRIP, LETTERS, WORDS, SPACES, FIRST, ALWAYS),
    {**LETTERS, "use_regex": True},
    {**WORDS, "pattern": {"Regex": "a+|b"}, "behavior": "Removed", "invert": True},
    {"type": "Digits", "individual_digits": True},
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    *({"type": kind} for kind in ("NFC", "NFD", "NFKC", "Lowercase", "StripAccents", "Fuse")),
    *({"type": kind} for kind in ("ByteFallback", "Whitespace", "WhitespaceSplit", "Punctuation")),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 1 << 31, 1.5, "", "a", "ab", "▁", " ", "\n", "<s>", "<x>"),
    *([], {}, ["a", "b"], [["a", "b"]], "first", "never", "prepend", "Removed", "(a|aa)+c", "a*"),
)


def base(shape: int) -> dict[str, Any]:
    """A sound file: byte-level, of characters as Llama 2 and Gemma have it, or Unigram."""
    from aboard.checkpoint.tokenizer_bpe import letter_of_byte

    spelled = [UNMARK, {"type": "ByteFallback"}, {"type": "Fuse"}]
    normalizer, words, decoder = (
        (None, {"type": "Sequence", "pretokenizers": [WORDS, LETTERS]}, LETTERS),
        (
            {"type": "Sequence", "normalizers": [PREPEND, MARK]},
            None,
            {"type": "Sequence", "decoders": [*spelled, STRIP]},
        ),
        (MARK, SPACES, {"type": "Sequence", "decoders": spelled}),
        (None, ALWAYS, ALWAYS),
    )[shape]
    if shape == 3:
        scores = {"<unk>": 0.0, "▁": -2.0, "a": -1.5, "b": -1.25, "ab": -2.5, "▁a": -2.0}
        pieces = [[text, score] for text, score in scores.items()]
        model = {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False}
    else:
        space = "▁" if shape else "Ġ"
        letters = [f"<0x{byte:02X}>" for byte in range(256)] if shape else [*letter_of_byte()]
        merges = [["a", "b"], ["ab", "a"], ["a", "a"], [space, "a"]]
        tokens = dict.fromkeys([*letters, space, "a", "b", "é", *map("".join, merges)])
        model = {
            **{"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False},
            **{"continuing_subword_prefix": None, "end_of_word_suffix": None},
            **{"byte_fallback": shape > 0, "ignore_merges": False},
            **{"vocab": {text: i for i, text in enumerate(tokens)}, "merges": merges},
        }
    flags = {"normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    added = [
        {"id": len(model["vocab"]) + i, "content": text, "special": text != "<x>", **flags}
        for i, text in enumerate(("<s>", "</s>", "<x>"))
    ]
    found = {
        **{"version": "1.0", "added_tokens": added, "normalizer": normalizer},
        **{"pre_tokenizer": words, "post_processor": None, "decoder": decoder, "model": model},
    }
    return copy.deepcopy(found)


def change(found: Any, choose: Bytes) -> None:
    """One change somewhere in `found`."""
    for _ in range(8):
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        if not keys:
            return
        key = keys[choose.number(min(len(keys), 250))]
        inner = found[key]
        if isinstance(inner, dict | list) and inner and choose.number(4):
            found = inner
            continue
        kind = choose.number(8)
        if kind == 0:
            del found[key]
        elif kind < 4:
            found[key] = copy.deepcopy(STEPS[choose.number(len(STEPS))])
        elif kind < 6:
            found[key] = copy.deepcopy(VALUES[choose.number(len(VALUES))])
        elif kind == 6:
            found[key] = choose.text(choose.number(12))
        elif isinstance(found, list):
            found.append(copy.deepcopy(inner))
        else:
            found[choose.text(3)] = inner
        return


def content(choose: Bytes) -> bytes:
    """A tokenizer.json."""
    kind = choose.number(6)
    if kind == 5:
        return choose.rest().encode("utf-8", "surrogatepass")
    found = base(kind % 4)
    for _ in range(choose.number(6)):
        change(found, choose)
    return json.dumps(found).encode()


def examine(data: bytes) -> str:
    """What becomes of these bytes: "sound", or the message of its refusal."""
    from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.errors import TokenizerError, UsageError

    choose = Bytes(data)
    text_size = choose.number(40)
    text = choose.text(text_size)
    document = content(choose)
    n_vocabulary = choose.number(256) if choose.number(8) == 7 else 280
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / "tokenizer.json").write_bytes(document)
        try:
            entries = tokenizer_metadata(Path(folder), n_vocabulary)
            ours = Tokenizer.from_gguf(entries)
            ids = ours.encode(text, add_special=False)
        except (TokenizerError, UsageError) as error:
            return str(error).replace(folder, "")
        compare(document, text, ours, ids)
    return "sound"


def compare(document: bytes, text: str, ours: Any, ids: list[int]) -> None:
    """Hold ids and their text against the library's."""
    from tokenizers import Tokenizer as Library

    from aboard.checkpoint.tokenizer_library import _call
    from aboard.errors import TokenizerError

    try:
        library = _call(Library.from_str, document.decode())
        wanted = _call(library.encode, text, add_special_tokens=False).ids
        spelled = _call(library.decode, wanted, skip_special_tokens=False)
    except TokenizerError:
        return  # older forms that it doesn't read by itself, or panics over
    if max(wanted, default=0) >= ours.n_vocabulary:
        return
    if ids != wanted:
        raise AssertionError(f"{ids} instead of {wanted} for {text!r}")
    if ours.decode(ids, skip_special=False) != spelled and "\ufffd" not in spelled:
        raise AssertionError(f"text differs for {ids}")


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.huggingface_tokenizer
        import aboard.checkpoint.tokenizer_characters
        import aboard.checkpoint.tokenizer_library  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
