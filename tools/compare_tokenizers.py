"""Compares imported tokenizers with the libraries they come from, on real vocabularies.

    python tools/compare_tokenizers.py FOLDER...

A FOLDER with a tokenizer.json or a tokenizer.model is imported as it is. Of one with vocabularies
of llama.cpp (NAME.gguf, NAME.gguf.inp, NAME.gguf.out) and of each NAME.gguf the tokenizer.json of
its family is made first, and saved by transformers where it has the family's class; what is
imported from it must have the tokens, kinds and merges that llama.cpp's converter wrote.

Each is asked for the ids of 2,000 random texts, of its vectors, and for the text of all these ids,
whole and token by token. Prints a line for each; exits 1 where one differs. Needs
tools/oracle_requirements.txt.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from aboard.checkpoint.gguf import open_gguf  # noqa: E402
from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata  # noqa: E402
from aboard.checkpoint.tokenizer import Tokenizer  # noqa: E402
from aboard.errors import AboardError  # noqa: E402
from checkpoint import families  # noqa: E402
from checkpoint.random_texts import random_texts  # noqa: E402

SEPARATOR = "\n__ggml_vocab_test__\n"
N_TEXTS = 2000
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5
PREFIX = "tokenizer.ggml."


@dataclass
class Case:
    """A folder to import, what its ids are held against, and what else must come out."""

    name: str
    folder: Path
    n_vocabulary: int
    oracles: dict[str, Callable[[str], list[int]]]
    decode: Callable[[list[int]], str] | None
    unknown_id: int | None = None
    special: tuple[str, ...] = ()
    vectors: list[tuple[str, list[int]]] = field(default_factory=list)
    entries: dict[str, Any] = field(default_factory=dict)


def plain_ids(tokenizer: Any) -> Callable[[str], list[int]]:
    """The ids that a tokenizer of transformers gives for a text and nothing around it."""
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False))


def folder_case(folder: Path, name: str) -> Case:
    """The case of a folder that holds a tokenizer."""
    if not (folder / "tokenizer.json").is_file():
        import sentencepiece

        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return Case(
            name=name,
            folder=folder,
            n_vocabulary=model.get_piece_size(),
            oracles={"sentencepiece": model.encode},
            decode=model.decode,
            unknown_id=model.unk_id(),  # which the library spells, and we spell otherwise
        )
    from tokenizers import Tokenizer as Library
    from transformers import TokenizersBackend

    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    library = Library.from_file(str(folder / "tokenizer.json"))
    theirs = TokenizersBackend.from_pretrained(str(folder))
    return Case(
        name=name,
        folder=folder,
        n_vocabulary=families.n_tokens(document),
        oracles={
            "tokenizers": lambda text: library.encode(text, add_special_tokens=False).ids,
            "transformers": plain_ids(theirs),
        },
        decode=lambda ids: library.decode(ids, skip_special_tokens=False),
        special=tuple(token["content"] for token in document["added_tokens"])[:200],
    )


def gguf_cases(path: Path, scratch: Path) -> list[Case]:
    """The cases of one vocabulary of llama.cpp: of each shape in which its family is published."""
    with open_gguf(path) as file:
        found = dict(file.metadata)
    model, pre = found[f"{PREFIX}model"], found.get(f"{PREFIX}pre")
    shapes = {
        ("gpt2", "gpt-2"): ["gpt2"],
        ("gpt2", "qwen2"): ["qwen2"],
        ("gpt2", "llama-bpe"): ["llama3"],
        ("gpt2", "smollm"): ["smollm"],
        ("llama", "default"): ["gemma"] if "gemma" in path.name else ["llama2", "mistral"],
        ("llama", None): ["llama2", "mistral"],
    }.get((model, pre), [])
    if "phi-3" in path.name:
        shapes = ["phi3"]
    cases = []
    for shape in shapes:
        folder = scratch / f"{path.stem}-{shape}"
        document = as_json(found, shape)
        families.write_folder(folder, document, **roles(found))
        case = folder_case(folder, f"{path.stem} as {shape}")
        case.n_vocabulary = len(found[f"{PREFIX}tokens"])
        if shape != "mistral":
            case.vectors = vectors(path)
        if model == "gpt2":
            case.entries = {
                key: found[PREFIX + key]
                for key in ("model", "pre", "tokens", "token_type", "merges")
            }
        cases.append(case)
    return cases


def roles(found: dict[str, Any]) -> dict[str, str]:
    """The tokenizer_config.json of a vocabulary."""
    tokens = found[f"{PREFIX}tokens"]
    ids = {role: found.get(f"{PREFIX}{role}_token_id") for role in ("bos", "eos")}
    return {f"{role}_token": tokens[i] for role, i in ids.items() if i is not None}


def as_json(found: dict[str, Any], shape: str) -> dict[str, Any]:
    """The tokenizer.json of a GGUF file's vocabulary."""
    tokens = list(found[f"{PREFIX}tokens"])
    types = [int(kind) for kind in found[f"{PREFIX}token_type"]]
    if found[f"{PREFIX}model"] == "llama":  # converters write the marks of such tokens as spaces
        tokens = [
            token.replace(" ", "▁") if kind == USER_DEFINED else token
            for token, kind in zip(tokens, types, strict=True)
        ]
    vocab = {token: i for i, token in enumerate(tokens) if types[i] != UNUSED}
    special = [i for i, kind in enumerate(types) if kind in (2, CONTROL, USER_DEFINED)]
    if found[f"{PREFIX}model"] == "gpt2":
        merges: list[Any] = [merge.split(" ") for merge in found[f"{PREFIX}merges"]]
        # Added tokens stand behind the vocabulary.
        for i in reversed(special):
            if i == len(vocab) - 1:
                del vocab[tokens[i]]
    else:
        from transformers.tokenization_utils_sentencepiece import generate_merges

        scores = found[f"{PREFIX}scores"]
        by_score = {token: float(scores[i]) for token, i in vocab.items()}
        # Their models have user-defined pieces at 0, converters write them at -1000.
        by_score |= {tokens[i]: 0.0 for i in special if types[i] == USER_DEFINED}
        skipped = {tokens[i] for i in special if types[i] != USER_DEFINED}
        merges = generate_merges(vocab, by_score, skip_tokens=skipped)
    strips = families.SHAPES[shape].get("strips", ())
    keeps = families.SHAPES[shape]["special"]
    added = [
        {
            "id": i,
            "content": tokens[i],
            "single_word": False,
            "lstrip": False,
            "rstrip": bool(strips) and tokens[i] not in keeps,
            "normalized": False,
            "special": types[i] != USER_DEFINED,
        }
        for i in special
    ]
    return families.assemble(shape, vocab, [list(merge) for merge in merges], added)


