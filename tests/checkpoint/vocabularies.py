"""Small vocabularies as GGUF metadata, and the golden files of other libraries."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aboard.checkpoint.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
PREFIX = "tokenizer.ggml."


def golden(name: str) -> dict[str, Any]:
    """What tools/golden_tokenizer.py wrote."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


def letters() -> list[str]:
    """The 256 letters by which byte-level BPE writes bytes, in the order of the bytes."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printing else next(others)) for byte in range(256)]


def byte_level(
    merges: Sequence[str] = (), special: Mapping[str, int] = {}, **fields: object
) -> dict[str, object]:
    """A byte-level vocabulary: the bytes, what `merges` make, then `special` text -> kind."""
    tokens = [*letters(), *(merge.replace(" ", "") for merge in merges), *special]
    types = [NORMAL] * (256 + len(merges)) + list(special.values())
    return metadata(tokens, types, model="gpt2", pre="gpt-2", merges=list(merges), **fields)


def sentence_piece(
    pieces: Mapping[str, float], special: Mapping[str, int] = {}, **fields: object
) -> dict[str, object]:
    """`<unk>`, `<s>`, `</s>`, 256 byte tokens, then `pieces` text -> score, then `special`."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256
    scores = [0.0] * len(tokens) + list(pieces.values()) + [0.0] * len(special)
    tokens += [*pieces, *special]
    types += [NORMAL] * len(pieces) + list(special.values())
    roles = {"unknown_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return metadata(
        tokens, types, model="llama", scores=np.array(scores, np.float32), **roles | fields
    )


def metadata(tokens: list[str], types: list[int], **fields: object) -> dict[str, object]:
    """Metadata with these tokens; each further field is a key; None leaves it out."""
    found = {"tokens": tokens, "token_type": np.array(types, np.int32), **fields}
    return {PREFIX + name: value for name, value in found.items() if value is not None}


def tokenizer(found: dict[str, object]) -> Tokenizer:
    """The tokenizer of this metadata."""
    return Tokenizer.from_gguf(found)
