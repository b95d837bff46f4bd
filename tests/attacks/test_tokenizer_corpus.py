"""What fuzzing the tokenizers and the chat template has found stays mended."""

import re
from pathlib import Path

import pytest

from attacks.fuzz_targets import FUZZ, load

EXAMINE = {
    name: load(f"fuzz_{name}").examine
    for name in ("tokenizer", "template", "tokenizer_json", "sentencepiece", "vocabulary")
}
REFUSALS = (
    r"sound$|tokenizer|token |special token|the (?:model|chat template)|chat template|text is"
    r"|pre-tokenizer|character |BOS|EOS|tojson|format:|strftime|: |the table of"
    r"|/(?:tokenizer|tekken|vocab|merges)"
)
INPUTS = sorted(
    path
    for path in FUZZ.glob("*/*/*")
    if path.parts[-2] in EXAMINE and path.parts[-3] in ("corpus", "crashes")
)


@pytest.mark.parametrize("name", EXAMINE)
def test_there_is_a_small_corpus(name: str) -> None:
    corpus = [path for path in INPUTS if path.parts[-3:-1] == ("corpus", name)]

    assert len(corpus) > 50
    assert sum(path.stat().st_size for path in corpus) < 200_000


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: "-".join(path.parts[-3:])[:40])
def test_an_input_of_the_fuzzer_is_served_or_refused(path: Path) -> None:
    outcome = EXAMINE[path.parts[-2]](path.read_bytes())

    assert re.match(REFUSALS, outcome), outcome