def vectors(path: Path) -> list[tuple[str, list[int]]]:
    """Texts and their ids by llama.cpp, where they lie beside a vocabulary."""
    inputs, outputs = (path.with_name(path.name + suffix) for suffix in (".inp", ".out"))
    if not inputs.is_file():
        return []
    texts = inputs.read_bytes().decode().split(SEPARATOR)
    lines = outputs.read_text(encoding="utf-8").splitlines()
    return [
        (text, [int(i) for i in line.split()]) for text, line in zip(texts, lines, strict=False)
    ]


def differences(case: Case) -> list[str]:
    """What differs, in words."""
    entries = tokenizer_metadata(case.folder, case.n_vocabulary)
    ours = Tokenizer.from_gguf(entries)
    found = []
    for key, wanted in case.entries.items():
        if list(entries.get(PREFIX + key, ())) != list(wanted):
            found.append(f"entry {key}")
    texts = random_texts(N_TEXTS, seed=11, special=case.special)
    for name, encode in case.oracles.items():
        wrong = [text for text in texts if ours.encode(text, add_special=False) != encode(text)]
        if wrong:
            found.append(f"{len(wrong)} texts by {name}, such as {wrong[0]!r:.90}")
    wrong = [
        text
        for text, ids in case.vectors
        if ours.encode(text, add_special=False, parse_special=False) != ids
    ]
    if wrong:
        found.append(f"{len(wrong)} of {len(case.vectors)} vectors, such as {wrong[0]!r:.90}")
    n_decoded = 0
    for text in texts if case.decode is not None else ():
        ids = ours.encode(text, add_special=False)
        if case.unknown_id in ids:
            continue
        stream = ours.stream(skip_special=False)
        pieces = "".join([*map(stream.push, ids), stream.finish()])
        n_decoded += pieces != case.decode(ids)
    if n_decoded:
        found.append(f"{n_decoded} decoded texts")
    return found


def main() -> int:
    """Compare what the arguments name; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    options = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        cases: list[Case] = []
        for path in options.folders:
            if path.is_file():
                cases += gguf_cases(path, Path(scratch))
            elif any((path / f"tokenizer.{end}").is_file() for end in ("json", "model")):
                cases.append(folder_case(path, path.name))
            else:
                for vocabulary in sorted(path.glob("*.gguf")):
                    cases += gguf_cases(vocabulary, Path(scratch))
        for case in cases:
            try:
                found = differences(case)
            except AboardError as error:
                found = [str(error)]
            print(f"{case.name}: {'; '.join(found) or 'the same'}", flush=True)
            status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main())
