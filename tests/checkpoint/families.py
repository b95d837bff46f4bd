"""Tokenizers of the shapes that real families have, as Hugging Face folders, with any vocabulary.

What stands around the model is written as in the files those families publish. The vocabularies
of tests are trained here, on texts of the project.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer, UnigramTrainer

from checkpoint.vocabularies import golden

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
N_TRAINED = 700
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def step(kind: str, **settings: object) -> Json:
    return {"type": kind, **settings}


def sequence(inner: str, *steps: Json) -> Json:
    return {"type": "Sequence", inner: list(steps)}


def split(regex: str, behavior: str = "Isolated", invert: bool = False) -> Json:
    return step("Split", pattern={"Regex": regex}, behavior=behavior, invert=invert)


def letters(use_regex: bool) -> Json:
    return step("ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=use_regex)


def template(first: str | None, last: str | None = None) -> Json:
    def special(text: str | None) -> list[Json]:
        return [] if text is None else [{"SpecialToken": {"id": text, "type_id": 0}}]

    def text(name: str) -> Json:
        return {"Sequence": {"id": name, "type_id": 0}}

    around = {name: {"id": name, "tokens": [name]} for name in (first, last) if name}
    one = [*special(first), text("A"), *special(last)]
    pair = [*one, *special(first), text("B"), *special(last)]
    return step("TemplateProcessing", single=one, pair=pair, special_tokens=around)


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + REST
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + REST
SPACES = step("Replace", pattern={"String": "▁"}, content=" ")
STRIP = step("Strip", content=" ", start=1, stop=0)
UNSPACE = step("Replace", pattern={"String": " "}, content="▁")
MARKED = sequence("normalizers", step("Prepend", prepend="▁"), UNSPACE)
FALLBACK = sequence("decoders", SPACES, step("ByteFallback"), step("Fuse"), STRIP)


def metaspace(scheme: str) -> Json:
    return step("Metaspace", replacement="▁", prepend_scheme=scheme, split=False)


# Name -> what stands around the model; `special` are the added tokens, `bos` and `eos` roles.
SHAPES: Mapping[str, Json] = {
    "gpt2": {
        "pre_tokenizer": letters(True),
        "post_processor": letters(True),
        "decoder": letters(True),
        "special": ["<|endoftext|>"],
        "bos": "<|endoftext|>",
        "eos": "<|endoftext|>",
    },
    "llama3": {
        "pre_tokenizer": sequence("pretokenizers", split(LLAMA3), letters(False)),
        "post_processor": sequence("processors", letters(True), template("<|begin_of_text|>")),
        "decoder": letters(True),
        "model": {"ignore_merges": True},
        "special": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|python_tag|>"],
        "bos": "<|begin_of_text|>",
        "eos": "<|eot_id|>",
    },
    "qwen2": {
        "normalizer": step("NFC"),
        "pre_tokenizer": sequence("pretokenizers", split(QWEN2), letters(False)),
        "post_processor": letters(False),
        "decoder": letters(False),
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "user": ["<think>", "</think>", "<tool_call>", "<|fim_prefix|>"],
        "eos": "<|im_end|>",
        "pad": "<|endoftext|>",
    },
    "smollm": {
        "pre_tokenizer": sequence(
            "pretokenizers", step("Digits", individual_digits=True), letters(True)
        ),
        "post_processor": None,
        "decoder": letters(True),
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"],
        "bos": "<|im_start|>",
        "eos": "<|im_end|>",
    },
    "phi4": {
        "pre_tokenizer": sequence("pretokenizers", split(LLAMA3, "Removed", True), letters(False)),
        "post_processor": letters(True),
        "decoder": letters(True),
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "strips": ["<|im_sep|>"],
        "bos": "<|endoftext|>",
        "eos": "<|im_end|>",
    },
    "digits-of-three": {
        "pre_tokenizer": sequence(
            "pretokenizers", split(r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))"), letters(True)
        ),
        "post_processor": None,
        "decoder": letters(True),
        "special": ["<|endoftext|>"],
        "user": ["<sep>"],
        "normalized": ["sep>", "ação"],
        "eos": "<|endoftext|>",
    },
    "llama2": {
        "normalizer": MARKED,
        "post_processor": template("<s>"),
        "decoder": FALLBACK,
        "special": ["<unk>", "<s>", "</s>"],
        "bos": "<s>",
        "eos": "</s>",
    },
    "phi3": {
        "normalizer": MARKED,
        "post_processor": template("<s>"),
        "decoder": FALLBACK,
        "special": ["<unk>", "<s>", "<|endoftext|>"],
        "strips": ["</s>", "<|user|>", "<|assistant|>", "<|end|>"],
        "bos": "<s>",
        "eos": "<|endoftext|>",
    },
    "mistral": {
        "pre_tokenizer": metaspace("first"),
        "post_processor": template("<s>"),
        "decoder": FALLBACK,
        "special": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"],
        "bos": "<s>",
        "eos": "</s>",
    },
    "metaspace": {
        "pre_tokenizer": step("Metaspace", replacement="▁", prepend_scheme="always", split=True),
        "post_processor": template("<s>", "</s>"),
        "decoder": metaspace("always"),
        "special": ["<unk>", "<s>", "</s>"],
        "bos": "<s>",
        "eos": "</s>",
    },
    "gemma": {
        "normalizer": UNSPACE,
        "pre_tokenizer": step(
            "Split", pattern={"String": " "}, behavior="MergedWithPrevious", invert=False
        ),
        "post_processor": template("<bos>"),
        "decoder": sequence("decoders", SPACES, step("ByteFallback"), step("Fuse")),
        "special": ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
        "user": ["\n\n", "▁▁", "▁▁▁", "<h1>", "<unused0>"],
        "bos": "<bos>",
        "eos": "<eos>",
    },
}
BYTE_LEVEL = ("gpt2", "llama3", "qwen2", "smollm", "phi4", "digits-of-three")
# The name of how each cuts words; what is cut by no known rule has none.
PRE = {
    **{"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2", "smollm": "smollm"},
    **{"phi4": "dbrx"},
    **dict.fromkeys(("llama2", "phi3", "mistral", "metaspace", "gemma"), "default"),
}
# Which of them need their tokenizer.json in the GGUF file.
EMBEDDING = ("digits-of-three", "metaspace")


def corpus() -> list[str]:
    """What the vocabularies are trained on."""
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    return [*licence, *golden("texts")["texts"] * 3]


@cache
def trained_letters() -> tuple[dict[str, int], list[list[str]]]:
    """A byte-level vocabulary and its merges."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=N_TRAINED, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(corpus(), trainer)
    model = json.loads(made.to_str())["model"]
    return model["vocab"], model["merges"]


