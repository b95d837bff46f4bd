"""Are schemas enforced, and what does it cost?

    python bench/structured.py maskbench FILE       # MaskBench's schemas and values, as JSON lines
    python bench/structured.py suite FOLDER         # JSON-Schema-Test-Suite: tests/ and remotes/
    python bench/structured.py masks FILE MODEL     # CPU time of a mask, over MaskBench's values
    python bench/structured.py speed MODEL [--rounds 5]    # constrained beside free decoding

A schema is right where every valid value can be written (its keys in some order, its numbers as
the grammar spells them) and no invalid one can; what is refused with an error is counted by reason,
and what is wrong is listed. Where the suite wants `format` to be a remark it is enforced all the
same, and counted by itself. The suite's tests are judged without those of optional behaviour, too.

The baseline is llguidance's own compiler of schemas, on the same values; of a token's speed, free
decoding by the same process, which takes turns with the constrained one. `maskbench` also tells how
many valid values are accepted in the very order of keys that they have there.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from engines import record
from jsonschema_specifications import REGISTRY

import aboard
from aboard.constrain import Grammar
from aboard.constrain.vocabulary import vocabulary
from aboard.engine import Model
from aboard.errors import GrammarError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from constrain.writing import TooManyOrders, Writer, accepts, text_of

DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
N_TOKENS = 150
TASK = "Write a list of ten animals with their names, colours and numbers of legs, as JSON."
ANIMALS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 30},
            "colour": {"enum": ["black", "brown", "green", "grey", "red", "white"]},
            "legs": {"type": "integer", "minimum": 0, "maximum": 100},
        },
        "required": ["name", "colour", "legs"],
        "additionalProperties": False,
    },
    "minItems": 10,
}


@dataclass
class Case:
    """A schema, and values of which is known whether it accepts them."""

    name: str
    schema: Any
    values: list[tuple[Any, bool]]
    others: dict[str, Any] = field(default_factory=dict)
    format_is_remark: bool = False


@dataclass
class Score:
    """How many schemas came out how."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    n_refused: int = 0
    n_format_enforced: int = 0
    n_values: int = 0
    n_as_they_stand: int = 0

    def take(self, case: Case, compile_: Any) -> None:
        """Judge the grammar that `compile_` makes of a schema."""
        try:
            grammar = compile_(case.schema, case.others)
            writer = Writer(grammar)
        except GrammarError as error:
            empty = "accepts no value" in str(error)
            if empty and not any(valid for _, valid in case.values):
                self.right += 1
            else:
                self.n_refused += 1
                self.refused[_reason(str(error))] += 1
            return
        places = {name: place for place, name in enumerate(_names(case.schema))}
        for value, valid in case.values:
            orders = value, _in_order(value, places)
            written = any(_can_write(writer, each) for each in orders)
            if written != valid and valid and case.format_is_remark:
                self.n_format_enforced += 1
                return
            if written != valid:
                self.wrong.append(f"{case.name}: {'refuses' if valid else 'takes'} {value!r:.60}")
                return
            if valid:
                self.n_values += 1
                self.n_as_they_stand += accepts(grammar, _as_it_stands(value))
        self.right += 1

    def told(self) -> dict[str, object]:
        """The figures."""
        n = self.right + len(self.wrong) + self.n_refused + self.n_format_enforced
        return {
            "schemas": n,
            "right": self.right,
            "share": round(self.right / n, 4),
            "wrong": len(self.wrong),
            "refused": self.n_refused,
            "format_enforced": self.n_format_enforced,
            "valid_values": self.n_values,
            "in_their_own_order": self.n_as_they_stand,
        }


def _can_write(writer: Writer, value: Any) -> bool:
    try:
        return writer.can_write(value)
    except TooManyOrders:  # of the thousands that were tried none is accepted
        return False


def _names(schema: Any) -> dict[str, None]:
    """All keys of the schema, in the order of their first places."""
    found: dict[str, None] = {}
    if isinstance(schema, dict):
        for key, value in schema.items():
            found |= {key: None, **_names(value)}
    elif isinstance(schema, list):
        for value in schema:
            found |= {value: None} if isinstance(value, str) else _names(value)
    return found


