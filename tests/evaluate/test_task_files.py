"""Tasks from files: the published forms and one's own become the same questions; others don't."""

import json
from pathlib import Path

import pytest

from aboard.errors import UsageError
from aboard.evaluate import task_files
from aboard.evaluate.task_files import find_tasks, read_task


@pytest.fixture
def saved(tmp_path: Path):
    def save(*records: object, name: str = "task.jsonl") -> Path:
        lines = (each if isinstance(each, str) else json.dumps(each) for each in records)
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return save


MIRROR = {"query": "Question: Why?", "choices": ["Rain.", "Sun."], "gold": 1}
LABELLED = {"text": ["Rain.", "Sun."], "label": ["A", "B"]}
SAME_ARC = [
    MIRROR,
    {"id": "1", "question": "Why?", "choices": LABELLED, "answerKey": "B"},
    {
        "question": {
            "stem": "Why?",
            "choices": [{"text": "Rain.", "label": "1"}, {"text": "Sun.", "label": "2"}],
        },
        "answerKey": "2",
    },
]


@pytest.mark.parametrize("record", SAME_ARC)
@pytest.mark.parametrize("name", ["arc_easy", "arc_challenge"])
def test_arc_is_asked_as_lm_evaluation_harness_does(saved, name: str, record: object) -> None:
    (item,) = read_task(name, saved(record)).items

    assert item.context == "Question: Why?\nAnswer:"
    assert item.gap + item.choices[item.answer] == " Sun."
    assert item.choices == ("Rain.", "Sun.")


@pytest.mark.parametrize(
    "record",
    [
        {"goal": "Boil water", "sol1": "Heat it.", "sol2": "Cool it.", "label": 0},
        {"query": "Question: Boil water\n", "choices": ["Heat it.", "Cool it."], "gold": 0},
    ],
)
def test_piqa_is_asked_as_lm_evaluation_harness_does(saved, record: object) -> None:
    (item,) = read_task("piqa", saved(record)).items

    assert item.context == "Question: Boil water\nAnswer:"
    assert (item.gap, item.choices, item.answer) == (" ", ("Heat it.", "Cool it."), 0)


@pytest.mark.parametrize(
    "record",
    [
        {"question_stem": "Predators eat", "choices": LABELLED, "answerKey": "A"},
        {"query": "Predators eat", "choices": ["Rain.", "Sun."], "gold": 0},
    ],
)
def test_openbookqa_goes_on_with_the_sentence(saved, record: object) -> None:
    (item,) = read_task("openbookqa", saved(record)).items

    assert (item.context, item.gap, item.answer) == ("Predators eat", " ", 0)


@pytest.mark.parametrize(
    "record",
    [
        {"text": "He saw the signs"},
        {"context": "He saw the", "continuation": "signs"},
        {"context": "He saw the ", "continuation": " signs"},
    ],
)
def test_lambada_asks_for_the_last_word(saved, record: object) -> None:
    task = read_task("lambada", saved(record))

    assert task.kind == "continuation"
    assert (task.items[0].context, task.items[0].gap) == ("He saw the", " ")
    assert task.items[0].choices == ("signs",)


@pytest.mark.parametrize(
    ("prompt", "choices", "gap"),
    [
        ("2 + 2 =", ["4", "5"], " "),
        ("2 + 2 = ", ["4", "5"], ""),
        ("2 + 2 =", [" 4", " 5"], ""),
        ("Answer:\n", ["4", "5"], ""),
    ],
)
def test_ones_own_task_stands_as_it_is(saved, prompt: str, choices: list[str], gap: str) -> None:
    record = {"id": "x", "prompt": prompt, "choices": choices, "answer": 1}

    task = read_task("mine", saved(record))

    assert task.kind == "choice"
    assert (task.items[0].context, task.items[0].gap) == (prompt, gap)
    assert (task.items[0].choices, task.items[0].answer) == (tuple(choices), 1)


def test_ones_own_task_may_be_a_continuation(saved) -> None:
    task = read_task("mine", saved({"prompt": "two, three,", "continuation": "four"}))

    assert (task.kind, task.items[0].choices) == ("continuation", ("four",))


def test_empty_lines_do_not_count_and_lines_are_named(saved) -> None:
    path = saved(MIRROR, "", MIRROR)

    assert [item.where for item in read_task("arc_easy", path).items] == [
        f"{path}, line 1:",
        f"{path}, line 3:",
    ]


