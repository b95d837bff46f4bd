"""Writes tests/golden/tokenizer: the ids that other libraries give for texts that are hard to cut.

    python tools/golden_tokenizer.py                # write the files of transformers, sentencepiece
    python tools/golden_tokenizer.py --check        # derive them again; exit 1 at a difference
    python tools/golden_tokenizer.py --demo MODEL   # the ids of the demo model, by llama.cpp

Needs tools/oracle_requirements.txt; `--demo` needs llama-cpp-python 0.3.36 and nothing else.
The vocabularies are small and trained here, on the licence of the project and on the texts.
"""

import argparse
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "golden" / "tokenizer"

TEXTS = [
    "",
    " ",
    "Hello world",
    " Hello  world   !",
    "Hello\n\nworld\n \n  x\t\ty\r\nz ",
    "   \n\n\n  a",
    "I'm sure they'LL say it's what we'd've done, don't you?",
    "'S 'll ''re\u2019s",
    "0 12 345 6789 01234567890 1.5e-7 1,000,000 3rd \u0661\u0662 \u00bd \u2167",
    "under_score camelCase HTTPServer XMLHttpRequest iPhone \u01c5ungla",
    "def f(x):\n    return x**2 // 3  # 100%\n\n\tif x != y: pass",
    "<html><b class='x'>A&amp;B</b></html> {\"k\": [1, 2.0, null]} \\n C:\\dir",
    "!?!? ... --- ;;; ((( $5 \u20ac7 #tag @name ~/path/to ^^ `code`",
    "caf\u00e9 r\u00e9sum\u00e9 na\u00efve \u00c5ngstr\u00f6m stra\u00dfe \u0130stanbul",
    "cafe\u0301 re\u0301sume\u0301 a\u0300\u0301 \u1100\u1161\u11a8",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002",
    "\u4e2d\u6587\uff0c\u6807\u70b9\uff01 \ud55c\uad6d\uc5b4",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u1798\u17b6\u1793",
    "\U0001f642 \U0001f469\u200d\U0001f680 \U0001f1e8\U0001f1ed \u2764\ufe0f \U0001d538",
    "a\u00a0b\u2003c\u200bd\u3000e\ufeff\u0000f\u0085g",
    "\u2581a\u2581\u2581b \u2581",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "                                        ",
    'Licensed under the Apache License, Version 2.0 (the "License");',
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKED = [
    "<|im_start|>user\nHi<|im_end|>\n",
    "<|im_end|><|im_end|> x <|im_start|>",
    "<|im_end <|im_end|>|>",
]


def corpus() -> list[str]:
    """What the vocabularies are trained on."""
    return [*(ROOT / "LICENSE").read_text(encoding="utf-8").splitlines(), *TEXTS * 3]


def byte_level() -> dict[str, object]:
    """A byte-level vocabulary, and the ids that the tokenizers of transformers give with it."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import CohereTokenizer, GPT2Tokenizer, Qwen2Tokenizer
    from transformers.models.qwen3_5.tokenization_qwen3_5 import Qwen3_5Tokenizer

    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=900, initial_alphabet=letters, show_progress=False)
    trained.train_from_iterator(corpus(), trainer)
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"] | {token: 900 + i for i, token in enumerate(SPECIAL)}
    families = {
        "gpt-2": GPT2Tokenizer,
        "command-r": CohereTokenizer,
        "qwen2": Qwen2Tokenizer,
        "qwen35": Qwen3_5Tokenizer,
    }
    ids = {}
    for name, family in families.items():
        merges = [tuple(merge) for merge in model["merges"]]
        tokenizer = family(vocab=dict(vocabulary), merges=merges, additional_special_tokens=SPECIAL)
        ids[name] = [tokenizer.encode(t, add_special_tokens=False) for t in [*TEXTS, *MARKED]]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    return {
        "made_with": {name: version(name) for name in ("transformers", "tokenizers")},
        "tokens": tokens,
        "merges": [" ".join(merge) for merge in model["merges"]],
        "ids": ids,
    }


def sentence_piece() -> dict[str, object]:
    """A SentencePiece BPE vocabulary, and the ids that sentencepiece gives with it."""
    import sentencepiece

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for line in corpus() if line.strip() and "\0" not in line]),
        model_writer=trained,
        model_type="bpe",
        vocab_size=900,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        character_coverage=0.98,
        user_defined_symbols=SPECIAL,
        num_threads=1,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    n = model.get_piece_size()

    def kind(i: int) -> int:
        checks = {2: model.is_unknown, 3: model.is_control, 6: model.is_byte}
        found = next((number for number, check in checks.items() if check(i)), 1)
        return 4 if model.id_to_piece(i) in SPECIAL else found

    return {
        "made_with": {"sentencepiece": version("sentencepiece")},
        "tokens": [model.id_to_piece(i) for i in range(n)],
        "scores": [model.get_score(i) for i in range(n)],
        "types": [kind(i) for i in range(n)],
        "ids": [model.encode(text) for text in TEXTS],
    }


def demo(path: Path) -> dict[str, object]:
    """The ids that llama.cpp gives with the demo model."""
    from llama_cpp import Llama

    model = Llama(model_path=str(path), vocab_only=True, verbose=False)
    ids = [
        model.tokenize(text.encode(), add_bos=False, special=True) if text else []
        for text in [*TEXTS, *MARKED]
    ]
    return {"made_with": {"llama-cpp-python": version("llama-cpp-python")}, "ids": ids}


def main() -> int:
    """Write, or compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--demo", type=Path, metavar="MODEL")
    options = parser.parse_args()
    if options.demo:
        made: dict[str, object] = {"demo": demo(options.demo)}
    else:
        texts = {"texts": TEXTS, "marked": MARKED, "special": SPECIAL}
        made = {"texts": texts, "byte_level": byte_level(), "sentence_piece": sentence_piece()}
    status = 0
    for name, content in made.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n"
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path.relative_to(ROOT)} differs", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
