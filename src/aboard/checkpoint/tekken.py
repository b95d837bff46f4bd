"""The tokenizer.json that Mistral's tekken.json stands for.

tekken.json has byte strings by rank and no merges: it merges the two neighbours that together have
the lowest rank. That is the same as merging by a list with one pair for each token, the last two
symbols that the token's own bytes come to: whenever two neighbours make a token, its bytes were
merged as they are alone, so no other pair ever makes it. The rules of what stands in the file are
those of mistral_common, which reads it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from aboard.checkpoint.huggingface_files import MAX_JSON_BYTES, Fields, Folder
from aboard.checkpoint.pretokenizers import TEKKEN
from aboard.checkpoint.tokenizer_bpe import letter_of_byte
from aboard.checkpoint.tokenizer_merging import merge
from aboard.errors import TokenizerError

TEKKEN_FILE = "tekken.json"
MAX_TOKEN_BYTES, MAX_SPECIAL = 1024, 1 << 16  # published: 78 and 1000
_ROLES = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "<pad>"}
# Of files without a list of their own, which only the first versions may lack.
_FIRST_VERSIONS = ("v1", "v2", "v3", "v7")
_FIRST_SPECIAL = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]"),
    *("[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    "[TOOL_CONTENT]",
)
_DAMAGED = "The file is damaged or was made by a faulty tool: get it again."


def tekken_json(folder: Folder) -> tuple[Fields, dict[str, int]]:
    """The tokenizer.json that tekken.json stands for, and the tokens of its roles: role -> id.

    Raises
    ------
    TokenizerError
        The file is damaged, or cuts words in a way that Aboard doesn't know.
    """
    found = folder.json(TEKKEN_FILE, MAX_JSON_BYTES)
    config = found.object("config")
    if config is None:
        raise found.wrong("config", "an object")
    if config.text("pattern") != TEKKEN:
        raise TokenizerError(
            f"{config.where}: pattern is {config.text('pattern')[:60]!r}, and Aboard knows that of "
            "Mistral alone",
            hint="The model needs a newer Aboard; report the model's name.",
        )
    special = _special_tokens(found, config)
    n_ranked = config.number("default_vocab_size") - len(special)
    ranks = _ranks(found, n_ranked)
    found = Fields({}, found.where)  # its objects take ten times the room of what is needed of them
    del config
    letters = letter_of_byte()
    spelled = ["".join(letters[ord(byte)] for byte in token) for token in ranks]
    if both := sorted(set(special) & set(spelled)):
        raise TokenizerError(
            f"{found.where}: {both[0][:40]!r} is a special token and an ordinary one", hint=_DAMAGED
        )
    ids = {text: token_id for token_id, text in enumerate((*special, *spelled))}
    own = {text: text for text in ids}  # one string for all that spell the same
    merges = [
        tuple(own["".join(letters[ord(byte)] for byte in half)] for half in pair)
        for pair in _merges(ranks)
    ]
    roles = {role: ids[text] for role, text in _ROLES.items() if text in special}
    return Fields(_document(ids, merges, special), found.where), roles


def _special_tokens(found: Fields, config: Fields) -> list[str]:
    """The texts of the tokens that stand before the ranked ones, by id."""
    n_special = config.number("default_num_special_tokens")
    if n_special > MAX_SPECIAL:
        raise config.wrong("default_num_special_tokens", f"at most {MAX_SPECIAL}")
    texts = list(_FIRST_SPECIAL)
    if "special_tokens" in found:
        tokens = found.objects("special_tokens")
        texts = [token.text("token_str") for token in tokens]
        for i, token in enumerate(tokens):
            if token.number("rank") != i:
                raise token.wrong("rank", f"{i}, its place in the list")
    elif config.text("version") not in _FIRST_VERSIONS:
        raise TokenizerError(
            f"{found.where}: has no special_tokens, which version "
            f"{config.text('version')[:20]!r} must list",
            hint=_DAMAGED,
        )
    if len(texts) > n_special:
        raise config.wrong("default_num_special_tokens", f"at least the {len(texts)} listed")
    texts += [f"<SPECIAL_{i}>" for i in range(len(texts), n_special)]
    if len(set(texts)) < len(texts):
        raise TokenizerError(f"{found.where}: a special token stands there twice", hint=_DAMAGED)
    if "<s>" not in texts:
        raise TokenizerError(f"{found.where}: has no special token '<s>'", hint=_DAMAGED)
    return texts


def _ranks(found: Fields, n_ranked: int) -> dict[str, int]:
    """The tokens by rank, each byte as the character of that number: token -> rank."""
    vocab = found.members.get("vocab")
    if not isinstance(vocab, list) or not 256 <= n_ranked <= len(vocab):
        n_there = len(vocab) if isinstance(vocab, list) else 0
        raise TokenizerError(
            f"{found.where}: vocab has {n_there} tokens, and {n_ranked} are wanted beside the "
            "special ones, expected at least 256 and no more than there are",
            hint=_DAMAGED,
        )
    ranks: dict[str, int] = {}
    for rank, item in enumerate(vocab[:n_ranked]):  # what is beyond is left out, as by its library
        token = _token(item, rank)
        if token is None or ranks.setdefault(token, rank) != rank:
            raise TokenizerError(
                f"{found.where}: vocab[{rank}] is {str(item)[:80]!r}, expected an object with rank "
                f"{rank} and the token_bytes of a new token, the 256 bytes first",
                hint=_DAMAGED,
            )
    return ranks


def _token(item: Any, rank: int) -> str | None:
    """The bytes of an entry, None where it is none."""
    if not isinstance(item, dict) or type(item.get("rank")) is not int or item["rank"] != rank:
        return None
    encoded = item.get("token_bytes")
    if not isinstance(encoded, str) or len(encoded) > 2 * MAX_TOKEN_BYTES:
        return None
    try:
        token = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not 0 < len(token) <= MAX_TOKEN_BYTES or (rank < 256 and token != bytes([rank])):
        return None
    return token.decode("latin-1")


def _merges(ranks: dict[str, int]) -> list[tuple[str, str]]:
    """The pair that makes each token, by rank; a token that no pair makes has none."""
    pairs: list[tuple[str, str]] = []
    for token in ranks:
        if len(token) == 2:
            pairs.append((token[0], token[1]))
        elif len(token) > 2:

            def rank(left: str, right: str, whole: int = len(token)) -> int | None:
                return ranks.get(left + right) if len(left) + len(right) < whole else None

            symbols = merge(token, rank)
            if len(symbols) == 2:
                pairs.append((symbols[0], symbols[1]))
    return pairs


def _document(
    ids: dict[str, int], merges: list[tuple[str, ...]], special: list[str]
) -> dict[str, Any]:
    return {
        "added_tokens": [
            {"id": i, "content": text, "special": True, "normalized": False}
            for i, text in enumerate(special)
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": TEKKEN},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "use_regex": False,
                    "trim_offsets": True,
                },
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [ids["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": ids, "merges": merges},
    }