def _in_order(value: Any, places: dict[str, int]) -> Any:
    """The value with its keys as they come in the text of the schema: an order to begin with."""
    if isinstance(value, list):
        return [_in_order(each, places) for each in value]
    if not isinstance(value, dict):
        return value
    ordered = sorted(value, key=lambda name: places.get(name, len(places)))
    return {name: _in_order(value[name], places) for name in ordered}


def _reason(message: str) -> str:
    """An error without what is particular to a schema."""
    keyword = message.partition(": ")[2] or message
    return " ".join(keyword.split()[:6])


def _as_it_stands(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{text_of(key)}: {_as_it_stands(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_it_stands, value)) + "]"
    return text_of(value)


def by_llguidance(schema: Any, others: dict[str, Any]) -> Grammar:
    """The schema as llguidance compiles it; it takes no others beside."""
    head = '%llguidance {"no_forcing": true}\n'
    if isinstance(schema, dict):
        schema = {key: value for key, value in schema.items() if key != "x-guidance"}
    return Grammar("lark", f"{head}start: %json {json.dumps(schema)}\n")


def maskbench(path: Path) -> Iterator[Case]:
    """The schemas of a file of MaskBench."""
    for line in path.read_text("utf-8").splitlines():
        case = json.loads(line)
        values = [(test["data"], test["valid"]) for test in case["tests"]]
        yield Case(case["_file"], case["schema"], values)


def suite(folder: Path, draft: str) -> Iterator[Case]:
    """The schemas of JSON-Schema-Test-Suite, those of optional behaviour included.

    What it wants to be known, its remote schemas and the metaschemas, is given where a schema may
    refer to it.
    """
    others = _remotes(folder / "remotes")
    for path in sorted((folder / "tests" / draft).rglob("*.json")):
        for case in json.loads(path.read_text("utf-8")):
            schema = case["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft], **schema}
            values = [(test["data"], test["valid"]) for test in case["tests"]]
            name = f"{path.relative_to(folder / 'tests' / draft)} {case['description']}"
            text = json.dumps(schema)
            given = others if any(w in text for w in ('Ref"', '$ref"', "localhost")) else {}
            values = [pair for pair in values if _is_text(pair[0])]
            yield Case(name, schema, values, given, name.startswith("format.json"))


def _remotes(folder: Path) -> dict[str, Any]:
    """The suite's remote schemas of drafts 4 to 2020-12, and the metaschemas, by their URIs."""
    found = {uri: REGISTRY.contents(uri) for uri in REGISTRY if "draft-03" not in uri}
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder)
        if name.parts[0] not in ("draft3", "v1"):
            found[f"http://localhost:1234/{name}"] = json.loads(path.read_text("utf-8"))
    return found


def _is_text(value: Any) -> bool:
    """Whether UTF-8 can hold the value: a grammar writes no half surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def judge(name: str, cases: list[Case]) -> None:
    """Print and record how the schemas come out, here and with the baseline."""
    ours, theirs = Score(), Score()
    for case in cases:
        ours.take(case, Grammar.json_schema)
        theirs.take(case, by_llguidance)
    print(name, json.dumps(ours.told()), "llguidance:", json.dumps(theirs.told()), sep="\n  ")
    for wrong in ours.wrong:
        print(f"  wrong: {wrong}")
    for reason, n in ours.refused.most_common():
        print(f"  refused {n}: {reason}")
    record("structured", what=name, **ours.told(), llguidance=theirs.told())


def masks(path: Path, model: Model) -> None:
    """Print and record the CPU time of masks, over the valid values of MaskBench."""
    tokens = vocabulary(model.tokenizer, model.config.n_vocabulary)
    mask = np.zeros(tokens.n_words, np.uint32)
    times_us: list[float] = []
    compile_ms: list[float] = []
    n_failed = 0
    for case in maskbench(path):
        began = time.thread_time()
        try:
            grammar = Grammar.json_schema(case.schema)
            matcher = tokens.fresh_matcher(grammar.text)
        except GrammarError:
            continue
        compile_ms.append((time.thread_time() - began) * 1e3)
        for value, valid in case.values:
            if valid:
                text = _as_it_stands(value)
                ids = model.tokenizer.encode(text, add_special=False)
                n_failed += not _follow(matcher, ids, mask, times_us)
                if matcher.is_error():
                    matcher = tokens.fresh_matcher(grammar.text)
                matcher.reset()
    figures = {
        "tokens": len(times_us),
        "failed": n_failed,
        **{f"p{p}_us": round(float(np.percentile(times_us, p)), 1) for p in (50, 90, 99, 99.9)},
        "mean_us": round(statistics.fmean(times_us), 1),
        "max_us": round(max(times_us), 1),
        "compile_p50_ms": round(float(np.percentile(compile_ms, 50)), 1),
        "compile_p99_ms": round(float(np.percentile(compile_ms, 99)), 1),
    }
    print(json.dumps(figures))
    record("structured", what="masks", model=model.path.name, **figures)


def _follow(matcher: Any, ids: list[int], mask: Any, times_us: list[float]) -> bool:
    """Measure the masks along the tokens; False where one takes too much work."""
    for token in ids:
        began = time.thread_time()
        matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        times_us.append((time.thread_time() - began) * 1e6)
        if matcher.is_error():
            return False
        if not mask[token // 32] >> np.uint32(token % 32) & 1:
            return True  # another order of keys
        matcher.consume_token(token)
    return True


def speed(model: Model, rounds: int) -> None:
    """Print and record how much slower a constrained answer is, token by token."""
    tokens = model.chat_tokens([{"role": "user", "content": TASK}])
    grammars = {
        "schema": Grammar.json_schema(ANIMALS),
        "json": Grammar.json_schema({"type": "array", "minItems": 10}),
    }
    ratios: dict[str, list[float]] = {name: [] for name in grammars}
    for round_ in range(rounds + 1):
        for name, grammar in grammars.items():
            pair = [_tokens_per_s(model, tokens, each) for each in (None, grammar)]
            if round_:  # the first compiles
                ratios[name].append(pair[1] / pair[0])
    for name, each in ratios.items():
        spread = f"{min(each):.3f} to {max(each):.3f}"
        print(f"{name}: {statistics.median(each):.3f} of the free speed ({spread})")
    medians = {name: round(statistics.median(each), 4) for name, each in ratios.items()}
    record("structured", what="speed", model=model.path.name, threads=model.threads, **medians)


def _tokens_per_s(model: Model, tokens: list[int], grammar: Grammar | None) -> float:
    bias = {token: float("-inf") for token in model.tokenizer.stop_ids} if grammar is None else None
    sampling = aboard.Sampling(temperature=0.7, seed=5, logit_bias=bias)
    with model.session() as session:
        for _ in session.generate(
            tokens, sampling=sampling, max_tokens=N_TOKENS, logprobs=False, constraint=grammar
        ):
            pass
        assert session.timing.generated_tokens == N_TOKENS
        return session.timing.decode_tokens_per_s or 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("maskbench", "suite", "masks", "speed"))
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    sys.setrecursionlimit(20_000)  # values are written recursively
    match arguments.what:
        case "maskbench":
            judge("MaskBench", list(maskbench(arguments.paths[0])))
        case "suite":
            for draft in DRAFTS:
                cases = list(suite(arguments.paths[0], draft))
                judge(draft, cases)
                required = [case for case in cases if not case.name.startswith("optional")]
                judge(f"{draft}, without optional behaviour", required)
        case "masks":
            masks(arguments.paths[0], aboard.load(arguments.paths[1], context=64))
        case "speed":
            speed(aboard.load(arguments.paths[0], context=1024), arguments.rounds)


if __name__ == "__main__":
    main()