@cache
def trained_characters() -> tuple[dict[str, int], list[list[str]]]:
    """A vocabulary of characters, bytes for the rare ones, and its merges; spaces are marks."""
    made = Tokenizer(BPE())
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = BpeTrainer(vocab_size=N_TRAINED, limit_alphabet=90, show_progress=False)
    made.train_from_iterator(corpus(), trainer)
    model = json.loads(made.to_str())["model"]
    tokens = [*BYTES, *sorted(model["vocab"], key=model["vocab"].__getitem__)]
    return {token: i for i, token in enumerate(tokens)}, model["merges"]


def assemble(
    shape: str,
    vocab: Mapping[str, int],
    merges: Sequence[object],
    added: Sequence[Json] | None = None,
) -> Json:
    """The tokenizer.json of a shape; without `added`, its tokens are put behind the vocabulary."""
    found = SHAPES[shape]
    fallback = shape not in BYTE_LEVEL
    names = dict.fromkeys(
        text for kind in ("special", "strips", "user", "normalized") for text in found.get(kind, ())
    )
    if added is None:
        next_id = len(vocab)
        added = []
        for text in names:
            own = vocab.get(text, next_id)
            next_id += own == next_id
            added.append(
                {
                    "id": own,
                    "content": text,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": text in found.get("strips", ()),
                    "normalized": text in found.get("normalized", ()),
                    "special": text not in (*found.get("user", ()), *found.get("normalized", ())),
                }
            )
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>" if "<unk>" in vocab else None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": fallback,
        "byte_fallback": fallback,
        "ignore_merges": False,
        **found.get("model", {}),
        "vocab": dict(vocab),
        "merges": list(merges),
    }
    keys = ("normalizer", "pre_tokenizer", "post_processor")
    around = copy.deepcopy({key: found.get(key) for key in keys})
    ids = {token["content"]: token["id"] for token in added}
    post = around["post_processor"] or {}
    for processor in post.get("processors", [post]):
        for name, entry in processor.get("special_tokens", {}).items():
            entry["ids"] = [ids[name]]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        **around,
        "decoder": found["decoder"],
        "model": model,
    }


def tiny(shape: str) -> Json:
    """The tokenizer.json of a shape with a vocabulary trained on texts of the project."""
    vocab, merges = trained_letters() if shape in BYTE_LEVEL else trained_characters()
    if shape not in BYTE_LEVEL:  # the special tokens come first there
        first = [text for text in SHAPES[shape]["special"] if text not in vocab]
        shifted = {text: i + len(first) for text, i in vocab.items()}
        vocab = {text: i for i, text in enumerate(first)} | shifted
    return assemble(shape, vocab, merges)


@cache
def trained_unigram() -> Json:
    """A Unigram tokenizer.json with bytes for rare characters."""
    made = Tokenizer(Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = UnigramTrainer(
        vocab_size=400, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(corpus(), trainer)
    found: Json = json.loads(made.to_str())
    return found


def write_folder(folder: Path, document: Json, **config: object) -> Path:
    """`folder` with a tokenizer.json and a tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def tiny_folder(folder: Path, shape: str) -> Path:
    """`folder` with the tokenizer of a shape."""
    roles = {f"{role}_token": SHAPES[shape].get(role) for role in ("bos", "eos", "pad")}
    return write_folder(folder, tiny(shape), **roles)


def n_tokens(document: Json) -> int:
    """How many rows a model needs for it."""
    vocab = document["model"]["vocab"]
    last = len(vocab) - 1 if isinstance(vocab, list) else max(vocab.values())
    return 1 + max([last, *(token["id"] for token in document["added_tokens"])])