OWN = {"prompt": "2 + 2 =", "choices": ["4", "5"], "answer": 0}
REFUSED = [
    ("arc_easy", {"query": "Why?", "choices": ["a", "b"]}, "line 1: has no answer"),
    ("arc_easy", MIRROR | {"gold": 2}, "gold is 2, expected 0 to 1"),
    ("arc_easy", MIRROR | {"gold": -1}, "gold is -1"),
    ("arc_easy", MIRROR | {"gold": True}, "gold is True"),
    ("arc_easy", MIRROR | {"gold": "1"}, "gold is '1'"),
    ("arc_easy", MIRROR | {"choices": ["a"]}, "has 1 choices, expected 2 to 64"),
    ("arc_easy", MIRROR | {"choices": ["a"] * 65}, "has 65 choices"),
    ("arc_easy", MIRROR | {"choices": ["a", " "]}, "a choice is empty"),
    ("arc_easy", MIRROR | {"choices": ["a", 1]}, "a choice is empty, or no text"),
    ("arc_easy", MIRROR | {"choices": "ab"}, "has 0 choices"),
    ("arc_easy", {"choices": ["a", "b"], "gold": 0}, "has no question"),
    ("arc_easy", MIRROR | {"query": ""}, "query is ''"),
    (
        "arc_easy",
        {"question": "Why?", "choices": LABELLED, "answerKey": "E"},
        "answerKey 'E' is not among the labels",
    ),
    (
        "arc_easy",
        {"question": "Why?", "choices": LABELLED | {"label": ["A"]}, "answerKey": "A"},
        "2 choices and 1 labels",
    ),
    ("piqa", {"goal": "Boil", "sol1": "Heat", "sol2": "Cool", "label": -1}, "label is -1"),
    ("piqa", {"goal": "Boil", "sol1": "Heat", "label": 0}, "sol2 is missing"),
    ("lambada", {"text": "word"}, "single word"),
    ("lambada", {"context": "He saw"}, "continuation is missing"),
    ("mine", OWN | {"gold": 0}, "unknown key 'gold'"),
    ("mine", OWN | {"continuation": "4"}, "choices and a continuation"),
    ("mine", {"prompt": "", "continuation": "4"}, "prompt is ''"),
    ("mine", {"prompt": "2 + 2 =", "choices": ["4", "5"]}, "has no answer"),
    ("mine", [1, 2], "is list, expected a JSON object"),
    ("mine", '{"prompt": "a"', "is no JSON"),
    ("mine", '{"prompt": "a", "prompt": "b"}', "stands there twice"),
]


@pytest.mark.parametrize(("name", "record", "message"), REFUSED)
def test_what_is_no_question_is_refused(saved, name: str, record: object, message: str) -> None:
    with pytest.raises(UsageError, match=r"task.jsonl, line 1:") as caught:
        read_task(name, saved(record))

    assert message in str(caught.value)


def test_a_file_without_questions_is_refused(saved) -> None:
    with pytest.raises(UsageError, match="holds no question"):
        read_task("mine", saved())


def test_a_file_of_both_kinds_is_refused(saved) -> None:
    with pytest.raises(UsageError, match="mixes"):
        read_task("mine", saved(OWN, {"prompt": "two,", "continuation": "three"}))


def test_half_a_surrogate_pair_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    good = '{"prompt": "a \\ud83d\\ude00", "choices": ["b", "c"], "answer": 0}'
    bad = '{"prompt": "a \\ud83d", "choices": ["b", "c"], "answer": 0}'
    path.write_text(f"{good}\n{bad}\n")

    with pytest.raises(UsageError, match=r"own\.jsonl, line 2: holds half a surrogate pair"):
        read_task("own", path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "task.jsonl").write_bytes(b'{"prompt": "\xff"}\n')

    with pytest.raises(UsageError, match="line 1: is not UTF-8"):
        read_task("mine", tmp_path / "task.jsonl")


@pytest.mark.parametrize(("name", "value"), [("MAX_LINE_BYTES", 20), ("MAX_ITEMS", 1)])
def test_files_beyond_the_bounds_are_refused(
    saved, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(task_files, name, value)

    with pytest.raises(UsageError, match="beyond what Aboard reads"):
        read_task("mine", saved(OWN, OWN))


def test_tasks_are_found_by_name_and_in_folders(saved, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    (folder / "arc").mkdir(parents=True)
    (folder / "arc" / "arc_easy.jsonl").touch()
    (folder / "piqa.jsonl").touch()
    (folder / "other.jsonl").touch()

    found = find_tasks([str(folder), "mine=task.jsonl"])

    assert {name: path.name for name, path in found.items()} == {
        "arc_easy": "arc_easy.jsonl",
        "piqa": "piqa.jsonl",
        "mine": "task.jsonl",
    }


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["nowhere"], "is no task"),
        (["=file"], "is no task"),
        (["."], "no file of a known task"),
        (["a=1", "a=2"], "given twice"),
    ],
)
def test_what_is_no_task_is_refused(
    wanted: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=message):
        find_tasks(wanted)
