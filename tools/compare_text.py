"""Compares tokenizers and chat templates with collections that are not part of the project.

    python tools/compare_text.py --vocabularies FOLDER   # NAME.gguf, NAME.gguf.inp, NAME.gguf.out
    python tools/compare_text.py --templates FOLDER      # *.jinja, against Jinja2

The vocabularies are those of llama.cpp's `models` folder, the templates those of its
`models/templates`. Prints a line for each file; exits 1 where one differs.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from aboard.checkpoint.chat_template import ChatTemplate  # noqa: E402
from aboard.checkpoint.gguf import open_gguf  # noqa: E402
from aboard.checkpoint.tokenizer import Tokenizer  # noqa: E402
from aboard.errors import AboardError  # noqa: E402
from checkpoint import jinja_oracle as oracle  # noqa: E402

SEPARATOR = "\n__ggml_vocab_test__\n"


def compare_vocabulary(path: Path) -> tuple[int, int, str]:
    """How many texts agree, of how many, and the first that doesn't."""
    with open_gguf(path) as file:
        tokenizer = Tokenizer.from_gguf(file.metadata)
    texts = path.with_name(path.name + ".inp").read_bytes().decode().split(SEPARATOR)
    lines = path.with_name(path.name + ".out").read_text(encoding="utf-8").splitlines()
    wrong = [
        text
        for text, line in zip(texts, lines, strict=False)
        if tokenizer.encode(text, add_special=False, parse_special=False)
        != [int(token_id) for token_id in line.split()]
    ]
    return len(lines) - len(wrong), len(lines), repr(wrong[0])[:80] if wrong else ""


def compare_template(path: Path) -> tuple[int, int, str]:
    """How many conversations agree, of how many, and the first that doesn't."""
    source = path.read_bytes().decode()
    template = ChatTemplate({"default": source}, oracle.SPECIAL)
    n_agreed = n_cases = 0
    first = ""
    for name, given in oracle.cases():
        try:
            theirs = oracle.render(source, **given)
        except Exception:  # of any kind: Jinja2 lets Python's errors through
            theirs = None
        try:
            ours, error = template.render(**given), ""
        except AboardError as refusal:
            ours, error = None, str(refusal)
        n_cases += 1
        n_agreed += ours == theirs
        if ours != theirs and not first:
            first = f"{name}: {error or 'other text'}"
    return n_agreed, n_cases, first


def main() -> int:
    """Compare what the arguments name; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabularies", type=Path, metavar="FOLDER")
    parser.add_argument("--templates", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    work = []
    if options.vocabularies:
        inputs = sorted(options.vocabularies.glob("*.gguf.inp"))
        work += [(compare_vocabulary, path.with_suffix("")) for path in inputs]
    if options.templates:
        work += [(compare_template, path) for path in sorted(options.templates.glob("*.jinja"))]
    status = 0
    for compare, path in work:
        try:
            n_agreed, n_cases, first = compare(path)
        except AboardError as error:
            n_agreed, n_cases, first = 0, 0, str(error)
        print(f"{path.name}: {n_agreed} of {n_cases}" + (f", not {first}" if first else ""))
        status |= bool(first)
    return status


if __name__ == "__main__":
    sys.exit(main())
