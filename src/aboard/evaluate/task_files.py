"""Tasks in files: questions whose right answer, among a few, the model should find likeliest.

A file holds a JSON object on each line. The task's name decides what the prompt looks like, as in
lm-evaluation-harness; the published files and those of the usual mirrors are read:

| name | prompt | read from |
|---|---|---|
| arc_easy, arc_challenge | Question: ... Answer: | question, choices, answerKey |
| piqa | Question: ... Answer: | goal, sol1, sol2, label |
| openbookqa | the sentence itself | question_stem, choices, answerKey |
| the same | the same | query, choices, gold |
| lambada | the text but for its last word | text; context, continuation |
| any other | as it stands | prompt, choices, answer; prompt, continuation |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aboard.checkpoint.file_bytes import read_whole
from aboard.checkpoint.json_text import parse_json
from aboard.errors import CheckpointError, UsageError

MAX_FILE_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 20
MAX_ITEMS = 1 << 18
MAX_CHOICES = 64
_OWN_KEYS = frozenset({"id", "prompt", "choices", "answer", "continuation"})
_SCHEMA = (
    'A line of a task of your own is {"prompt": "...", "choices": ["...", "..."], "answer": 0} '
    'or {"prompt": "...", "continuation": "..."}.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question.

    Attributes
    ----------
    where : str
        File and line, for messages.
    context : str
        What stands before each choice.
    choices : tuple of str
        The answers; of a continuation, the one text that should follow.
    gap : str
        What stands between: a space, or nothing.
    answer : int
        The index of the right one.
    """

    where: str
    context: str
    choices: tuple[str, ...]
    gap: str
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A file of questions.

    Attributes
    ----------
    name : str
        What it is called.
    kind : str
        "choice", or "continuation": the model should say the text by itself.
    sha256 : str
        The hash of the file.
    items : tuple of Item
        At least one.
    """

    name: str
    kind: str
    sha256: str
    items: tuple[Item, ...]


def find_tasks(wanted: Sequence[str]) -> dict[str, Path]:
    """The files of tasks by name, from NAME=FILE, or folders with files of known names.

    Raises
    ------
    UsageError
        A folder holds no known task, a name stands twice, or it is neither.
    """
    found: dict[str, Path] = {}
    for each in wanted:
        name, separator, file = each.partition("=")
        if separator and name and file:
            pairs = {name: Path(file)}
        elif Path(each).is_dir():
            pairs = _in_folder(Path(each))
        else:
            raise UsageError(
                f"{each!r} is no task: expected NAME=FILE, or a folder with files of tasks",
                hint="aboard eval MODEL --tasks arc_easy=arc_easy.jsonl",
            )
        if twice := pairs.keys() & found.keys():
            raise UsageError(f"the task {min(twice)!r} was given twice")
        found |= pairs
    return found


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*/*.jsonl")]):
        if path.stem in _FORMS:
            found.setdefault(path.stem, path)
    if not found:
        raise UsageError(
            f"{folder}: holds no file of a known task",
            hint=f"Expected NAME.jsonl in it or below, NAME one of {', '.join(_FORMS)}.",
        )
    return found


def read_task(name: str, path: Path) -> Task:
    """The questions in the file at `path`.

    Raises
    ------
    UsageError
        The file can't be read, is no JSON lines, or a line is no question of this task.
    """
    try:
        content = read_whole(path, MAX_FILE_BYTES)
        form = _FORMS.get(name, _own)
        items = tuple(form(record, where) for record, where in _records(content, path))
    except CheckpointError as error:
        raise UsageError(str(error), hint=error.hint) from None
    if not items:
        raise UsageError(f"{path}: holds no question", hint=_SCHEMA)
    kinds = {"continuation" if len(item.choices) == 1 else "choice" for item in items}
    if len(kinds) > 1:
        raise UsageError(f"{path}: mixes choices and continuations", hint="Make two files of it.")
    sha256 = hashlib.sha256(content).hexdigest()
    return Task(name=name, kind=kinds.pop(), sha256=sha256, items=items)


Record = Mapping[str, Any]


def _records(content: bytes, path: Path) -> Iterator[tuple[Record, str]]:
    count = 0
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}:"
        count += 1
        if len(line) > MAX_LINE_BYTES or count > MAX_ITEMS:
            raise UsageError(
                f"{where} beyond what Aboard reads: {MAX_ITEMS} lines of {MAX_LINE_BYTES} bytes"
            )
        record = parse_json(line, where, whole_pairs=True)
        if not isinstance(record, dict):
            raise UsageError(f"{where} is {type(record).__name__}, expected a JSON object")
        yield record, where


def _text(record: Record, key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} {key} is {_shown(value)}, expected a text", hint=_SCHEMA)
    return value


def _first_text(record: Record, keys: Sequence[str], where: str) -> str:
    for key in keys:
        if key in record:
            value = record[key]
            if isinstance(value, dict) and "stem" in value:
                return _text(value, "stem", where)
            return _text(record, key, where)
    raise UsageError(f"{where} has no question: expected {', '.join(keys)}")


def _options(record: Record, where: str) -> tuple[tuple[str, ...], list[str]]:
    """The answers, and the labels by which `answerKey` names one."""
    if "sol1" in record or "sol2" in record:
        return (_text(record, "sol1", where), _text(record, "sol2", where)), ["0", "1"]
    inside = record.get("question")
    given = record.get("choices")
    if given is None and isinstance(inside, dict):
        given = inside.get("choices")
    labels: object = None
    if isinstance(given, dict):  # text and label, a list each
        labels = given.get("label")
        given = given.get("text")
    elif isinstance(given, list) and given and all(isinstance(each, dict) for each in given):
        entries: list[dict[str, Any]] = given
        labels = [each.get("label") for each in entries]
        given = [each.get("text") for each in entries]
    texts = given if isinstance(given, list) else []
    if not 2 <= len(texts) <= MAX_CHOICES:
        raise UsageError(f"{where} has {len(texts)} choices, expected 2 to {MAX_CHOICES}")
    if not all(isinstance(each, str) and each.strip() for each in texts):
        raise UsageError(f"{where} a choice is empty, or no text")
    named = [str(each) for each in labels] if isinstance(labels, list) else []
    if named and len(named) != len(texts):
        raise UsageError(f"{where} has {len(texts)} choices and {len(named)} labels")
    return tuple(texts), named


def _answer(record: Record, labels: Sequence[str], n_choices: int, where: str) -> int:
    if "answerKey" in record:
        key = str(record["answerKey"])
        if key not in labels:
            raise UsageError(f"{where} answerKey {_shown(key)} is not among the labels")
        return labels.index(key)
    keys = [key for key in ("answer", "gold", "label") if key in record]
    if not keys:
        raise UsageError(
            f"{where} has no answer: expected answer, gold, label or answerKey",
            hint="A test set without its answers can't be scored.",
        )
    value = record[keys[0]]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < n_choices:
        raise UsageError(
            f"{where} {keys[0]} is {_shown(value)}, expected 0 to {n_choices - 1}", hint=_SCHEMA
        )
    return value


def _question(record: Record, where: str) -> tuple[str, tuple[str, ...], int]:
    question = _first_text(record, ("query", "question", "question_stem", "goal"), where).strip()
    choices, labels = _options(record, where)
    return question, choices, _answer(record, labels, len(choices), where)


def _asked(record: Record, where: str) -> Item:
    question, choices, answer = _question(record, where)
    question = question.removeprefix("Question:").strip()
    context = f"Question: {question}\nAnswer:"
    return Item(where=where, context=context, choices=choices, gap=" ", answer=answer)


def _plain(record: Record, where: str) -> Item:
    question, choices, answer = _question(record, where)
    return Item(where=where, context=question, choices=choices, gap=" ", answer=answer)


def _last_word(record: Record, where: str) -> Item:
    if "text" in record:
        words = re.fullmatch(r"(.*\S)\s+(\S+)\s*", _text(record, "text", where), re.DOTALL)
        if words is None:
            raise UsageError(f"{where} text is a single word")
        context, word = words[1], words[2]
    else:
        context, word = _text(record, "context", where), _text(record, "continuation", where)
    word = word.strip()
    return Item(where=where, context=context.rstrip(), choices=(word,), gap=" ", answer=0)


def _own(record: Record, where: str) -> Item:
    if unknown := record.keys() - _OWN_KEYS:
        raise UsageError(f"{where} has the unknown key {_shown(min(unknown))}", hint=_SCHEMA)
    context = _text(record, "prompt", where)
    if "continuation" in record:
        if "choices" in record:
            raise UsageError(f"{where} has choices and a continuation", hint=_SCHEMA)
        choices: tuple[str, ...] = (_text(record, "continuation", where),)
        answer = 0
    else:
        choices, _ = _options({"choices": record.get("choices")}, where)
        answer = _answer(record, (), len(choices), where)
    spaced = context[-1].isspace() or any(each[0].isspace() for each in choices)
    gap = "" if spaced else " "
    return Item(where=where, context=context, choices=choices, gap=gap, answer=answer)


_FORMS: dict[str, Callable[[Record, str], Item]] = {
    "arc_easy": _asked,
    "arc_challenge": _asked,
    "piqa": _asked,
    "openbookqa": _plain,
    "openbook_qa": _plain,
    "lambada": _last_word,
    "lambada_openai": _last_word,
}


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:60]
